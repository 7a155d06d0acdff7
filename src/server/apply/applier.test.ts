import { beforeEach, describe, expect, test } from "vitest";
import { MemoryBackend } from "../../../test/support/memory-backend.ts";
import { AlarmStore, AlarmType } from "../../alarm/alarm-store.ts";
import { AuthStore } from "../../auth/auth-store.ts";
import { noTokens } from "../../auth/tokens.ts";
import { Lessor } from "../../lease/lessor.ts";
import { Store } from "../../mvcc/store.ts";
import { NodeClock } from "../../platform/node/clock.ts";
import type { Backend } from "../../storage/backend/backend.ts";
import { EtcdError, type ReasonName } from "../../wire/errors.ts";
import { decodeRangeRequest } from "../../wire/hot/kv-requests.ts";
import type { RaftRequest } from "../../wire/hot/raft-request.ts";
import type { PutRequest } from "../../wire/hot/types.ts";
import { Quota } from "../quota.ts";
import { Applier } from "./applier.ts";
import type { ApplyResult } from "./result.ts";

const header = { id: 1n, username: "", authRevision: 0n };
const putOf = (key: string): PutRequest => ({
  key: Buffer.from(key),
  value: Buffer.from("v"),
  lease: 0n,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
});
const put: RaftRequest = { ...header, kind: "put", put: putOf("k") };
const deleteRange: RaftRequest = {
  ...header,
  kind: "deleteRange",
  deleteRange: { key: Buffer.from("k"), rangeEnd: new Uint8Array(0), prevKv: false },
};
const txn = (key: string | undefined): RaftRequest => ({
  ...header,
  kind: "txn",
  txn: { compare: [], success: [], failure: key === undefined ? [] : [{ kind: "put", put: putOf(key) }] },
});
const leaseGrant: RaftRequest = { ...header, kind: "leaseGrant", leaseGrant: { ID: 5n, TTL: 100n } };
const leaseRevoke: RaftRequest = { ...header, kind: "leaseRevoke", leaseRevoke: { ID: 5n } };
const compaction = (revision: bigint): RaftRequest => ({
  ...header,
  kind: "compaction",
  compaction: { revision, physical: false },
});
const alarm = (action: 0 | 1 | 2, type: 0 | 1 | 2, memberID = 7n): RaftRequest => ({
  ...header,
  kind: "alarm",
  alarm: { action, memberID, alarm: type },
});

let backend: MemoryBackend & { size: number };
let store: Store;
let applier: Applier;

beforeEach(() => {
  backend = Object.assign(new MemoryBackend(), { size: 0 });
  const asBackend = backend as unknown as Backend;
  const lessor = Lessor.open(backend, { minTtlSeconds: 2, persistCheckpoints: false });
  store = Store.open(backend, lessor);
  const alarms = AlarmStore.open(asBackend);
  const quota = new Quota(asBackend, 1_000);
  const auth = AuthStore.open(backend, { tokens: noTokens, hashPassword: (text) => text, info: () => undefined });
  const clock = new NodeClock();
  applier = new Applier({ store, lessor, alarms, auth, quota, clock, consistentIndex: { index: 1 } });
});

/** The reason of the refusal, or the result. */
function apply(request: RaftRequest): ReasonName | ApplyResult | undefined {
  try {
    return applier.apply(request, true);
  } catch (error) {
    if (error instanceof EtcdError) return error.reason;
    throw error;
  }
}

describe("alarms", () => {
  test("while a member is full, what costs space is refused and what frees it is not", () => {
    apply(put);
    apply(alarm(1, AlarmType.NoSpace));
    expect(apply(put)).toBe("noSpace");
    expect(apply(leaseGrant)).toBe("noSpace");
    expect(apply(txn("x"))).toBe("noSpace");
    expect(apply(txn(undefined))).toMatchObject({ kind: "txn" });
    expect(apply(deleteRange)).toMatchObject({ kind: "deleteRange", revision: 3, response: { deleted: 1 } });
    expect(apply(compaction(2n))).toMatchObject({ kind: "compaction" });
    expect(apply(leaseRevoke)).toBe("leaseNotFound");
    apply(alarm(2, AlarmType.NoSpace));
    expect(apply(put)).toMatchObject({ kind: "put", revision: 4 });
  });

  test("while data is known to be corrupt, nothing but alarms moves", () => {
    apply(alarm(1, AlarmType.Corrupt));
    for (const request of [put, deleteRange, txn(undefined), compaction(1n), leaseGrant, leaseRevoke]) {
      expect(apply(request), request.kind).toBe("corrupt");
    }
    expect(store.currentRevision).toBe(1);
    expect(apply(alarm(2, AlarmType.Corrupt))).toEqual({
      kind: "alarm",
      alarms: [{ memberId: 7n, alarm: AlarmType.Corrupt }],
    });
    expect(apply(put)).toMatchObject({ kind: "put" });
  });

  test("an alarm is raised once, and an unknown one is not taken back", () => {
    const raised = { kind: "alarm", alarms: [{ memberId: 7n, alarm: AlarmType.NoSpace }] };
    expect(apply(alarm(1, AlarmType.NoSpace))).toEqual(raised);
    expect(apply(alarm(1, AlarmType.NoSpace))).toEqual(raised);
    expect(apply(alarm(1, AlarmType.None))).toEqual({ kind: "alarm", alarms: [] });
    expect(apply(alarm(2, AlarmType.Corrupt))).toEqual({ kind: "alarm", alarms: [] });
    expect(apply(alarm(0, AlarmType.None))).toEqual(raised);
    expect(apply(alarm(0, AlarmType.Corrupt))).toEqual({ kind: "alarm", alarms: [] });
  });
});

test("what exceeds the quota is written all the same, and only the answer says so", () => {
  backend.size = 999;
  expect(apply(put)).toBe("noSpace");
  expect(store.currentRevision).toBe(2);
  expect(apply(leaseGrant)).toBe("noSpace");
  expect(apply(leaseGrant)).toBe("leaseExists");
  expect(apply(deleteRange)).toMatchObject({ kind: "deleteRange", response: { deleted: 1 } });
});

test("a read that stands in the log answers nobody", () => {
  const range = decodeRangeRequest(Uint8Array.of(0x0a, 1, 0x6b));
  expect(applier.apply({ ...header, kind: "range", range }, false)).toBeUndefined();
  expect(applier.apply({ ...header, kind: "authUserList", payload: new Uint8Array(0) }, false)).toBeUndefined();
});

test("an entry that this version does not know stops the member", () => {
  expect(() => applier.apply({ ...header, kind: "none" }, false)).toThrow("does not know");
});
