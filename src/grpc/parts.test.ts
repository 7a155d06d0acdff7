import fc from "fast-check";
import { expect, test } from "vitest";
import { TestClock } from "../../test/support/memory-connection.ts";
import { message } from "../../test/support/raw-http2.ts";
import { type Deadline, DeadlineQueue } from "./deadline-queue.ts";
import { MessageReader } from "./message-reader.ts";
import { PingPolicy } from "./ping-policy.ts";
import { contentSubtype } from "./request-head.ts";
import { decodeMessage, encodeMessage } from "./status.ts";
import { formatTimeout, parseTimeout } from "./timeout.ts";

test("property: messages come out whole whatever the pieces they arrive in", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 }),
      (messages, cuts) => {
        const reader = new MessageReader(1000);
        const received: string[] = [];
        const stream = Buffer.concat(messages.map((payload) => message(payload)));
        const sink = {
          receiveMessage: (payload: Uint8Array) => received.push(Buffer.from(payload).toString("hex")) > 0,
          messageTooLarge: () => expect.unreachable(),
        };
        for (let offset = 0, cut = 0; offset < stream.length; cut++) {
          const end = Math.min(stream.length, offset + cuts[cut % cuts.length]);
          const piece = stream.slice(offset, end);
          reader.push(piece, 0, piece.length, sink);
          expect(reader.heldBytes).toBeLessThanOrEqual(300);
          offset = end;
        }
        expect(reader.partial).toBe(false);
        expect(received).toEqual(messages.map((payload) => Buffer.from(payload).toString("hex")));
      },
    ),
  );
});

test("a length alone allocates next to nothing, and one above the limit is reported at once", () => {
  const reader = new MessageReader(2 << 20);
  const sink = { receiveMessage: () => true, messageTooLarge: (length: number) => sizes.push(length) };
  const sizes: number[] = [];
  reader.push(Uint8Array.of(0, 0, 0x1f, 0, 0, 1, 2), 0, 7, sink);
  expect(reader.heldBytes).toBeLessThan(20_000);
  new MessageReader(9).push(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff), 0, 5, sink);
  expect(sizes).toEqual([0xffff_ffff]);
});

test("a message that comes byte by byte holds twice what has come, not a piece of memory for each", () => {
  const size = 2 << 20;
  const reader = new MessageReader(size);
  const received: number[] = [];
  const sink = {
    receiveMessage: (payload: Uint8Array) => received.push(payload.length) > 0,
    messageTooLarge: () => undefined,
  };
  reader.push(Uint8Array.of(0, 0, 0x20, 0, 0), 0, 5, sink);
  for (let come = 1; come < size; come++) {
    reader.push(Uint8Array.of(come), 0, 1, sink);
    if (come % 100_000 === 0) expect(reader.heldBytes).toBeLessThanOrEqual(Math.max(2 * come, 16 * 1024));
  }
  reader.push(Uint8Array.of(0), 0, 1, sink);
  expect(received).toEqual([size]);
  expect(reader.heldBytes).toBe(0);
});

test("timeouts of every unit, and grpc-go's words for bad ones", () => {
  expect(["1H", "2M", "3S", "4m", "5000u", "6000000n", "99999999S", "0S"].map(parseTimeout)).toEqual([
    3_600_000, 120_000, 3000, 4, 5, 6, 99_999_999_000, 0,
  ]);
  expect(["", "S", "123456789S", "12", "1xS"].map(parseTimeout)).toEqual([
    'transport: timeout string is too short: ""',
    'transport: timeout string is too short: "S"',
    'transport: timeout string is too long: "123456789S"',
    'transport: timeout unit is not recognized: "12"',
    'strconv.ParseUint: parsing "1x": invalid syntax',
  ]);
});

test("property: a formatted timeout is never shorter than asked, nor much longer", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e11, noNaN: true }), (ms) => {
      const parsed = parseTimeout(formatTimeout(ms)) as number;
      expect(parsed).toBeGreaterThanOrEqual(ms * (1 - 1e-9));
      expect(parsed).toBeLessThanOrEqual(ms * 1.05 + 0.002);
    }),
  );
});

test("property: status messages survive their encoding, which is printable ASCII", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const encoded = encodeMessage(text);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      expect(decodeMessage(encoded)).toBe(Buffer.from(text, "utf8").toString("utf8"));
    }),
  );
  expect(decodeMessage("100% sure%4")).toBe("100% sure%4");
});

test("content types of gRPC and their subtypes", () => {
  expect(
    ["application/grpc", "application/grpc+proto", "application/grpc;x", "application/grpcx", "text/plain", ""].map(
      contentSubtype,
    ),
  ).toEqual(["", "proto", "x", undefined, undefined, undefined]);
});

test("without a stream pings may come every two hours only", () => {
  const policy = new PingPolicy(5000);
  const allowed = [0, 6000, 12_000, 18_000].map((nowMs) => policy.allow(nowMs, 0, 0));
  expect(allowed).toEqual([true, true, true, false]);
});

test("property: deadlines expire once, not early, at most two steps late; removed ones never", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ afterMs: fc.integer({ min: 1, max: 30_000 }), removed: fc.boolean() }), { maxLength: 40 }),
      async (entries) => {
        const clock = new TestClock();
        const queue = new DeadlineQueue(clock);
        const start = clock.monotonic();
        const expired: [number, number][] = [];
        const deadlines = entries.map(({ afterMs }): Deadline => {
          const deadline: Deadline = {
            deadlineMs: start + afterMs,
            deadlineNext: undefined,
            deadlinePrevious: undefined,
            deadlineSlot: -1,
            expire: () => expired.push([afterMs, clock.monotonic() - start]),
          };
          return deadline;
        });
        for (const deadline of deadlines) queue.add(deadline, start);
        for (const [index, { removed }] of entries.entries()) if (removed) queue.remove(deadlines[index]);
        await clock.advance(31_000);
        const expected = entries.filter(({ removed }) => !removed).map(({ afterMs }) => afterMs);
        expect(expired.map(([afterMs]) => afterMs).toSorted((a, b) => a - b)).toEqual(
          expected.toSorted((a, b) => a - b),
        );
        for (const [afterMs, at] of expired) {
          expect(at).toBeGreaterThanOrEqual(afterMs);
          expect(at).toBeLessThanOrEqual(afterMs + 32);
        }
        expect(queue.count).toBe(0);
        expect(clock.pendingTimers).toBe(0);
      },
    ),
    { numRuns: 20 },
  );
});
