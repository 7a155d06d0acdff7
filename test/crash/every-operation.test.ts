/**
 * One member in virtual time, its power failing at every disk operation of a short life in turn: creation, writes, a
 * compaction, a raft snapshot, a graceful stop and a second start. Whatever the drive keeps of what was not synced,
 * everything that was acknowledged is there afterwards, and nothing that was never asked for.
 */
import { expect, test } from "vitest";
import type { VirtualPlatform } from "../../src/platform/virtual/index.ts";
import { memberConfig, type MemberConfig } from "../../src/server/config.ts";
import type { Member } from "../../src/server/member.ts";
import { startMember } from "../../src/server/start-member.ts";
import { CompactionRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { decodeKeyValue } from "../../src/wire/hot/key-value.ts";
import { encodeDeleteRangeRequest } from "../../src/wire/hot/kv-requests.ts";
import { propose, put, rangeAll } from "../support/member.ts";
import { VirtualMachine } from "../support/virtual-machine.ts";

const none = new Uint8Array(0);
const config = memberConfig({ dataDir: "/data", snapshotCount: 5, backendBatchIntervalMs: 20, maxWals: 1 });
const careless = { ...config, unsafeNoFsync: true };
/** A keyspace: key → value. */
type Keyspace = Map<string, string>;

/** What a client knows: the state after each request it was given an answer for, and the request that is under way. */
class Witness {
  acknowledged: Keyspace = new Map();
  /** What the store may hold beyond: the request that was sent and not answered. */
  pending: Keyspace | undefined;

  async doing(change: (keys: Keyspace) => void, request: () => Promise<unknown>): Promise<void> {
    const after = new Map(this.acknowledged);
    change(after);
    this.pending = after;
    await request();
    this.acknowledged = after;
    this.pending = undefined;
  }
}

async function ready(platform: VirtualPlatform, settings: MemberConfig = config): Promise<Member> {
  const member = await startMember(settings, platform);
  await member.whenReady();
  return member;
}

/** The life that is interrupted. */
async function live(platform: VirtualPlatform, witness: Witness, settings: MemberConfig): Promise<void> {
  let member = await ready(platform, settings);
  for (let round = 0; round < 8; round++) {
    const key = `key-${round % 3}`;
    const value = `value-${round}`;
    await witness.doing(
      (keys) => keys.set(key, value),
      () => put(member, key, value),
    );
    if (round === 4) {
      const request = encodeDeleteRangeRequest({ key: Buffer.from("key-0"), rangeEnd: none, prevKv: false });
      await witness.doing(
        (keys) => keys.delete("key-0"),
        () => propose(member, "deleteRange", request),
      );
      await propose(member, "compaction", CompactionRequest.encode({ revision: 4n, physical: false }).finish());
      await new Promise<void>((resolve) => platform.clock.setTimer(resolve, 50));
    }
  }
  await member.stop();
  member = await ready(platform, settings);
  await witness.doing(
    (keys) => keys.set("last", "word"),
    () => put(member, "last", "word"),
  );
  await member.stop();
}

function keyspace(member: Member): Keyspace {
  const pairs = member.store.range(rangeAll()).response.kvs.map((kv) => decodeKeyValue(kv));
  return new Map(pairs.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()]));
}

function sorted(keys: Keyspace): [string, string][] {
  return [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Lives until the power fails at `operation`. @returns false when the life was over before. */
async function crashAt(operation: number, settings: MemberConfig = config): Promise<boolean> {
  const machine = new VirtualMachine(operation);
  const witness = new Witness();
  const platform = machine.boot();
  const hasCrashed = await machine.crashDuring(platform, operation, () => live(platform, witness, settings));
  if (!hasCrashed) return false;
  const { acknowledged, pending } = witness;
  const member = await machine.scheduler.run(ready(machine.boot()));
  const found = keyspace(member);
  const outcomes = [acknowledged, ...(pending === undefined ? [] : [pending])].map(sorted);
  // Not as maps: a search in a list takes any two maps for equal.
  expect(outcomes, `power failed at operation ${operation}`).toContainEqual(sorted(found));
  // It goes on living: a write after the crash is there after one more restart.
  await machine.scheduler.run(put(member, "after", "crash"));
  await machine.scheduler.run(member.stop());
  const again = await machine.scheduler.run(ready(machine.boot()));
  expect(keyspace(again)).toEqual(new Map([...found, ["after", "crash"]]));
  await machine.scheduler.run(again.stop());
  return true;
}

test("power fails at every disk operation: nothing acknowledged is lost, nothing is invented", async () => {
  let operation = 1;
  while (await crashAt(operation)) operation++;
  // The life is long enough to be worth it, and the loop did not end by accident.
  expect(operation).toBeGreaterThan(60);
}, 240_000);

test("the check notices a loss: a member that does not sync is caught", async () => {
  const losses: unknown[] = [];
  for (let operation = 1; operation < 200; operation++) {
    try {
      if (!(await crashAt(operation, careless))) break;
    } catch (error) {
      losses.push(error);
    }
  }
  expect(losses.length).toBeGreaterThan(0);
}, 240_000);
