import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeConfChange, decodeConfChangeV2, encodeConfChange, encodeConfChangeV2 } from "./conf-change-codec.ts";
import { decodeConfState, encodeConfState } from "./conf-state-codec.ts";
import { decodeEntry, decodeHardState, encodeEntry, encodeHardState, sizeOfEntry, writeEntry } from "./entry-codec.ts";
import { decodeMessage, encodeMessage } from "./message-codec.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot-codec.ts";
import { RaftDecodeError } from "./reader.ts";
import { createConfState, createMessage, createSnapshot, MessageType, NONE } from "./types.ts";
import type { ConfState, Entry, Message, MessageType as MessageTypeValue, Snapshot } from "./types.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));

const entry = (fields: Partial<Entry>): Entry => ({ type: 0, term: 0, index: 0, data: new Uint8Array(), ...fields });
const message = (type: MessageTypeValue, to: bigint, fields: Partial<Message>): Message => ({
  ...createMessage(type, to),
  ...fields,
});

const memberId = 0x8e9e05c52164694dn;
const confState: ConfState = {
  voters: [1n, memberId],
  learners: [3n],
  votersOutgoing: [4n, 5n],
  learnersNext: [5n],
  autoLeave: true,
};
const snapshot: Snapshot = { data: ascii("state"), metadata: { confState, index: 2 ** 35, term: 7 } };
const snapshotHex = "0a05737461746512220a17080108cdd2918bd2b881cf8e0110031804180520052801108080808080011807";

// Bytes written by the Go code of etcd-io/raft v3.6.0 for the same values.
describe("bytes are those of Go", () => {
  test("entries", () => {
    const bytes = encodeEntry(entry({ type: 1, term: 300, index: Number.MAX_SAFE_INTEGER, data: ascii("hi") }));
    expect(toHex(bytes)).toBe("080110ac0218ffffffffffffff0f22026869");
    expect(toHex(encodeEntry(entry({})))).toBe("080010001800");
  });

  test("hard states, conf states and snapshots", () => {
    const hardState = { term: 2 ** 28, vote: 2n ** 64n - 1n, commit: 2 ** 32 };
    expect(toHex(encodeHardState(hardState))).toBe("08808080800110ffffffffffffffffff01188080808010");
    expect(toHex(encodeConfState(confState))).toBe("080108cdd2918bd2b881cf8e0110031804180520052801");
    expect(toHex(encodeSnapshot(snapshot))).toBe(snapshotHex);
    expect(toHex(encodeSnapshot(createSnapshot()))).toBe("12080a02280010001800");
  });

  test("messages", () => {
    const append = message(MessageType.App, memberId, {
      from: 2n,
      term: 5,
      logTerm: 4,
      index: 127,
      entries: [entry({ term: 5, index: 128, data: ascii("a") }), entry({ term: 5, index: 129 })],
      commit: 126,
    });
    expect(toHex(encodeMessage(append))).toBe(
      "080310cdd2918bd2b881cf8e01180220052804307f3a0a080010051880012201613a0708001005188101407e500058006800",
    );
    expect(toHex(encodeMessage(message(MessageType.Snap, 2n, { from: 1n, term: 5, snapshot })))).toBe(
      `08071002180120052800300040004a2b${snapshotHex}500058006800`,
    );
    const reject = message(MessageType.AppResp, 2n, {
      from: 1n,
      term: 5,
      logTerm: 3,
      index: 9,
      reject: true,
      rejectHint: 200,
      context: new Uint8Array([1, 2]),
    });
    expect(toHex(encodeMessage(reject))).toBe("0804100218012005280330094000500158c801620201026800");
    const storage = message(MessageType.StorageAppend, 2n ** 64n - 1n, {
      from: 1n,
      term: 1,
      vote: 1n,
      commit: 3,
      responses: [message(MessageType.AppResp, 1n, { from: 1n })],
    });
    expect(toHex(encodeMessage(storage))).toBe(
      "081310ffffffffffffffffff011801200128003000400350005800680172140804100118012000280030004000500058006800",
    );
  });

  test("conf changes", () => {
    const v1 = { id: 2n ** 63n, type: 3, nodeId: 77n, context: ascii("{}") } as const;
    expect(toHex(encodeConfChange(v1))).toBe("08808080808080808080011003184d22027b7d");
    const v2 = {
      transition: 2,
      changes: [
        { type: 1, nodeId: 300n },
        { type: 0, nodeId: 1n },
      ],
      context: ascii("x"),
    } as const;
    expect(toHex(encodeConfChangeV2({ ...v2, changes: [...v2.changes] }))).toBe("08021205080110ac021204080010011a0178");
  });
});

// --------------------------------------------------------------------------------------------------- any value

const counters = fc.maxSafeNat();
const ids = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 });
const entries: fc.Arbitrary<Entry> = fc.record({
  type: fc.constantFrom(0, 1, 2),
  term: counters,
  index: counters,
  data: bytes,
});
const idLists = fc.array(ids, { maxLength: 4 });
const confStates: fc.Arbitrary<ConfState> = fc.record({
  voters: idLists,
  learners: idLists,
  votersOutgoing: idLists,
  learnersNext: idLists,
  autoLeave: fc.boolean(),
});
const snapshots: fc.Arbitrary<Snapshot> = fc.record({
  data: bytes,
  metadata: fc.record({ confState: confStates, index: counters, term: counters }),
});
const messages: fc.Arbitrary<Message> = fc.record({
  type: fc.constantFrom(...Object.values(MessageType)),
  to: ids,
  from: ids,
  term: counters,
  logTerm: counters,
  index: counters,
  entries: fc.array(entries, { maxLength: 3 }),
  commit: counters,
  vote: ids,
  snapshot: fc.option(snapshots, { nil: undefined }),
  reject: fc.boolean(),
  rejectHint: counters,
  context: bytes,
  responses: fc.constant([createMessage(MessageType.AppResp, 5n)]),
});

