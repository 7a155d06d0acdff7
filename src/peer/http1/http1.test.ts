import fc from "fast-check";
import { expect, test } from "vitest";
import { headBytesMax } from "../limits.ts";
import { BodyReader, requestFraming, responseFraming, writeChunkHead, writeChunkTail, type Framing } from "./body.ts";
import { HeadReader, HttpSyntaxError } from "./head.ts";

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** Feeds `bytes` in pieces; returns the payload and how many bytes were taken. */
function read(
  framing: Framing,
  bytes: Uint8Array,
  pieceBytes: number,
): { payload: string; taken: number; done: boolean } {
  const reader = new BodyReader(framing);
  let payload = "";
  let taken = 0;
  while (taken < bytes.length && !reader.done) {
    const piece = bytes.subarray(taken, taken + pieceBytes);
    const end = reader.push(piece, 0, (view) => (payload += Buffer.from(view).toString("latin1")));
    taken += end;
  }
  return { payload, taken, done: reader.done };
}

test("a head is read whatever pieces it comes in, and what follows is left", () => {
  const text = "POST /raft?x=1 HTTP/1.1\r\nHost: a:2380\r\nX-Thing:  two words \r\nX-Thing: more\r\n\r\nBODY";
  const bytes = bytesOf(text);
  for (let piece = 1; piece <= bytes.length; piece++) {
    const reader = new HeadReader();
    let at = 0;
    for (;;) {
      const chunk = bytes.subarray(at, at + piece);
      const end = reader.push(chunk, 0);
      if (end >= 0) {
        expect(at + end).toBe(text.indexOf("BODY"));
        break;
      }
      at += chunk.length;
    }
    const head = reader.request();
    expect([head.method, head.target, head.minor]).toEqual(["POST", "/raft?x=1", 1]);
    expect(head.fields.get("x-thing")).toBe("two words, more");
  }
});

test("one reader takes one head after the other", () => {
  const reader = new HeadReader();
  const bytes = bytesOf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n\r\n");
  const first = reader.push(bytes, 0);
  expect(reader.response().status).toBe(100);
  expect(reader.push(bytes, first)).toBe(bytes.length);
  expect(reader.response()).toMatchObject({ status: 204, statusLine: "204 No Content" });
});

test("heads that are none are refused", () => {
  for (const text of [
    "GET /\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
    "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
    "G(T / HTTP/1.1\r\n\r\n",
  ]) {
    const reader = new HeadReader();
    expect(reader.push(bytesOf(text), 0)).toBe(text.length);
    expect(() => reader.request(), text).toThrow(HttpSyntaxError);
  }
  const endless = new HeadReader();
  expect(() => endless.push(new Uint8Array(headBytesMax + 1).fill(0x61), 0)).toThrow("head too large");
});

test("what frames a body", () => {
  const fields = (...pairs: [string, string][]): Map<string, string> => new Map(pairs);
  expect(requestFraming(fields())).toEqual({ kind: "none" });
  expect(requestFraming(fields(["content-length", "5"]))).toEqual({ kind: "length", size: 5 });
  expect(requestFraming(fields(["transfer-encoding", "Chunked"], ["content-length", "5"]))).toEqual({
    kind: "chunked",
  });
  expect(responseFraming(200, fields())).toEqual({ kind: "close" });
  expect(responseFraming(204, fields(["content-length", "5"]))).toEqual({ kind: "none" });
  for (const bad of ["-1", "0x5", "5, 6", "", "9999999999999999"]) {
    expect(() => requestFraming(fields(["content-length", bad])), bad).toThrow(HttpSyntaxError);
  }
  expect(() => requestFraming(fields(["transfer-encoding", "gzip"]))).toThrow(HttpSyntaxError);
});

test("chunks that we write are read again, in pieces of any size", () => {
  const payloads = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 400 }), { maxLength: 6 });
  fc.assert(
    fc.property(payloads, fc.integer({ min: 1, max: 50 }), (texts, pieceBytes) => {
      const chunks = texts.map((text) => {
        const buffer = new Uint8Array(10 + text.length + 2);
        buffer.set(bytesOf(text), 10);
        const start = writeChunkHead(text.length, buffer, 10);
        return buffer.subarray(start, writeChunkTail(buffer, 10 + text.length));
      });
      const bytes = new Uint8Array(Buffer.concat([...chunks, bytesOf("0\r\n\r\n"), bytesOf("NEXT")]));
      const { payload, taken, done } = read({ kind: "chunked" }, bytes, pieceBytes);
      expect([payload, taken, done]).toEqual([texts.join(""), bytes.length - 4, true]);
    }),
  );
});

test("extensions and trailers of a chunked body are passed over", () => {
  const text = "3;name=value\r\nabc\r\n2 \r\nde\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nNEXT";
  for (let piece = 1; piece < text.length; piece++) {
    expect(read({ kind: "chunked" }, bytesOf(text), piece)).toEqual({
      payload: "abcde",
      taken: text.length - 4,
      done: true,
    });
  }
});

test("chunks that make no sense are refused", () => {
  for (const text of ["\r\n", "x\r\n", "3\r\nabcd\r\n", "fffffffffffff\r\n", `3;${"e".repeat(5000)}`]) {
    expect(() => read({ kind: "chunked" }, bytesOf(text), 3), text.slice(0, 20)).toThrow(HttpSyntaxError);
  }
});

test("a body of known length ends there, one without goes on to the end", () => {
  expect(read({ kind: "length", size: 3 }, bytesOf("abcNEXT"), 2)).toEqual({ payload: "abc", taken: 3, done: true });
  expect(read({ kind: "close" }, bytesOf("abc"), 2)).toEqual({ payload: "abc", taken: 3, done: false });
  expect(new BodyReader({ kind: "length", size: 0 }).done).toBe(true);
});
