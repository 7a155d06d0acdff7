/**
 * The power fails at every disk operation of a piece of maintenance in turn. What the drive then holds is the state of
 * before or the state of after: a start works, every revision that the work does not touch has the hash that it had, and
 * the same work, done again, succeeds.
 */
import { expect, test } from "vitest";
import { migrate, parseTarget } from "../../src/cli/etcdutl/migrate.ts";
import type { VirtualPlatform } from "../../src/platform/virtual/index.ts";
import { memberConfig } from "../../src/server/config.ts";
import type { Member } from "../../src/server/member.ts";
import { startMember } from "../../src/server/start-member.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { checkDatabase } from "../../src/storage/bbolt/check.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { CompactionRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { dumpSha256, hashKv, propose, put } from "../support/member.ts";
import { VirtualMachine } from "../support/virtual-machine.ts";

const database = "/data/member/snap/db";
// With a raft snapshot the name of the database is durable; before, the log alone would be enough.
const config = memberConfig({
  dataDir: "/data",
  backendBatchIntervalMs: 20,
  compactionBatchLimit: 10,
  snapshotCount: 25,
});
const puts = 60;
/** Revisions up to here are compacted by the test about that; those above are never touched. */
const compacted = 35;

async function ready(platform: VirtualPlatform): Promise<Member> {
  const member = await startMember(config, platform);
  await member.whenReady();
  return member;
}

/** What must not change, whatever becomes of the work. */
interface Facts {
  readonly revision: number;
  /** Of all pairs at that revision. */
  readonly pairs: string;
  /** HashKV at that revision, which the compact revision is part of. */
  readonly hash: number;
}

function factsOf(member: Member, revision: number): Facts {
  return { revision, pairs: dumpSha256(member, revision).sha256, hash: hashKv(member, revision).hash };
}

async function fill(platform: VirtualPlatform): Promise<Facts> {
  const member = await ready(platform);
  for (let number = 0; number < puts; number++) await put(member, `key-${number % 7}`, `value-${number}`.repeat(40));
  const facts = factsOf(member, member.store.currentRevision);
  await member.stop();
  return facts;
}

interface Maintenance {
  readonly name: string;
  /** On a directory that no process uses. May be done again. */
  work(platform: VirtualPlatform): Promise<void>;
  /** Fewest disk operations it takes: the loop must not end by accident. */
  readonly operationsMin: number;
}

async function withBackend(platform: VirtualPlatform, action: (backend: Backend) => Promise<void>): Promise<void> {
  const backend = await Backend.open(platform.disk, platform.clock, platform.log, database);
  await action(backend);
  await backend.close();
}

const maintenance: Maintenance[] = [
  {
    name: "compaction",
    operationsMin: 20,
    async work(platform) {
      const member = await ready(platform);
      const request = CompactionRequest.encode({ revision: BigInt(compacted), physical: true }).finish();
      if (member.store.compactRevision < compacted) await propose(member, "compaction", request);
      while (member.store.pendingCompactions > 0) {
        await new Promise<void>((resolve) => platform.clock.setTimer(resolve, 10));
      }
      await member.stop();
    },
  },
  {
    name: "defragmentation of a running member",
    operationsMin: 20,
    async work(platform) {
      const member = await ready(platform);
      const defragmented = member.backend.defragment();
      // Writes go on meanwhile; whether these are there is not looked at, as the facts are about what was before.
      for (let number = 0; number < 5; number++) void put(member, `during-${number}`, "x").catch(() => undefined);
      await defragmented;
      await member.stop();
    },
  },
  {
    name: "defragmentation of a stopped member",
    operationsMin: 8,
    work: (platform) => withBackend(platform, (backend) => backend.defragment()),
  },
  {
    name: "migration to 3.5",
    operationsMin: 3,
    async work(platform) {
      const { disk, log } = platform;
      await withBackend(platform, (backend) =>
        migrate(
          { backend, disk, log, walDir: "/data/member/wal", snapDir: "/data/member/snap" },
          parseTarget("3.5"),
          false,
        ),
      );
    },
  },
];

/** As an operator may find the file: every page of it is right. */
function expectSound({ disk }: VirtualPlatform, what: string): void {
  const db = BoltDb.open(disk, database, { readOnly: true });
  expect(checkDatabase(db), what).toEqual([]);
  db.close();
}

/** The work without a crash, and the facts after it. */
async function finished(maintenance: Maintenance): Promise<{ before: Facts; after: Facts }> {
  const machine = new VirtualMachine(0);
  const before = await machine.scheduler.run(fill(machine.boot()));
  await machine.scheduler.run(maintenance.work(machine.boot()));
  const member = await machine.scheduler.run(ready(machine.boot()));
  return { before, after: factsOf(member, before.revision) };
}

test.each(maintenance)(
  "$name: the old or the new state wherever the power fails",
  async (maintenance) => {
    const { before, after } = await finished(maintenance);
    const seen = new Set<number>();
    let operation = 1;
    for (; ; operation++) {
      const machine = new VirtualMachine(operation);
      await machine.scheduler.run(fill(machine.boot()));
      const platform = machine.boot();
      if (!(await machine.crashDuring(platform, operation, () => maintenance.work(platform)))) break;
      const what = `power failed at operation ${operation}`;
      expectSound(machine.boot(), what);
      const member = await machine.scheduler.run(ready(machine.boot()));
      const found = factsOf(member, before.revision);
      expect([before, after], what).toContainEqual(found);
      seen.add(found.hash);
      await machine.scheduler.run(member.stop());
      // Once more, to its end.
      await machine.scheduler.run(maintenance.work(machine.boot()));
      const again = await machine.scheduler.run(ready(machine.boot()));
      expect(factsOf(again, before.revision), what).toEqual(after);
      await machine.scheduler.run(again.stop());
    }
    expect(operation).toBeGreaterThan(maintenance.operationsMin);
    expect(seen).toEqual(new Set([before.hash, after.hash]));
  },
  240_000,
);
