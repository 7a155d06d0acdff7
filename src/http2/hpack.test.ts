import fc from "fast-check";
import { expect, test } from "vitest";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FieldKind } from "./header-field.ts";
import { type HeaderList, HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder, type HeaderPair } from "./hpack-encoder.ts";
import { huffmanDecode, huffmanEncode, huffmanSize } from "./huffman.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const lines = (list: HeaderList): string[] =>
  list.fields.slice(0, list.count).map(({ name, value }) => `${name}: ${value}`);
const roomy = 1 << 20;

// RFC 7541 appendix C: a sequence of blocks on one table, and the fields of each.
const firstRequest = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const requests = [
  firstRequest,
  [...firstRequest, "cache-control: no-cache"],
  [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
];
const responses = [
  [
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ],
];
const plainRequests = [
  "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
  "8286 84be 5808 6e6f 2d63 6163 6865",
  "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
];
const huffmanRequests = [
  "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
  "8286 84be 5886 a8eb 1064 9cbf",
  "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];
const plainResponses = [
  "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
  "4803 3330 37c1 c0bf",
  "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
];
const huffmanResponses = [
  "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
  "4883 640e ffc1 c0bf",
  "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
];

test.each([
  ["C.3 requests without Huffman", 4096, plainRequests, requests],
  ["C.4 requests with Huffman", 4096, huffmanRequests, requests],
  ["C.5 responses without Huffman, with eviction", 256, plainResponses, responses],
  ["C.6 responses with Huffman, with eviction", 256, huffmanResponses, responses],
])("decodes RFC 7541 %s", (_name, tableSizeLimit, blocks, expected) => {
  const decoder = new HpackDecoder({ tableSizeLimit, maxListSize: roomy });
  for (const [index, block] of blocks.entries()) {
    const bytes = hex(block);
    expect(lines(decoder.decode(bytes, 0, bytes.length))).toEqual(expected[index]);
  }
});

test.each([
  [
    "C.2.1 literal with indexing",
    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    "custom-key: custom-header",
  ],
  ["C.2.2 literal without indexing", "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path"],
  ["C.2.3 literal never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret"],
  ["C.2.4 indexed", "82", ":method: GET"],
])("decodes RFC 7541 %s", (_name, block, expected) => {
  const bytes = hex(block);
  expect(lines(new HpackDecoder({ maxListSize: roomy }).decode(bytes, 0, bytes.length))).toEqual([expected]);
});

test("the encoder writes the bytes of RFC 7541 C.4", () => {
  const encoder = new HpackEncoder();
  for (const [index, fields] of requests.entries()) {
    const pairs = fields.map((line): HeaderPair => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
    const target = new Uint8Array(encoder.sizeBound(pairs));
    const end = encoder.encode(pairs, target, 0);
    expect(Buffer.from(target.subarray(0, end)).toString("hex")).toBe(huffmanRequests[index].replaceAll(" ", ""));
  }
});

const byteString = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const fieldName = fc.constantFrom(":path", ":authority", "te", "cookie", "x-a", "x-b", "grpc-timeout", "token");

test("property: what the encoder writes, the decoder reads, whatever happens to the table size", () => {
  const step = fc.record({
    fields: fc.array(fc.tuple(fieldName, fc.oneof(byteString, fc.constantFrom("a", "b"))), { maxLength: 12 }),
    limits: fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder({ maxListSize: roomy });
      for (const { fields, limits } of steps) {
        for (const limit of limits) encoder.setTableSizeLimit(limit);
        const target = new Uint8Array(encoder.sizeBound(fields) + 3);
        const end = encoder.encode(fields, target, 3);
        expect(end).toBeLessThanOrEqual(target.length);
        expect(lines(decoder.decode(target, 3, end))).toEqual(fields.map(([name, value]) => `${name}: ${value}`));
      }
    }),
  );
});

test("property: Huffman decodes what it encoded, in the size it said", () => {
  fc.assert(
    fc.property(byteString, (text) => {
      const target = new Uint8Array(huffmanSize(text) + 1);
      const end = huffmanEncode(text, target, 1);
      expect(end).toBe(target.length);
      const decoded = Buffer.alloc(text.length + 8);
      expect(huffmanDecode(target, 1, end, decoded)).toBe(text.length);
      expect(decoded.toString("latin1", 0, text.length)).toBe(text);
    }),
  );
});

test("property: arbitrary bytes either decode or end with COMPRESSION_ERROR", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder({ maxListSize: roomy });
      try {
        for (const block of blocks) decoder.decode(block, 0, block.length);
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectionError);
        expect((error as ConnectionError).code).toBe(ErrorCode.compressionError);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["index 0", "80"],
  ["an index beyond the tables", "be"],
  ["a size update above the announced limit", "3fe2 1f"],
  ["a size update behind a field", "8220"],
  ["an integer without end", "ff80 8080 8080 8001"],
  ["an integer cut off", "ff80"],
  ["a string longer than the block", "0005 61"],
  ["end-of-string inside Huffman text", "0085 ffff ffff fc00"],
  ["Huffman padding of eight bits", "0082 1fff 00"],
  ["Huffman padding of zeros", "0081 1800"],
])("refuses %s", (_name, block) => {
  const bytes = hex(block);
  expect(() => new HpackDecoder({ maxListSize: roomy }).decode(bytes, 0, bytes.length)).toThrow(ConnectionError);
});

test("a list above the limit is cut, and the table still follows the encoder", () => {
  const decoder = new HpackDecoder({ maxListSize: 100 });
  // An HPACK bomb: a large entry, then many references to it.
  const encoder = new HpackEncoder();
  const pairs: HeaderPair[] = [
    ["x-a", "v".repeat(1000)],
    ...Array.from({ length: 50 }, (): HeaderPair => ["x-a", "v".repeat(1000)]),
  ];
  const target = new Uint8Array(encoder.sizeBound(pairs));
  const list = decoder.decode(target, 0, encoder.encode(pairs, target, 0));
  expect(list.truncated).toBe(true);
  expect(list.count).toBe(0);
  const next: HeaderPair[] = [["te", "trailers"]];
  expect(lines(decoder.decode(target, 0, encoder.encode(next, target, 0)))).toEqual(["te: trailers"]);
});

test("illegal names and values are marked malformed", () => {
  const kinds = (pair: HeaderPair): number => {
    const target = new Uint8Array(200);
    return new HpackDecoder({ maxListSize: roomy }).decode(target, 0, new HpackEncoder().encode([pair], target, 0))
      .fields[0].kind;
  };
  expect(kinds(["X-Upper", "a"])).toBe(FieldKind.malformed);
  expect(kinds([":unknown", "a"])).toBe(FieldKind.malformed);
  expect(kinds(["", "a"])).toBe(FieldKind.malformed);
  expect(kinds(["x", "a\r\nb"])).toBe(FieldKind.malformed);
  expect(kinds(["connection", "close"])).toBe(FieldKind.connectionSpecific);
  expect(kinds(["x", "a b"])).toBe(FieldKind.ordinary);
});
