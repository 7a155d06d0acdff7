import { beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { createMessage, MessageType } from "../wire/raft/types.ts";
import { LeaderLease } from "./leader-lease.ts";

let clock: ManualClock;
let wallAheadMs: number;
let node: { isLeader: boolean; term: number };
let reads: (() => void)[];
let lease: LeaderLease;

function leaseWith(times: { heartbeatIntervalMs: number; electionTimeoutMs: number }): LeaderLease {
  return new LeaderLease({
    ...times,
    node,
    clock: { monotonic: () => clock.monotonic(), now: () => clock.now() + wallAheadMs },
    readIndex: (callback) => reads.push(callback),
  });
}

beforeEach(() => {
  clock = new ManualClock();
  clock.advance(5_000);
  wallAheadMs = 0;
  node = { isLeader: true, term: 7 };
  reads = [];
  lease = leaseWith({ heartbeatIntervalMs: 100, electionTimeoutMs: 1_000 });
});

function confirmAfter(ms: number): void {
  const round = lease.beginRound();
  clock.advance(ms);
  lease.confirmed(round);
}

test("a leader is sure for three heartbeats from the beginning of a confirmed read, however late that was confirmed", () => {
  expect(lease.isSure()).toBe(false);
  confirmAfter(200);
  expect(lease.isSure()).toBe(true);
  clock.advance(99);
  expect(lease.isSure()).toBe(true);
  clock.advance(1);
  expect(lease.isSure()).toBe(false);
  confirmAfter(300);
  expect(lease.isSure()).toBe(false);
});

test("it is sure for half an election timeout at most", () => {
  lease = leaseWith({ heartbeatIntervalMs: 100, electionTimeoutMs: 500 });
  confirmAfter(0);
  clock.advance(249);
  expect(lease.isSure()).toBe(true);
  clock.advance(1);
  expect(lease.isSure()).toBe(false);
});

test("an older read that is confirmed later takes nothing away", () => {
  const older = lease.beginRound();
  clock.advance(100);
  confirmAfter(0);
  lease.confirmed(older);
  clock.advance(299);
  expect(lease.isSure()).toBe(true);
});

test("being asked begins one read at a time, before the time is over", () => {
  confirmAfter(0);
  clock.advance(99);
  lease.isSure();
  expect(reads).toHaveLength(0);
  clock.advance(1);
  expect([lease.isSure(), lease.isSure()]).toEqual([true, true]);
  expect(reads).toHaveLength(1);
  reads[0]();
  lease.isSure();
  expect(reads).toHaveLength(2);
});

test("a read proves nothing about another term, nor when this member did not lead as it began", () => {
  confirmAfter(0);
  node.term = 8;
  expect(lease.isSure()).toBe(false);
  node.term = 7;
  node.isLeader = false;
  expect(lease.isSure()).toBe(false);
  const asFollower = lease.beginRound();
  clock.advance(400);
  node.isLeader = true;
  lease.confirmed(asFollower);
  expect(lease.isSure()).toBe(false);
  const before = lease.beginRound();
  node.term = 9;
  lease.confirmed(before);
  expect(lease.isSure()).toBe(false);
});

test("a changed configuration takes a read that began after it", () => {
  confirmAfter(0);
  const before = lease.beginRound();
  lease.configurationChanged();
  expect(lease.isSure()).toBe(false);
  lease.confirmed(before);
  expect(lease.isSure()).toBe(false);
  clock.advance(1);
  confirmAfter(1);
  expect(lease.isSure()).toBe(true);
});

test("once another member was told to take over, nothing is sure for the rest of the term", () => {
  confirmAfter(0);
  const timeoutNow = createMessage(MessageType.TimeoutNow, 2n);
  timeoutNow.term = 7;
  const append = createMessage(MessageType.App, 3n);
  append.term = 7;
  lease.sending([append]);
  expect(lease.isSure()).toBe(true);
  lease.sending([append, timeoutNow]);
  expect(lease.isSure()).toBe(false);
  confirmAfter(1);
  expect(lease.isSure()).toBe(false);
  node.term = 9;
  confirmAfter(1);
  expect(lease.isSure()).toBe(true);
});

test("a machine that slept, and whose monotonic clock with it, is not sure", () => {
  confirmAfter(0);
  wallAheadMs = 300;
  expect(lease.isSure()).toBe(false);
  confirmAfter(0);
  wallAheadMs = -10_000;
  expect(lease.isSure()).toBe(true);
  clock.advance(300);
  expect(lease.isSure()).toBe(false);
});