test("what was encoded decodes to the same value", () => {
  fc.assert(
    fc.property(messages, ids, (value, vote) => {
      expect(decodeMessage(encodeMessage(value))).toEqual(value);
      const hardState = { term: value.term, vote, commit: value.commit };
      expect(decodeHardState(encodeHardState(hardState))).toEqual(hardState);
      const change = { id: vote, type: 2, nodeId: value.to, context: value.context } as const;
      expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
      const single = { type: 1, nodeId: vote } as const;
      const changeV2 = { transition: 1, changes: [single, single], context: value.context } as const;
      const mutable = { ...changeV2, changes: [...changeV2.changes] };
      expect(decodeConfChangeV2(encodeConfChangeV2(mutable))).toEqual(mutable);
      if (value.snapshot === undefined) return;
      expect(decodeSnapshot(encodeSnapshot(value.snapshot))).toEqual(value.snapshot);
      const state = value.snapshot.metadata.confState;
      expect(decodeConfState(encodeConfState(state))).toEqual(state);
    }),
  );
});

test("an entry is written at an offset into exactly the size that was computed", () => {
  fc.assert(
    fc.property(entries, fc.nat({ max: 20 }), (value, offset) => {
      const target = new Uint8Array(offset + sizeOfEntry(value) + 1).fill(0xee);
      expect(writeEntry(value, target, offset)).toBe(target.length - 1);
      expect(target[target.length - 1]).toBe(0xee);
      expect(decodeEntry(target, offset, target.length - 1)).toEqual(value);
    }),
  );
});

test("a message that is cut short is refused or is another whole message, never read beyond its end", () => {
  fc.assert(
    fc.property(messages, fc.nat(), (value, cut) => {
      const whole = encodeMessage(value);
      const length = cut % whole.length;
      const padded = new Uint8Array(whole.length + 8).fill(0x7f);
      padded.set(whole.subarray(0, length));
      try {
        const shorter = decodeMessage(padded, 0, length);
        expect(decodeMessage(encodeMessage(shorter))).toEqual(shorter);
      } catch (error) {
        expect(error).toBeInstanceOf(RaftDecodeError);
      }
    }),
  );
});

test("random bytes are refused or decode, and nothing else happens", () => {
  fc.assert(
    fc.property(bytes, (garbage) => {
      try {
        decodeMessage(garbage);
      } catch (error) {
        expect(error).toBeInstanceOf(RaftDecodeError);
      }
    }),
    { numRuns: 2000 },
  );
});

// ------------------------------------------------------------------------------------------- other encoders' bytes

test("unknown fields are passed over and missing ones are zero", () => {
  // Field 100 as varint, 64-bit, bytes and 32-bit, around term 5.
  const odd = fromHex("a006 ff01 a106 0102030405060708 10 05 a206 02 aaaa a506 01020304");
  expect(decodeEntry(odd)).toEqual(entry({ term: 5 }));
  expect(decodeMessage(new Uint8Array())).toEqual(createMessage(MessageType.Hup, NONE));
});

test("packed ids are read like unpacked ones", () => {
  expect(decodeConfState(fromHex("0a 03 01 ac02 08 07"))).toEqual({ ...createConfState(), voters: [1n, 300n, 7n] });
});

test("a message of 3.5, with an empty snapshot and no vote, is understood", () => {
  const heartbeat = decodeMessage(fromHex("0808 1000 1800 2000 2800 3000 4000 4a0a12080a022800 10001800 5000 5800"));
  expect(heartbeat.type).toBe(MessageType.Heartbeat);
  expect(heartbeat.snapshot).toEqual(createSnapshot());
});

test.each([
  ["a counter of 2^53", "10 8080808080808010"],
  ["a varint of eleven bytes", "10 8080808080808080808001"],
  ["an entry type that does not exist", "08 03"],
  ["a length beyond the end", "22 05 61"],
  ["field number zero", "00 01"],
  ["a group", "0b 0c"],
])("%s is refused", (_name, hex) => {
  expect(() => decodeEntry(fromHex(hex))).toThrow(RaftDecodeError);
});

test("responses nested without end are refused", () => {
  let nested = encodeMessage(createMessage(MessageType.Hup, NONE));
  for (let depth = 0; depth < 40; depth++) {
    const length = nested.length < 0x80 ? [nested.length] : [(nested.length & 0x7f) | 0x80, nested.length >> 7];
    nested = new Uint8Array([0x72, ...length, ...nested]);
  }
  expect(() => decodeMessage(nested)).toThrow(RaftDecodeError);
});

test("decoded data is a view of the input", () => {
  const input = encodeEntry(entry({ data: ascii("view") }));
  expect(decodeEntry(input).data.buffer).toBe(input.buffer);
});
