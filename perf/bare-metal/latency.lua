-- Round-trip latency at shares of a rate found by throughput.lua, in percent of the line.
-- FERRY_RATE: that rate. Percentiles are of one-second averages and maxima, since pktgen's Lua interface gives a
-- minimum, an average and a maximum, and no single sample: the true p99 of packets lies between both lines.

package.path = package.path .. ";?.lua;perf/bare-metal/?.lua"
local ferry = require "ferry"

local full = tonumber(os.getenv("FERRY_RATE") or "") or error("set FERRY_RATE to a rate of throughput.lua")
local seconds = 60
if not pktgen.pktStats then
    error("this pktgen gives no latency to Lua (26.01 removed pktStats): use release 25.08 or older")
end

local function percentile(sorted, share)
    return sorted[math.max(1, math.ceil(share * #sorted))]
end

pktgen.screen("off")
ferry.frames(64)
ferry.warm_up()
for _, port in ipairs({ ferry.send, ferry.receive }) do
    pktgen.latency(port, "rate", 1000)
    pktgen.latency(port, "enable")
end
for _, share in ipairs({ 0.1, 0.5, 0.9 }) do
    pktgen.set(ferry.send, "rate", full * share)
    pktgen.clr()
    pktgen.start(ferry.send)
    local averages, maxima = {}, {}
    for _ = 1, seconds do
        pktgen.delay(1000)
        local latency = pktgen.pktStats(ferry.receive)[tonumber(ferry.receive)].latency
        table.insert(averages, latency.avg_us)
        table.insert(maxima, latency.max_us)
        -- Minimum, average and maximum are of all since the last clear.
        pktgen.clr()
    end
    pktgen.stop(ferry.send)
    pktgen.delay(ferry.settle)
    table.sort(averages)
    table.sort(maxima)
    for name, list in pairs({ average = averages, maximum = maxima }) do
        printf("%3.0f %% of %.2f %%  %s us: p50 %.2f  p90 %.2f  p99 %.2f\n", share * 100, full, name,
            percentile(list, 0.5), percentile(list, 0.9), percentile(list, 0.99))
    end
end
for _, port in ipairs({ ferry.send, ferry.receive }) do
    pktgen.latency(port, "disable")
end
pktgen.screen("on")
