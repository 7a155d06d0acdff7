/** Many large writes at once, more than a disk takes: they wait, as with etcd, and nobody is told to come again. */
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { bytes, connect } from "../support/client.ts";
import { patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

const valueBytes = 1_400_000;
const streams = 96;
const connections = 8;
const puts = 700;

let server: ServerProcess | undefined;
let folder = "";
afterEach(async () => {
  await server?.kill();
  removeFolder(folder);
});

/** @returns how often each error was the answer. */
async function load(endpoint: string): Promise<Map<string, number>> {
  const errors = new Map<string, number>();
  const clients = Array.from({ length: connections }, () => connect(endpoint));
  const value = Buffer.alloc(valueBytes, "v");
  let next = 0;
  const run = async (stream: number): Promise<void> => {
    for (let index = next++; index < puts; index = next++) {
      try {
        await clients[stream % connections].call(
          methods.put,
          { key: bytes(`large/${index % 50}`), value },
          { timeoutMs: patienceMs },
        );
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        errors.set(text, (errors.get(text) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: streams }, (_, stream) => run(stream)));
  for (const client of clients) client.close();
  return errors;
}

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "large writes"), { timeout: 4 * patienceMs }, () => {
  test.each(["Go", "ours"] as const)("none of them is refused: %s", async (kind) => {
    folder = temporaryFolder();
    const command = kind === "Go" ? { command: theGoEtcd("3.6").etcd } : {};
    server = await ServerProcess.start({ dataDir: folder, args: ["--quota-backend-bytes=8589934592"], ...command });
    const errors = await load(server.endpoint);
    // A disk that is too slow for all of them makes them late, with either: that is no refusal.
    errors.delete("etcdserver: request timed out");
    expect([...errors]).toEqual([]);
  });
});
