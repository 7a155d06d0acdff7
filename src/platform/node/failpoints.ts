/**
 * Failpoints of this process: `GOFAIL_FAILPOINTS="name=terms;..."` switches them on at the start, as in test builds of
 * etcd. Without that variable and `GOFAIL_HTTP` there are none.
 */
import { writeSync } from "node:fs";
import { Failpoints } from "../../base/failpoints.ts";

/** @throws {FailpointSyntaxError} */
export function failpointsOfProcess(environment: Readonly<Record<string, string | undefined>>): Failpoints | undefined {
  const { GOFAIL_FAILPOINTS: terms = "", GOFAIL_HTTP: address = "" } = environment;
  if (terms === "" && address === "") return undefined;
  const failpoints = new Failpoints({
    panic: (message) => {
      writeSync(2, `panic: ${message}\n`);
      // The hardest end there is: no handlers, no buffers written, no work of the thread pool waited for.
      process.kill(process.pid, "SIGKILL");
      for (;;) stall(1_000);
    },
    stall,
    delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    chance: Math.random,
    print: (line) => void writeSync(1, `${line}\n`),
  });
  failpoints.setAll(terms);
  return failpoints;
}

const neverWoken = new Int32Array(new SharedArrayBuffer(4));

function stall(ms: number): void {
  Atomics.wait(neverWoken, 0, 0, ms);
}
