-- What the scripts of this folder share: sending for a while, counting, and searching a rate.
-- Port 0 sends to the device under test, port 1 receives what comes out of it.

require "Pktgen"

local ferry = { send = "0", receive = "1" }

-- Milliseconds of a trial, and of the pause after which the last packets have arrived.
ferry.trial = 10000
ferry.settle = 1000

-- What a port has counted. Since release 26.01 pktgen's portStats takes a port only, and has the counters a level deeper.
local function counted(port)
    local older, stats = pcall(pktgen.portStats, port, "port")
    if not older then
        stats = pktgen.portStats(port)
    end
    local of_port = stats[tonumber(port)]
    return of_port.curr or of_port
end

-- Sends at a rate in percent of the line for some milliseconds; returns packets sent and received.
function ferry.run(rate, milliseconds)
    pktgen.set(ferry.send, "rate", rate)
    pktgen.clr()
    pktgen.delay(ferry.settle)
    local sent, received = counted(ferry.send).opackets, counted(ferry.receive).ipackets
    pktgen.start(ferry.send)
    pktgen.delay(milliseconds or ferry.trial)
    pktgen.stop(ferry.send)
    pktgen.delay(ferry.settle)
    return counted(ferry.send).opackets - sent, counted(ferry.receive).ipackets - received
end

-- Makes the device under test learn all sources before anything counts.
function ferry.warm_up()
    ferry.run(10, 5000)
end

-- The highest rate, in percent of the line, at which no more than this share of packets is lost, to a tenth of
-- a percent; and packets a second there. Zero: the lowest rate loses too many already.
function ferry.search(loss)
    local low, high, best = 0, 100, 0
    local rate = high
    while true do
        local sent, received = ferry.run(rate)
        local lost = sent > 0 and math.max(0, sent - received) / sent or 1
        printf("  %6.2f %%  sent %d  received %d  lost %.7f\n", rate, sent, received, lost)
        if lost <= loss then
            low, best = rate, received / (ferry.trial / 1000)
        else
            high = rate
        end
        if high - low < 0.1 then
            return low, best
        end
        rate = (low + high) / 2
    end
end

-- One frame size, without end. Sizes of pktgen count the FCS.
function ferry.frames(size)
    pktgen.set(ferry.send, "count", 0)
    pktgen.set(ferry.send, "burst", 32)
    pktgen.set(ferry.send, "size", size)
    pktgen.set_type(ferry.send, "ipv4")
    pktgen.set_proto(ferry.send, "udp")
end

return ferry
