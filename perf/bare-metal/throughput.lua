-- Throughput at 0 % and 0.001 % loss of what port 0 has been given: a capture (pktgen's -s option), or else one flow of
-- several sizes.
-- FERRY_CAPTURE=1 in the environment: a capture is loaded, leave frames as they are.

package.path = package.path .. ";?.lua;perf/bare-metal/?.lua"
local ferry = require "ferry"

local sizes = os.getenv("FERRY_CAPTURE") and { 0 } or { 64, 128, 256, 512, 1024, 1280, 1518 }

pktgen.screen("off")
local table_of_results = {}
for _, size in ipairs(sizes) do
    if size > 0 then
        ferry.frames(size)
    end
    ferry.warm_up()
    for _, loss in ipairs({ 0, 0.00001 }) do
        printf("size %s, loss of at most %g %%\n", size > 0 and size or "of the capture", loss * 100)
        local rate, packets = ferry.search(loss)
        table.insert(table_of_results, { size = size, loss = loss, rate = rate, packets = packets })
    end
end
print("size\tloss %\trate %\tMpps")
for _, row in ipairs(table_of_results) do
    printf("%d\t%g\t%.2f\t%.3f\n", row.size, row.loss * 100, row.rate, row.packets / 1e6)
end
pktgen.screen("on")
