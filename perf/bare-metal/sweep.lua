-- Throughput at 0 % loss as tables grow: plain frames of more and more VLANs (each a network), by pktgen's ranges. MACs and
-- VNIs beyond what ranges count through come from captures: see README.md.

package.path = package.path .. ";?.lua;perf/bare-metal/?.lua"
local ferry = require "ferry"

local function range(set, first, step, last)
    set(ferry.send, "start", first)
    set(ferry.send, "inc", step)
    set(ferry.send, "min", first)
    set(ferry.send, "max", last)
end

local function mac(kind, number)
    return string.format("02:%02x:00:%02x:%02x:%02x", kind, number >> 16 & 255, number >> 8 & 255, number & 255)
end

pktgen.screen("off")
ferry.frames(64)
range(pktgen.range.dst_ip, "10.0.0.2", "0.0.0.0", "10.0.0.2")
range(pktgen.range.src_ip, "10.0.0.1", "0.0.0.0", "10.0.0.1")
range(pktgen.range.dst_port, 80, 0, 80)
range(pktgen.range.src_port, 1024, 1, 1279)
range(pktgen.range.pkt_size, 64, 0, 64)
pktgen.set_range(ferry.send, "on")

print("networks\tMACs\trate %\tMpps")
for _, case in ipairs({ { 1, 1 }, { 1, 1000 }, { 1, 100000 }, { 1000, 100000 }, { 1, 1000000 } }) do
    local networks, macs = case[1], case[2]
    range(pktgen.range.dst_mac, mac(2, 0), "00:00:00:00:00:01", mac(2, macs - 1))
    range(pktgen.range.src_mac, mac(4, 0), "00:00:00:00:00:01", mac(4, macs - 1))
    if networks > 1 then
        range(pktgen.range.vlan_id, 1, 1, networks)
        pktgen.vlan(ferry.send, "enable")
    else
        pktgen.vlan(ferry.send, "disable")
    end
    ferry.warm_up()
    local rate, packets = ferry.search(0)
    printf("%d\t%d\t%.2f\t%.3f\n", networks, macs, rate, packets / 1e6)
end
pktgen.set_range(ferry.send, "off")
pktgen.screen("on")
