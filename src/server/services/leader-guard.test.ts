import { expect, test } from "vitest";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import type { StreamCall } from "../../grpc/calls.ts";
import type { Member } from "../member.ts";
import { LeaderGuard } from "./leader-guard.ts";

function setUp() {
  const clock = new ManualClock();
  let changed = (): void => undefined;
  const raft = { leaderId: 1n };
  const member = {
    raft,
    config: { electionTimeoutMs: 1000 },
    platform: { clock },
    onLeadershipChange: (callback: () => void) => (changed = callback),
  } as unknown as Member;
  const guard = new LeaderGuard(member);
  const lead = (leaderId: bigint): void => {
    raft.leaderId = leaderId;
    changed();
  };
  return { clock, guard, lead };
}

function stream(hasLeader: string | undefined) {
  const failures: unknown[] = [];
  let close = (): void => undefined;
  const call = {
    metadata: (name: string) => (name === "hasleader" ? hasLeader : undefined),
    onClose: (callback: () => void) => (close = callback),
    fail: (code: number, message: string) => failures.push([code, message]),
  } as unknown as StreamCall;
  return { call, failures, close: () => close() };
}

test("streams that asked for a leader end when there was none for three election timeouts, others go on", () => {
  const { clock, guard, lead } = setUp();
  const [asking, other, gone] = [stream("true"), stream(undefined), stream("true")];
  for (const { call } of [asking, other, gone]) guard.watch(call);
  gone.close();
  lead(0n);
  clock.advance(2999);
  expect(asking.failures).toEqual([]);
  clock.advance(1);
  expect(asking.failures).toEqual([[14, "etcdserver: no leader"]]);
  expect(other.failures).toEqual([]);
  expect(gone.failures).toEqual([]);
});

test("a leader that comes back in time ends nothing", () => {
  const { clock, guard, lead } = setUp();
  const { call, failures } = stream("true");
  guard.watch(call);
  lead(0n);
  clock.advance(2000);
  lead(2n);
  clock.advance(10_000);
  expect(failures).toEqual([]);
});
