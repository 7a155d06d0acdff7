import { failpointsOff } from "../base/failpoints.ts";
import { beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryBackend } from "../../test/support/memory-backend.ts";
import { Lessor } from "../lease/lessor.ts";
import { Store } from "../mvcc/store.ts";
import { createStderrLogger } from "../platform/node/index.ts";
import { EtcdError } from "../wire/errors.ts";
import { LeaseCheckpointRequest, LeaseRevokeRequest } from "../wire/gen/etcdserverpb/rpc.ts";
import { LeaseLoop } from "./lease-loop.ts";
import type { ProposalCallback } from "./member.ts";

interface Proposed {
  readonly kind: string;
  readonly request: Uint8Array;
  readonly callback: ProposalCallback;
}

let clock: ManualClock;
let lessor: Lessor;
let proposed: Proposed[];
let loop: LeaseLoop;
let isConfirmed: boolean;
let isSure: boolean;
let asked: number;
let whileConfirming: () => void;
let forwarded: bigint[];
let answerForwarded: (renewHere: () => Promise<number>) => Promise<number>;

beforeEach(() => {
  clock = new ManualClock();
  const backend = new MemoryBackend();
  lessor = Lessor.open(backend, {
    minTtlSeconds: 2,
    persistCheckpoints: true,
    checkpointIntervalMs: 300_000,
    expiredRetryMs: 7_000,
  });
  Store.open(backend, lessor);
  proposed = [];
  isConfirmed = true;
  isSure = false;
  asked = 0;
  whileConfirming = () => undefined;
  forwarded = [];
  answerForwarded = () => Promise.resolve(77);
  loop = new LeaseLoop({
    lessor,
    clock,
    log: createStderrLogger("fatal"),
    checkpoints: true,
    failpoints: failpointsOff,
    forward: (id, renewHere) => {
      forwarded.push(id);
      return answerForwarded(renewHere);
    },
    propose: (kind, request, callback) => void proposed.push({ kind, request, callback }),
    isSureToLead: () => isSure,
    readIndex: (callback) => {
      asked++;
      whileConfirming();
      callback(isConfirmed ? undefined : new EtcdError("timeout"));
    },
  });
});

const grant = (id: bigint, ttlSeconds: number): unknown => lessor.grant(id, ttlSeconds, clock.monotonic());
const revoked = (): bigint[] => proposed.map(({ request }) => LeaseRevokeRequest.decode(request).ID);

/** As if the entry had been applied. */
function applyRevoke(entry: Proposed): void {
  lessor.revoke(LeaseRevokeRequest.decode(entry.request).ID);
  entry.callback(undefined, undefined);
}

function renew(id: bigint): { outcome: string | number | undefined } {
  const state: { outcome: string | number | undefined } = { outcome: undefined };
  loop.renew(id, (error, ttl) => (state.outcome = error?.reason ?? ttl));
  return state;
}

test("a lease that was over is not revoked when leadership was lost and won back while it was confirmed", () => {
  lessor.promote(0, clock.monotonic());
  grant(1n, 10);
  whileConfirming = () => {
    whileConfirming = () => undefined;
    lessor.demote();
    lessor.promote(1_000, clock.monotonic()); // every lease has its time again, and clients are told so
  };
  clock.advance(10_500);
  expect(revoked()).toEqual([]);
  expect(lessor.remainingSeconds(1n, clock.monotonic())).toBeGreaterThan(9);
});

test("only the primary revokes, and only after it has made sure that it leads", () => {
  grant(1n, 10);
  clock.advance(60_000);
  expect(proposed).toEqual([]);
  lessor.promote(1_000, clock.monotonic());
  isConfirmed = false;
  clock.advance(12_000);
  expect(proposed).toEqual([]);
  isConfirmed = true;
  clock.advance(7_500);
  expect(revoked()).toEqual([1n]);
  applyRevoke(proposed[0]);
  expect(loop.expired).toBe(1);
  expect(lessor.leaseCount).toBe(0);
});

test("at most 16 revocations are on their way, and the rest follows as they are done", () => {
  lessor.promote(1_000, clock.monotonic());
  for (let id = 1n; id <= 40n; id++) grant(id, 2);
  clock.advance(2_500);
  expect(proposed).toHaveLength(16);
  for (let done = 0; done < 40; done++) applyRevoke(proposed[done]);
  expect(revoked()).toHaveLength(40);
  expect(lessor.leaseCount).toBe(0);
});

test("a revocation that fails is tried again after a while", () => {
  lessor.promote(1_000, clock.monotonic());
  grant(1n, 2);
  clock.advance(2_500);
  proposed[0].callback(new EtcdError("timeout"), undefined);
  clock.advance(5_000);
  expect(proposed).toHaveLength(1);
  clock.advance(3_000);
  expect(revoked()).toEqual([1n, 1n]);
});

