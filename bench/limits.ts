/**
 * npm run bench:limits: what the machine allows, beside what a member does in the same minutes: appends with fdatasync as fast
 * as the disk takes them, one after the other; and the echo of frames without anything behind (bench/grpc-echo.ts).
 *
 *     npm run bench:limits -- [--folder DIR] [--seconds N]
 */
import { fdatasync, mkdirSync, mkdtempSync, openSync, closeSync, rmSync, write } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Latencies } from "./latencies.ts";

const { values: options } = parseArgs({
  options: { folder: { type: "string", default: tmpdir() }, seconds: { type: "string", default: "3" } },
});

mkdirSync(options.folder, { recursive: true });
const work = mkdtempSync(join(options.folder, "quorate-limits-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** One write behind the other, each with its sync, as a log with one client at a time does. */
async function syncs(bytes: number): Promise<void> {
  const file = openSync(join(work, "log"), "w");
  const data = Buffer.alloc(bytes, 1);
  const latencies = new Latencies();
  // The place is allocated beforehand, as a segment's is: what is synced is data alone.
  const positions = 1024;
  for (let at = 0; at < positions; at++) await written(file, data, at * bytes);
  await synced(file);
  const until = performance.now() + Number(options.seconds) * 1000;
  for (let count = 0; performance.now() < until; count++) {
    const started = performance.now();
    await written(file, data, (count % positions) * bytes);
    await synced(file);
    latencies.record(performance.now() - started);
  }
  closeSync(file);
  const rate = latencies.count / Number(options.seconds);
  const [median, high] = [0.5, 0.99].map((share) => latencies.percentile(share).toFixed(2));
  console.log(`write of ${bytes} bytes and fdatasync: ${rate.toFixed(0)}/s, median ${median} ms, p99 ${high} ms`);
}

function written(file: number, data: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) =>
    write(file, data, 0, data.length, position, (error) => (error === null ? resolve() : reject(error))),
  );
}

function synced(file: number): Promise<void> {
  return new Promise((resolve, reject) => fdatasync(file, (error) => (error === null ? resolve() : reject(error))));
}

for (const bytes of [512, 4096, 65_536]) await syncs(bytes);
