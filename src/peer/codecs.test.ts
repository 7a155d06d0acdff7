import fc from "fast-check";
import { expect, test } from "vitest";
import { RaftDecodeError } from "../wire/raft/reader.ts";
import { createMessage, createSnapshot, EntryType, MessageType, type Entry, type Message } from "../wire/raft/types.ts";
import { AppendDecoder, AppendEncoder } from "./append-codec.ts";
import { MessageDecoder, MessageEncoder } from "./message-codec.ts";
import {
  isLinkHeartbeat,
  linkHeartbeat,
  SizeLimitError,
  type StreamDecoder,
  type StreamEncoder,
} from "./stream-codec.ts";

const local = 0xdf9b2087c1a39edfn;
const remote = 0xc23c7b205e0a015bn;

function hex(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text.replace(/\s/g, ""), "hex"));
}

function encode(encoder: StreamEncoder, messages: readonly Message[]): Uint8Array {
  const parts = messages.map((message) => {
    const size = encoder.size(message);
    const bytes = new Uint8Array(size);
    expect(encoder.write(message, bytes, 0)).toBe(size);
    return bytes;
  });
  return new Uint8Array(Buffer.concat(parts));
}

function decode(decoder: StreamDecoder, bytes: Uint8Array, pieceBytes = bytes.length): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    decoder.push(new Uint8Array(bytes.subarray(at, at + pieceBytes)), (message) => messages.push(message));
  }
  return messages;
}

function append(fields: Partial<Message>): Message {
  return { ...createMessage(MessageType.App, local), from: remote, ...fields };
}

function entry(term: number, index: number, data = new Uint8Array(0)): Entry {
  return { type: EntryType.Normal, term, index, data };
}

test("the append stream writes what a real etcd wrote when a new leader began", () => {
  const message = append({ term: 4, logTerm: 3, index: 0x71, entries: [entry(4, 0x72)], commit: 0x71 });
  const followUp = append({ term: 4, logTerm: 4, index: 0x72, commit: 0x72 });
  // Recorded from 3.5, which writes an empty snapshot (4a0a...) where 3.6 writes none, and has no field 13.
  const recorded = hex(
    `02 0000000000000038 0803 10dfbd8e8dfc90c8cddf01 18db82a8f085e49e9ec201 2004 2803 3071 3a06 080010041872
     4071 4a0a12080a02280010001800 5000 5800
     01 0000000000000000 0000000000000072`,
  );
  const [decoded, next] = decode(new AppendDecoder(local, remote), recorded);
  expect({ ...decoded, snapshot: undefined }).toEqual(message);
  expect(next).toEqual(followUp);
  const ours = encode(new AppendEncoder(), [linkHeartbeat, message, followUp]);
  expect(Buffer.from(ours).toString("hex")).toBe(
    Buffer.from(
      hex(
        `00 02 000000000000002e 0803 10dfbd8e8dfc90c8cddf01 18db82a8f085e49e9ec201 2004 2803 3071 3a06 080010041872
         4071 5000 5800 6800 01 0000000000000000 0000000000000072`,
      ),
    ).toString("hex"),
  );
});

test("the message stream reads the recorded heartbeat of the link and writes 3.6's form of it", () => {
  const recorded = hex("000000000000001e 0808 1000 1800 2000 2800 3000 4000 4a0a12080a022800 10001800 5000 5800");
  const [message] = decode(new MessageDecoder(), recorded);
  expect(isLinkHeartbeat(message)).toBe(true);
  const ours = Buffer.from(encode(new MessageEncoder(), [linkHeartbeat])).toString("hex");
  expect(ours).toBe("00000000000000140808100018002000280030004000500058006800");
});

const anyBytes = fc.uint8Array({ maxLength: 200 });
const anyCount = fc.nat({ max: 1_000_000 });
const anyEntries = fc.array(
  fc.record({ type: fc.constantFrom(0, 1, 2), term: anyCount, index: anyCount, data: anyBytes }),
  { maxLength: 5 },
) as fc.Arbitrary<Entry[]>;

const anyMessage: fc.Arbitrary<Message> = fc
  .record({
    type: fc.integer({ min: 2, max: 18 }),
    term: anyCount,
    logTerm: anyCount,
    index: anyCount,
    entries: anyEntries,
    commit: anyCount,
    reject: fc.boolean(),
    rejectHint: anyCount,
    context: anyBytes,
  })
  .map((fields) => ({ ...createMessage(MessageType.App, local), from: remote, ...(fields as Partial<Message>) }));

