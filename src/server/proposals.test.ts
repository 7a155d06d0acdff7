/** Raft gets no more proposals than there is room for; the rest waits, in order, and is refused only beyond a limit. */
import { expect, test } from "vitest";
import type { RawNode } from "../raft/raw-node.ts";
import { NONE } from "../wire/raft/types.ts";
import { RequestIds } from "./ids.ts";
import { Proposals } from "./proposals.ts";

const kibibyte = 1024;

function fixture(room: number) {
  const handed: Uint8Array[] = [];
  const node = {
    lead: 1n,
    proposeBatch: (entries: readonly Uint8Array[]) => void handed.push(...entries),
  };
  const state = { room, wanted: 0 };
  const proposals = new Proposals({
    ids: new RequestIds(1n, 0),
    node: node as unknown as RawNode,
    timeoutMs: 7_000,
    requestBytesMax: 2 << 20,
    room: () => state.room,
    onceRoom: () => state.wanted++,
  });
  const answers: (string | undefined)[] = [];
  const propose = (size: number, nowMs = 0): void =>
    proposals.propose("put", new Uint8Array(size), (error) => void answers.push(error?.reason), nowMs);
  return { proposals, node, handed, state, answers, propose };
}

test("what there is no room for waits until there is", () => {
  const { proposals, handed, state, propose } = fixture(10 * kibibyte);
  for (let index = 0; index < 8; index++) propose(3 * kibibyte);
  proposals.flush();
  // The one that does not fit whole goes still: with less room than for one there would never be progress.
  expect(handed.length).toBe(4);
  expect(proposals.queuedBytes).toBeGreaterThan(12 * kibibyte);
  proposals.flush();
  expect([handed.length, state.wanted]).toEqual([4, 1]);
  state.room = 100 * kibibyte;
  proposals.roomMayBeThere();
  proposals.flush();
  expect([handed.length, proposals.queuedBytes]).toEqual([8, 0]);
});

test("no room at all holds everything back, and too much of it is refused", () => {
  const { proposals, handed, propose } = fixture(-1);
  for (let index = 0; index < 255; index++) propose(1 << 20);
  proposals.flush();
  expect(handed.length).toBe(0);
  expect(() => propose(2 << 20)).toThrow("etcdserver: request is too large");
  expect(() => {
    for (;;) propose(1 << 20);
  }).toThrow("etcdserver: too many requests");
});

test("one that waited too long for room ends as one that waited too long for its entry", () => {
  const { proposals, node, answers, propose } = fixture(0);
  propose(kibibyte);
  proposals.expire(7_000, () => "timeout");
  expect([answers, proposals.queuedBytes]).toEqual([["timeout"], 0]);
  node.lead = NONE;
  propose(kibibyte);
  proposals.expire(7_000, () => "timeout");
  expect(answers).toEqual(["timeout", "contextDeadlineExceeded"]);
});
