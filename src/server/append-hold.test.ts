import { expect, test } from "vitest";
import { createMessage, type Entry, EntryType, type Message, MessageType } from "../wire/raft/types.ts";
import { AppendHold } from "./append-hold.ts";

function append(index: number, count: number, to = 2n): Message {
  const entries = Array.from({ length: count }, (_, place): Entry => {
    return { type: EntryType.Normal, term: 3, index: index + 1 + place, data: new Uint8Array(10) };
  });
  return { ...createMessage(MessageType.App, to), from: 1n, term: 3, logTerm: 3, index, entries };
}

function released(hold: AppendHold): Message[] {
  const target: Message[] = [];
  hold.releaseTo(target);
  return target;
}

const leader = { isLeader: true, committed: 5 };

test("an append leaves at once while nothing before it is on its way to the disk", () => {
  const hold = new AppendHold();
  hold.beginTurn(leader, false);
  expect(hold.keeps(append(5, 1))).toBe(false);
  hold.appendedIndex = 6;
  hold.beginTurn({ isLeader: true, committed: 6 }, true); // the others were faster than our disk
  expect(hold.keeps(append(6, 1))).toBe(false);
});

test("behind entries that are being synced appends wait, in order, until that ends", () => {
  const hold = new AppendHold();
  hold.appendedIndex = 6;
  hold.beginTurn(leader, true);
  expect(hold.keeps(append(6, 0))).toBe(false);
  const waiting = [append(6, 2), append(6, 2, 3n), append(8, 1), append(9, 0)];
  for (const message of waiting) expect(hold.keeps(message)).toBe(true);
  expect(hold.keeps(createMessage(MessageType.Heartbeat, 2n))).toBe(false);
  expect(released(hold)).toEqual([]);
  hold.beginTurn(leader, true);
  expect(released(hold)).toEqual([]);
  expect(hold.end()).toBe(true);
  expect(released(hold)).toEqual(waiting);
  expect(hold.end()).toBe(false);
  expect(released(hold)).toEqual([]);
});

test("who leads no more holds nothing", () => {
  const hold = new AppendHold();
  hold.appendedIndex = 6;
  hold.beginTurn(leader, true);
  hold.keeps(append(6, 1));
  hold.beginTurn({ isLeader: false, committed: 5 }, true);
  expect(hold.keeps(append(7, 1))).toBe(true);
  expect(released(hold)).toEqual([append(6, 1), append(7, 1)]);
});