test("whatever is written to a message stream is read again, in pieces of any size", () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 6 }), fc.integer({ min: 1, max: 300 }), (messages, piece) => {
      const bytes = encode(new MessageEncoder(), messages);
      expect(decode(new MessageDecoder(), bytes, piece)).toEqual(messages);
    }),
  );
});

/** A leader's appends: mostly one follows from the other, now and then it jumps, probes or sends no entries. */
const leaderAppends = fc
  .array(
    fc.record({
      jump: fc.option(anyCount, { freq: 4 }),
      newTerm: fc.boolean(),
      datas: fc.array(anyBytes, { maxLength: 4 }),
      commit: anyCount,
      heartbeat: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map((steps) => {
    const messages: Message[] = [];
    let term = 1;
    let logTerm = 0;
    let index = 0;
    for (const step of steps) {
      if (step.heartbeat) messages.push(linkHeartbeat);
      if (step.newTerm) term++;
      if (step.jump !== null) {
        index = step.jump;
        logTerm = Math.min(term, step.jump);
      }
      const entries = step.datas.map((data, at) => entry(term, index + 1 + at, data));
      messages.push(append({ term, logTerm, index, entries, commit: step.commit }));
      if (entries.length > 0) logTerm = term;
      index += entries.length;
    }
    return messages;
  });

test("whatever appends a leader sends, the follower reads the same", () => {
  fc.assert(
    fc.property(leaderAppends, fc.integer({ min: 1, max: 300 }), (messages, piece) => {
      const bytes = encode(new AppendEncoder(), messages);
      expect(decode(new AppendDecoder(local, remote), bytes, piece)).toEqual(messages);
    }),
  );
});

test("an append that follows costs seventeen bytes and its entries", () => {
  const encoder = new AppendEncoder();
  encode(encoder, [append({ term: 2, logTerm: 2, index: 9, entries: [entry(2, 10)] })]);
  expect(encoder.size(append({ term: 2, logTerm: 2, index: 10, commit: 10 }))).toBe(17);
  expect(encoder.size(append({ term: 2, logTerm: 2, index: 11, commit: 10 }))).toBeGreaterThan(17);
});

test("decoded messages do not share memory with what the network reuses", () => {
  const bytes = encode(new MessageEncoder(), [append({ term: 1, entries: [entry(1, 1, hex("aabb"))] })]);
  const piece = new Uint8Array(bytes);
  const [message] = decode(new MessageDecoder(), piece);
  piece.fill(0); // decode() gave the decoder a copy of its own
  expect(message.entries[0].data).toEqual(hex("aabb"));
});

test("garbage is refused: unknown kinds, sizes beyond the limit, messages that make no sense", () => {
  const sink = (): void => undefined;
  expect(() => new AppendDecoder(local, remote).push(hex("07"), sink)).toThrow(RaftDecodeError);
  expect(() => new AppendDecoder(local, remote).push(hex("02 0000000100000000"), sink)).toThrow(SizeLimitError);
  expect(() => new AppendDecoder(local, remote).push(hex("01 0000000000000001 ffffffffffffffff"), sink)).toThrow(
    RaftDecodeError,
  );
  expect(() => new MessageDecoder().push(hex("0000000020000001"), sink)).toThrow(SizeLimitError);
  expect(() => new MessageDecoder().push(hex("0000000000000002 ffff"), sink)).toThrow(RaftDecodeError);
});

test("any bytes either decode or are refused, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const decoder of [new AppendDecoder(local, remote), new MessageDecoder()]) {
        try {
          decode(decoder, bytes, 7);
        } catch (error) {
          expect(error instanceof RaftDecodeError || error instanceof SizeLimitError).toBe(true);
        }
      }
    }),
  );
});

test("a snapshot message survives the message codec", () => {
  const snapshot = { ...createSnapshot(), data: hex("7b7d") };
  snapshot.metadata.index = 12;
  const message = { ...createMessage(MessageType.Snap, local), from: remote, snapshot };
  expect(decode(new MessageDecoder(), encode(new MessageEncoder(), [message]))).toEqual([message]);
});
