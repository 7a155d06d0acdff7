import { expect, test } from "vitest";
import { createMessage, EntryType, type Message, MessageType } from "../wire/raft/types.ts";
import { HeldProposals } from "./held-proposals.ts";

function proposal(bytes: number): Message {
  const entry = { type: EntryType.Normal, term: 0, index: 0, data: new Uint8Array(bytes) };
  return { ...createMessage(MessageType.Prop, 1n), from: 2n, entries: [entry] };
}

test("they come back in order, once", () => {
  const held = new HeldProposals();
  const messages = [proposal(1), proposal(2), proposal(3)];
  for (const message of messages) expect(held.hold(message)).toBe(true);
  expect(held.count).toBe(3);
  expect(held.take()).toEqual(messages);
  expect(held.take()).toEqual([]);
});

test("neither many nor large ones take memory without end", () => {
  const held = new HeldProposals();
  let kept = 0;
  while (held.hold(proposal(10))) kept += 1;
  expect(kept).toBe(4_096);
  held.take();
  kept = 0;
  while (held.hold(proposal(1 << 20))) kept += 1;
  expect(kept).toBe(64);
  held.take();
  expect(held.hold(proposal(1))).toBe(true);
});
