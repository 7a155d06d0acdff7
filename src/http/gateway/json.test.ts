import fc from "fast-check";
import { expect, test } from "vitest";
import { RangeResponse, TxnRequest, WatchRequest } from "../../wire/gen/etcdserverpb/rpc.ts";
import { jsonToMessage, JsonValueError } from "./json-decode.ts";
import { messageToJson, messageToJsonText } from "./json-encode.ts";
import { JsonSplitter, JsonSyntaxError } from "./json-splitter.ts";
import { messageType } from "./message-type.ts";

function split(chunks: readonly Uint8Array[], valueBytesMax = 1 << 20): { values: string[]; tooLarge: number } {
  const values: string[] = [];
  let tooLarge = 0;
  const splitter = new JsonSplitter({
    valueBytesMax,
    onValue: (value) => values.push(Buffer.from(value).toString()),
    onTooLarge: (size) => (tooLarge = size),
  });
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return { values, tooLarge };
}

function decode(name: string, json: string): Uint8Array {
  const [value] = split([Buffer.from(json)]).values;
  return jsonToMessage(messageType(name), Buffer.from(value));
}

const range = (json: string): string =>
  messageToJsonText(messageType("etcdserverpb.RangeRequest"), decode("etcdserverpb.RangeRequest", json));

// ---- The splitter ---------------------------------------------------------------------------------------------------

test("values come out one by one, however the body is cut", () => {
  const values = fc.array(
    fc.json().filter((text) => !/^-?\d/.test(text)),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(values, fc.infiniteStream(fc.nat(5)), (texts, sizes) => {
      const body = Buffer.from(texts.join(" \n"));
      const chunks: Buffer[] = [];
      for (let at = 0; at < body.length;) {
        const size = sizes.next().value as number;
        chunks.push(body.subarray(at, at + size));
        at += size;
      }
      expect(split(chunks).values).toEqual(texts);
    }),
  );
});

test("a number is a value too, and ends where it ends", () => {
  expect(split([Buffer.from("1.5e+3{}0")]).values).toEqual(["1.5e+3", "{}", "0"]);
});

test("a value above the limit is not collected", () => {
  expect(split([Buffer.from('{"a":"'), Buffer.alloc(100, "x")], 50)).toEqual({ values: [], tooLarge: 106 });
});