test("a renewal of a lease that is over waits for its revocation, and then finds nothing", () => {
  lessor.promote(1_000, clock.monotonic());
  grant(1n, 2);
  clock.advance(2_500);
  const late = renew(1n);
  expect(late.outcome).toBeUndefined();
  applyRevoke(proposed[0]);
  clock.advance(0);
  expect(late.outcome).toBe("leaseNotFound");
});

test("without being the primary a renewal goes to the one who is, or comes back when that is this member", async () => {
  grant(1n, 10);
  const elsewhere = renew(1n);
  await Promise.resolve();
  expect([elsewhere.outcome, forwarded]).toEqual([77, [1n]]);
  answerForwarded = (renewHere) => {
    lessor.promote(1_000, clock.monotonic());
    return renewHere();
  };
  const here = renew(1n);
  await new Promise(setImmediate);
  expect(here.outcome).toBe(10);
  lessor.demote();
  answerForwarded = () => Promise.reject(new EtcdError("noLeader"));
  const nowhere = renew(1n);
  await new Promise(setImmediate);
  expect(nowhere.outcome).toBe("noLeader");
  loop.stop();
  expect(renew(1n).outcome).toBe("stopped");
});

test("a primary that cannot make sure that it leads does not renew", async () => {
  lessor.promote(1_000, clock.monotonic());
  grant(1n, 10);
  isConfirmed = false;
  clock.advance(4_000);
  expect(renew(1n).outcome).toBe("notPrimaryLessor");
  expect(lessor.remainingSeconds(1n, clock.monotonic())).toBe(6);
  whileConfirming = () => lessor.demote();
  const passedOn = renew(1n);
  await Promise.resolve();
  expect([passedOn.outcome, forwarded]).toEqual([77, [1n]]);
});

test("a primary that is sure that it leads renews within the call and asks nobody", () => {
  grant(1n, 10);
  isSure = true;
  expect(loop.renewAtOnce(1n)).toBeUndefined();
  lessor.promote(1_000, clock.monotonic());
  clock.advance(4_000);
  expect([loop.renewAtOnce(1n), loop.renewAtOnce(2n)]).toEqual([10, 0]);
  expect(lessor.remainingSeconds(1n, clock.monotonic())).toBe(10);
  loop.renewForOther(1n, (error, ttl) => expect(error?.reason ?? ttl).toBe(10));
  expect(asked).toBe(0);
  isSure = false;
  expect(loop.renewAtOnce(1n)).toBeUndefined();
  expect(renew(1n).outcome).toBe(10);
  expect(asked).toBe(1);
});

test("what takes an entry of the log, or waits for a revocation, is not renewed within the call", () => {
  lessor.promote(0, clock.monotonic());
  isSure = true;
  grant(1n, 1_000);
  lessor.checkpoint(1n, 700, clock.monotonic());
  expect(loop.renewAtOnce(1n)).toBeUndefined();
  grant(2n, 2);
  clock.advance(2_500);
  expect(loop.renewAtOnce(2n)).toBeUndefined();
  loop.stop();
  expect(loop.renewAtOnce(1n)).toBeUndefined();
});

test("for another member a renewal is made here or refused, and waits for a revocation as well", () => {
  const outcomes: (string | number)[] = [];
  const renewForOther = (): void => loop.renewForOther(1n, (error, ttl) => outcomes.push(error?.reason ?? ttl));
  grant(1n, 2);
  renewForOther();
  lessor.promote(0, clock.monotonic());
  renewForOther();
  clock.advance(2_500);
  renewForOther();
  expect([outcomes, forwarded]).toEqual([["notPrimaryLessor", 2], []]);
  applyRevoke(proposed[0]);
  clock.advance(0);
  expect(outcomes).toEqual(["notPrimaryLessor", 2, "leaseNotFound"]);
});

test("long leases are checkpointed, and a renewal takes the checkpoint back first", () => {
  lessor.promote(0, clock.monotonic());
  grant(1n, 1_000);
  clock.advance(300_500);
  expect(proposed.map(({ kind }) => kind)).toEqual(["leaseCheckpoint"]);
  expect(LeaseCheckpointRequest.decode(proposed[0].request).checkpoints).toEqual([{ ID: 1n, remainingTTL: 700n }]);
  lessor.checkpoint(1n, 700, clock.monotonic());
  const renewed = renew(1n);
  expect(LeaseCheckpointRequest.decode(proposed[1].request).checkpoints).toEqual([{ ID: 1n, remainingTTL: 0n }]);
  expect(renewed.outcome).toBeUndefined();
  lessor.checkpoint(1n, 0, clock.monotonic());
  proposed[1].callback(undefined, undefined);
  expect(renewed.outcome).toBe(1_000);
  expect(lessor.remainingSeconds(1n, clock.monotonic())).toBe(1_000);
  expect(renew(1n).outcome).toBe(1_000);
  expect(proposed).toHaveLength(2);
});
