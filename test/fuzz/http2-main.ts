// Fuzzes HTTP/2 and gRPC for as long as asked: `npx vite-node test/fuzz/http2-main.ts [seconds] [first seed]`, or with any
// Node that strips types. A failure prints its seed; `fuzzConnection(seed)` repeats it.
import { fuzzConnection } from "./http2-fuzzer.ts";

const seconds = Number(process.argv[2] ?? 60);
const first = Number(process.argv[3] ?? Date.now() % 0xffff_ffff);
const until = performance.now() + seconds * 1000;
let seed = first;
let alive = 0;
let calls = 0;
let reportAt = performance.now() + 5000;
while (performance.now() < until) {
  const outcome = await fuzzConnection(seed++);
  if (outcome.alive) alive++;
  calls += outcome.calls;
  if (performance.now() >= reportAt) {
    reportAt += 5000;
    const { heapUsed } = process.memoryUsage();
    console.log(
      `seeds ${first}..${seed - 1}: ${alive} survived, ${calls} calls, heap ${Math.round(heapUsed / 2 ** 20)} MiB`,
    );
  }
}
console.log(`done: ${seed - first} connections, ${alive} survived, ${calls} calls`);
