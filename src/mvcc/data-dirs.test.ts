/**
 * Databases written by etcd (test/fixtures/data-dirs), opened as a store: revision, HashKV at several revisions, the keyspace
 * at several revisions, the whole history with previous pairs, and leases must be what etcd itself showed on them.
 *
 * Only directories whose member had committed everything to its database; the rest needs the log, hence a whole member.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "../../test/support/fixture.ts";
import { base64, rangeRequest } from "../../test/support/kv-json.ts";
import { Lessor } from "../lease/lessor.ts";
import { createNodePlatform, createStderrLogger } from "../platform/node/index.ts";
import { Backend } from "../storage/backend/backend.ts";
import { EtcdError } from "../wire/errors.ts";
import { Store } from "./store.ts";
import { PairReader } from "./stored-pair.ts";

interface HashAnswer {
  readonly revision: number;
  readonly code?: number;
  readonly hash?: number;
  readonly compact_revision?: string;
}

interface Keyspace {
  readonly revision?: number;
  readonly code?: number;
  readonly dump_sha256: string;
}

interface Shown {
  readonly revision: number;
  readonly compact_revision: number;
  readonly hashkv: readonly HashAnswer[];
  readonly keyspace: Keyspace;
  readonly keyspace_at: readonly Keyspace[];
  readonly history: { readonly from: number; readonly events: number; readonly sha256: string };
  readonly leases: readonly { readonly id: string; readonly granted_ttl: string; readonly keys: readonly string[] }[];
}

let work = "";

beforeAll(() => {
  work = temporaryDirectory();
});

afterAll(() => removeDirectory(work));

function openBackend(path: string): Promise<Backend> {
  const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("error") });
  return Backend.open(disk, clock, log, path);
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** One line of the fixtures' dump rule. */
function dumped(stored: Uint8Array): Record<string, unknown> {
  const pair = new PairReader().read(stored);
  const fields = {
    key: base64(pair.key),
    create_revision: `${pair.createRevision}`,
    mod_revision: `${pair.modRevision}`,
    version: `${pair.version}`,
    lease: `${pair.lease}`,
  };
  if (pair.value.length <= 1024) return { ...fields, value: base64(pair.value) };
  const digest = createHash("sha256").update(pair.value).digest("hex");
  return { ...fields, value_sha256: digest, value_len: pair.value.length };
}

function keyspaceHash(store: Store, revision: number): string {
  const request = { ...rangeRequest({ key: "AA==", range_end: "AA==" }), revision };
  return sha256(
    store
      .range(request)
      .response.kvs.map((kv) => `${JSON.stringify(dumped(kv))}\n`)
      .join(""),
  );
}

function historyHash(store: Store, from: number): string {
  let lines = "";
  store.eventsSince({ main: from, sub: 0 }, store.currentRevision + 1, Infinity, (change) => {
    const previous = change.isCreate ? undefined : store.keyValueAt(change.key, change.main - 1);
    const prev = previous === undefined ? null : dumped(previous);
    lines += `${JSON.stringify({ type: change.kind.toUpperCase(), kv: dumped(change.kv), prev })}\n`;
    return true;
  });
  return sha256(lines);
}

function hashAnswer(store: Store, revision: number): HashAnswer {
  try {
    const job = store.hashKv(revision);
    while (!job.step(100));
    const { hash, compactRevision } = job.result;
    return { revision, hash, compact_revision: `${compactRevision}` };
  } catch (error) {
    if (error instanceof EtcdError) return { revision, code: error.code };
    throw error;
  }
}

const committed = [
  "random-2000",
  "random-compacted",
  "many-leases",
  "lease-checkpoint",
  "raft-snapshots",
  "wal-segments",
  "restored",
  "member-churn",
];

test.each(committed)("the database of %s shows what etcd showed", async (name) => {
  const directory = join(work, name);
  unpackFixture(`data-dirs/${name}/data.tar.gz`, directory);
  const backend = await openBackend(join(directory, "data/member/snap/db"));
  const lessor = Lessor.open(backend, { minTtlSeconds: 2, persistCheckpoints: false });
  const store = Store.open(backend, lessor);
  while (store.stepCompaction(100) !== "idle");
  const { expect: expected } = JSON.parse(fixtureText(`data-dirs/${name}/expected.json`)) as {
    expect: { shows: Shown };
  };
  const { shows } = expected;

  expect(store.currentRevision).toBe(shows.revision);
  expect(store.compactRevision).toBe(shows.compact_revision);
  for (const answer of shows.hashkv) {
    const { revision, code, hash, compact_revision } = answer;
    const wanted =
      code === undefined ? { revision, hash, compact_revision: compact_revision ?? "0" } : { revision, code };
    expect(hashAnswer(store, revision)).toEqual(wanted);
  }
  for (const keyspace of [shows.keyspace, ...shows.keyspace_at]) {
    if (keyspace.code === undefined) expect(keyspaceHash(store, keyspace.revision ?? 0)).toBe(keyspace.dump_sha256);
  }
  expect(historyHash(store, shows.history.from)).toBe(shows.history.sha256);
  const leases = lessor.leaseIds().map((id) => ({
    id: `${id}`,
    granted_ttl: `${lessor.lookup(id)?.ttlSeconds}`,
    keys: lessor.keysOf(id).map(base64).sort(),
  }));
  const byId = (a: { id: string }, b: { id: string }): number => (BigInt(a.id) < BigInt(b.id) ? -1 : 1);
  expect(leases.sort(byId)).toEqual(
    shows.leases.map((lease) => ({ ...lease, keys: [...lease.keys].sort() })).sort(byId),
  );
  await backend.close();
  removeDirectory(directory);
});
