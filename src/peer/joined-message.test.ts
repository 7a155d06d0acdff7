import fc from "fast-check";
import { expect, test } from "vitest";
import { createMessage, type Entry, EntryType, type Message, MessageType } from "../wire/raft/types.ts";
import { joinedMessage } from "./joined-message.ts";

function append(index: number, count: number, fields: Partial<Message> = {}, bytes = 10): Message {
  const entries = Array.from({ length: count }, (_, place): Entry => {
    return { type: EntryType.Normal, term: 3, index: index + 1 + place, data: new Uint8Array(bytes) };
  });
  return { ...createMessage(MessageType.App, 2n), from: 1n, term: 3, logTerm: 3, index, entries, ...fields };
}

function answer(index: number, fields: Partial<Message> = {}): Message {
  return { ...createMessage(MessageType.AppResp, 1n), from: 2n, term: 3, index, ...fields };
}

test("appends that follow each other become one, with the later commit index", () => {
  expect(joinedMessage(append(5, 2, { commit: 4 }), append(7, 1, { commit: 5 }))).toEqual(append(5, 3, { commit: 5 }));
  expect(joinedMessage(append(5, 2, { commit: 4 }), append(7, 0, { commit: 7 }))).toEqual(append(5, 2, { commit: 7 }));
  expect(joinedMessage(append(5, 0, { commit: 5 }), append(5, 2, { commit: 5 }))).toEqual(append(5, 2, { commit: 5 }));
});

test("an append of another place, log or term, or one that grows too large, stays by itself", () => {
  const before = append(5, 2);
  expect(joinedMessage(before, append(5, 2))).toBeUndefined();
  expect(joinedMessage(before, append(8, 1))).toBeUndefined();
  expect(joinedMessage(before, append(7, 1, { term: 4 }))).toBeUndefined();
  expect(joinedMessage(before, append(7, 1, { logTerm: 2 }))).toBeUndefined();
  expect(joinedMessage(append(5, 1000), append(1005, 25))).toBeUndefined();
  expect(joinedMessage(append(5, 1, {}, 300 << 10), append(6, 1, {}, 300 << 10))).toBeUndefined();
  expect(joinedMessage(append(5, 0, { commit: 4 }), append(5, 2000, { commit: 4 }))).toBeDefined();
});

test("of two acknowledgements the later one is enough, and a rejection is never left out", () => {
  expect(joinedMessage(answer(6), answer(7))).toEqual(answer(7));
  expect(joinedMessage(answer(6), answer(6))).toEqual(answer(6));
  expect(joinedMessage(answer(7), answer(6))).toBeUndefined();
  expect(joinedMessage(answer(6), answer(7, { term: 4 }))).toBeUndefined();
  expect(joinedMessage(answer(6), answer(7, { reject: true }))).toBeUndefined();
  expect(joinedMessage(answer(6, { reject: true }), answer(7))).toBeUndefined();
});

test("other messages are left as they are", () => {
  const heartbeat = { ...createMessage(MessageType.Heartbeat, 2n), from: 1n, term: 3 };
  expect(joinedMessage(heartbeat, heartbeat)).toBeUndefined();
  expect(joinedMessage(heartbeat, append(5, 1))).toBeUndefined();
});

test("however appends are joined, the same entries arrive, and no commit index gets lost", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 20 }), (counts) => {
      const queue: Message[] = [];
      let index = 0;
      for (const count of counts) {
        const message = append(index, count, { commit: index });
        const joined = queue.length === 0 ? undefined : joinedMessage(queue[queue.length - 1], message);
        if (joined !== undefined) queue.pop();
        queue.push(joined ?? message);
        index += count;
      }
      expect(queue).toEqual([append(0, index, { commit: index - counts[counts.length - 1] })]);
    }),
  );
});