test.each([
  ["hello", "invalid character 'h' looking for beginning of value"],
  ['{"key":', "unexpected EOF"],
  ["{'key'", String.raw`invalid character '\'' looking for beginning of object key string`],
  ["\u00ff", "invalid character 'Ã' looking for beginning of value"],
  ['{"a":"b\n"}', String.raw`invalid character '\n' in string literal`],
  [String.raw`{"a":"\q"}`, "invalid character 'q' in string escape code"],
  [String.raw`{"a":"\u12x4"}`, String.raw`invalid character 'x' in \u hexadecimal character escape`],
  ['{"a":01}', "invalid character '1' after object key:value pair"],
  ['{"a" 1}', "invalid character '1' after object key"],
  ['{"a":"b" "c":1}', `invalid character '"' after object key:value pair`],
  ['{"a":tru}', "invalid character '}' in literal true (expecting 'e')"],
  ["[1 2]", "invalid character '2' after array element"],
  ["[-x]", "invalid character 'x' in numeric literal"],
  ["[1.x]", "invalid character 'x' after decimal point in numeric literal"],
  ["[1ex]", "invalid character 'x' in exponent of numeric literal"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ["[".repeat(10_001), "exceeded max depth"],
])("%j is refused in Go's words", (text, message) => {
  expect(() => split([Buffer.from(text)])).toThrow(new JsonSyntaxError(message));
});

// ---- JSON to message ------------------------------------------------------------------------------------------------

test("both names of a field, numbers as text, both alphabets of base64 and names of enums are taken", () => {
  const wanted = '{"key":"+/8=","range_end":"+/8=","limit":"100","sort_order":"DESCEND","min_mod_revision":"7"}';
  expect(range(wanted)).toBe(wanted);
  expect(range('{"key":"-_8","rangeEnd":"+/8","limit":1e2,"sortOrder":2,"minModRevision":7.0}')).toBe(wanted);
});

test("what is null, unknown or zero is left out; an unknown enum number stays", () => {
  expect(range('{"key":null,"x":[{"y":[1,{}]}],"limit":"-0","sort_order":"SIDEWAYS","sort_target":9}')).toBe(
    '{"sort_target":9}',
  );
});

test("a member of a oneof is there even when it is zero", () => {
  expect(WatchRequest.decode(decode("etcdserverpb.WatchRequest", '{"progress_request":{}}'))).toEqual(
    WatchRequest.create({ progressRequest: {} }),
  );
  const [compare] = TxnRequest.decode(decode("etcdserverpb.TxnRequest", '{"compare":[{"version":"0"}]}')).compare;
  expect(compare.version).toBe(0n);
  expect(compare.modRevision).toBeUndefined();
});

test("fields are encoded in the order of their numbers, whatever order they came in", () => {
  expect(decode("etcdserverpb.PutRequest", '{"prev_kv":true,"value":"Yg==","key":"YQ=="}')).toEqual(
    decode("etcdserverpb.PutRequest", '{"key":"YQ==","value":"Yg==","prev_kv":true}'),
  );
});

test.each([
  ["etcdserverpb.RangeRequest", "[]", "proto: syntax error (line 1:1): unexpected token ["],
  ["etcdserverpb.RangeRequest", "null", "proto: syntax error (line 1:1): unexpected token null"],
  ["etcdserverpb.RangeRequest", '{"key":"***"}', 'proto: (line 1:8): invalid value for bytes field key: "***"'],
  ["etcdserverpb.RangeRequest", '{"key":"A"}', 'proto: (line 1:8): invalid value for bytes field key: "A"'],
  ["etcdserverpb.RangeRequest", '{\n "key":5}', "proto: (line 2:8): invalid value for bytes field key: 5"],
  ["etcdserverpb.RangeRequest", '{"limit":"x"}', 'proto: (line 1:10): invalid value for int64 field limit: "x"'],
  ["etcdserverpb.RangeRequest", '{"limit":" 1"}', 'proto: (line 1:10): invalid value for int64 field limit: " 1"'],
  ["etcdserverpb.RangeRequest", '{"limit":1.5}', "proto: (line 1:10): invalid value for int64 field limit: 1.5"],
  [
    "etcdserverpb.RangeRequest",
    '{"limit":9223372036854775808}',
    "proto: (line 1:10): invalid value for int64 field limit: 9223372036854775808",
  ],
  [
    "etcdserverpb.RangeRequest",
    '{"limit":1e999999999}',
    "proto: (line 1:10): invalid value for int64 field limit: 1e999999999",
  ],
  [
    "etcdserverpb.RangeRequest",
    '{"count_only":"true"}',
    'proto: (line 1:15): invalid value for bool field countOnly: "true"',
  ],
  [
    "etcdserverpb.RangeRequest",
    '{"sort_order":5000000000}',
    "proto: (line 1:15): invalid value for enum field sortOrder: 5000000000",
  ],
  ["etcdserverpb.RangeRequest", '{"range_end":"","rangeEnd":""}', 'proto: (line 1:17): duplicate field "rangeEnd"'],
  ["etcdserverpb.TxnRequest", '{"compare":{}}', "proto: syntax error (line 1:12): unexpected token {"],
  ["etcdserverpb.TxnRequest", '{"success":[null]}', "proto: syntax error (line 1:13): unexpected token null"],
  [
    "etcdserverpb.RequestOp",
    '{"request_put":{},"request_range":{}}',
    'proto: (line 1:19): error parsing "request_range", oneof etcdserverpb.RequestOp.request is already set',
  ],
  [
    "etcdserverpb.AuthUserAddRequest",
    String.raw`{"name":"\ud800"}`,
    String.raw`proto: syntax error (line 1:9): invalid escape code "\ud800" in string`,
  ],
])("%s: %s is refused in protojson's words", (name, json, message) => {
  expect(() => decode(name, json)).toThrow(new JsonValueError(message));
});

test("transactions may be nested as deep as the server takes them, and not endlessly", () => {
  const nested = (depth: number): string => '{"success":[{"request_txn":'.repeat(depth) + "{}" + "}]}".repeat(depth);
  expect(decode("etcdserverpb.TxnRequest", nested(400)).length).toBeGreaterThan(800);
  expect(() => decode("etcdserverpb.TxnRequest", nested(600))).toThrow("exceeded max recursion depth");
});

// ---- Message to JSON ------------------------------------------------------------------------------------------------

const bytes = fc.uint8Array({ maxLength: 20 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const keyValue = fc.record({
  key: bytes,
  createRevision: int64,
  modRevision: int64,
  version: int64,
  value: bytes,
  lease: int64,
});
const header = fc.record({ clusterId: uint64, memberId: uint64, revision: int64, raftTerm: uint64 });
const rangeResponse = fc.record({
  header: fc.option(header, { nil: undefined }),
  kvs: fc.array(keyValue, { maxLength: 3 }),
  more: fc.boolean(),
  count: int64,
});

test("answers read as the generated codec would write them, and back", () => {
  const type = messageType("etcdserverpb.RangeResponse");
  fc.assert(
    fc.property(rangeResponse, (response) => {
      const encoded = RangeResponse.encode(response).finish();
      const text = messageToJsonText(type, encoded);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(RangeResponse.toJSON(response))));
      expect(Buffer.from(jsonToMessage(type, Buffer.from(text)))).toEqual(Buffer.from(encoded));
    }),
  );
});

test("a large answer comes in pieces", () => {
  const kv = {
    key: new Uint8Array(1),
    createRevision: 1n,
    modRevision: 1n,
    version: 1n,
    value: new Uint8Array(1000),
    lease: 0n,
  };
  const encoded = RangeResponse.encode({
    header: undefined,
    kvs: Array.from({ length: 500 }, () => kv),
    more: false,
    count: 500n,
  }).finish();
  const pieces = [...messageToJson(messageType("etcdserverpb.RangeResponse"), encoded)];
  expect(pieces.length).toBeGreaterThan(5);
  expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(70_000);
  expect((JSON.parse(pieces.join("")) as { kvs: unknown[] }).kvs).toHaveLength(500);
});
