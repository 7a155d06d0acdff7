/** The store on the real backend: what is read after a compaction and a restart is what was there before. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeDirectory, temporaryDirectory } from "../../test/support/fixture.ts";
import { pairJson, putRequest, rangeRequest, deleteRangeRequest, base64 } from "../../test/support/kv-json.ts";
import { Lessor } from "../lease/lessor.ts";
import { createNodePlatform, createStderrLogger } from "../platform/node/index.ts";
import { Backend } from "../storage/backend/backend.ts";
import { Store } from "./store.ts";

const keyCount = 400;
const keyOf = (number: number): string => base64(new Uint8Array(Buffer.from(`key${number}`)));

async function open(path: string): Promise<{ backend: Backend; lessor: Lessor; store: Store }> {
  const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("error") });
  const backend = await Backend.open(disk, clock, log, path, { noSync: true });
  const lessor = Lessor.open(backend, { minTtlSeconds: 2, persistCheckpoints: false });
  return { backend, lessor, store: Store.open(backend, lessor) };
}

function contents(store: Store, revision: number): unknown[] {
  return store.range({ ...rangeRequest({ key: "AA==", range_end: "AA==" }), revision }).response.kvs.map(pairJson);
}

function hashOf(store: Store): number {
  const job = store.hashKv(0);
  while (!job.step(50));
  return job.result.hash;
}

test("revisions, leases and hashes outlive a compaction, a commit and a restart on a real database", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "db");
  const first = await open(path);
  first.lessor.grant(7n, 100, 0);
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < keyCount; number++) {
      const lease = number % 5 === 0 ? 7 : 0;
      first.store.applyPut(putRequest({ key: keyOf(number), value: base64(new Uint8Array(100).fill(round)), lease }));
    }
    await first.backend.commit();
  }
  for (let number = 0; number < keyCount; number += 3)
    first.store.applyDeleteRange(deleteRangeRequest({ key: keyOf(number) }));
  const compactAt = 2 + 2 * keyCount;
  const done = new Promise<void>((resolve) => {
    first.store.compact(compactAt, resolve);
  });
  while (first.store.stepCompaction(64) !== "idle");
  await done;
  const { currentRevision } = first.store;
  const before = [contents(first.store, compactAt), contents(first.store, 0), first.lessor.keysOf(7n).map(base64)];
  const hash = hashOf(first.store);
  await first.backend.close();

  const second = await open(path);
  expect(second.store.currentRevision).toBe(currentRevision);
  expect(second.store.compactRevision).toBe(compactAt);
  expect(second.store.pendingCompactions).toBe(0);
  const after = [contents(second.store, compactAt), contents(second.store, 0), second.lessor.keysOf(7n).map(base64)];
  expect(after).toEqual(before);
  expect(hashOf(second.store)).toBe(hash);
  second.lessor.revoke(7n);
  expect(second.store.currentRevision).toBe(currentRevision + 1);
  await second.backend.close();
  removeDirectory(directory);
});
