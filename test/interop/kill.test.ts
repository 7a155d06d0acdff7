/**
 * What a real client was told is kept: grpc-js (etcd3) writes as fast as it can, the member is killed at a time of its
 * own, and after the restart every acknowledged write is there, and none that was never sent.
 */
import { Etcd3 } from "etcd3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

const rounds = 20;
const writers = 20;

let folder: string;

beforeAll(() => {
  folder = temporaryFolder();
});

afterAll(() => removeFolder(folder));

/** What one writer knows of its key: its counter as last acknowledged, and as last sent. */
interface Writer {
  readonly key: string;
  acknowledged: number;
  sent: number;
}

test(`${rounds} times kill -9 under load: every acknowledged write is there`, async () => {
  const all: Writer[] = Array.from({ length: writers }, (_, index) => ({
    key: `writer/${index}`,
    acknowledged: 0,
    sent: 0,
  }));
  for (let round = 0; round < rounds; round++) {
    const server = await ServerProcess.start({
      dataDir: `${folder}/data`,
      args: ["--snapshot-count=500"],
      env: { ETCD_VERIFY: "all" },
    });
    const client = new Etcd3({ hosts: server.endpoint, dialTimeout: 5_000 });
    const found = await client.getAll().prefix("writer/").strings();
    for (const { key, acknowledged, sent } of all) {
      const value = Number(found[key] ?? 0);
      expect(value, `${key} after kill ${round}`).toBeGreaterThanOrEqual(acknowledged);
      expect(value, `${key} after kill ${round}`).toBeLessThanOrEqual(sent);
    }
    const before = total(all);
    const loads = all.map((writer) => write(client, writer));
    // Not at a fixed time, so that no fixed step of the server is always the last one; never before there is load.
    await reaches(() => total(all) >= before + 100 + round * 37);
    await server.kill();
    await Promise.all(loads);
    client.close();
  }
});

function total(all: readonly Writer[]): number {
  return all.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
}

/** Counts up until the server is gone. */
async function write(client: Etcd3, writer: Writer): Promise<void> {
  try {
    for (;;) {
      writer.sent++;
      await client.put(writer.key).value(writer.sent);
      writer.acknowledged = writer.sent;
    }
  } catch {
    // The server was killed: what became of this write is unknown, which is what the check allows for.
  }
}

async function reaches(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
