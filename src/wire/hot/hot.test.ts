import fc from "fast-check";
import { expect, test } from "vitest";
import { EtcdError } from "../errors.ts";
import * as raft from "../gen/etcdserverpb/raft_internal.ts";
import * as rpc from "../gen/etcdserverpb/rpc.ts";
import * as mvcc from "../gen/mvccpb/kv.ts";
import { decodeRequest } from "../wire-error.ts";
import { decodeKeyValue, encodeKeyValue } from "./key-value.ts";
import {
  canonicalDeleteRangeRequest,
  canonicalPutRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
} from "./kv-requests.ts";
import {
  sizeOfDeleteRangeResponse,
  sizeOfPutResponse,
  sizeOfRangeResponse,
  writeDeleteRangeResponse,
  writePutResponse,
  writeRangeResponse,
} from "./kv-responses.ts";
import {
  decodeLeaseKeepAliveRequest,
  sizeOfLeaseKeepAliveResponse,
  writeLeaseKeepAliveResponse,
} from "./lease-keep-alive.ts";
import { decodeRaftRequest, encodeRaftRequest } from "./raft-request.ts";
import { HeaderEncoder } from "./response-header.ts";
import { canonicalTxnRequest, decodeTxnRequest, encodeTxnRequest, txnDepthMax } from "./txn-request.ts";
import { sizeOfTxnResponse, writeTxnResponse } from "./txn-response.ts";
import type { ResponseOp, TxnRequest, TxnResponse } from "./types.ts";
import { encodeEvent, encodeWatchResponseHead } from "./watch.ts";

const bytes = fc.uint8Array({ maxLength: 40 });
const int64 = fc.oneof(fc.bigInt(-(1n << 63n), (1n << 63n) - 1n), fc.bigInt(-300n, 300n));
const enumValue = fc.integer({ min: 0, max: 6 });
const hex = (view: Uint8Array): string => Buffer.from(view).toString("hex");
const safe = (value: bigint): number =>
  value > 9007199254740991n ? 9007199254740991 : value < -9007199254740991n ? -9007199254740991 : Number(value);

const rangeMessage = fc.record({
  key: bytes,
  rangeEnd: bytes,
  limit: int64,
  revision: int64,
  sortOrder: enumValue,
  sortTarget: enumValue,
  serializable: fc.boolean(),
  keysOnly: fc.boolean(),
  countOnly: fc.boolean(),
  minModRevision: int64,
  maxModRevision: int64,
  minCreateRevision: int64,
  maxCreateRevision: int64,
}) as fc.Arbitrary<rpc.RangeRequest>;
const putMessage = fc.record({
  key: bytes,
  value: bytes,
  lease: int64,
  prevKv: fc.boolean(),
  ignoreValue: fc.boolean(),
  ignoreLease: fc.boolean(),
});
const deleteMessage = fc.record({ key: bytes, rangeEnd: bytes, prevKv: fc.boolean() });
const compareMessage = fc
  .record({
    result: enumValue,
    target: enumValue,
    key: bytes,
    rangeEnd: bytes,
    operand: fc.integer({ min: 0, max: 5 }),
    number: int64,
    value: bytes,
  })
  .map(({ operand, number, value, ...rest }) => ({
    ...rest,
    ...(operand === 1
      ? { version: number }
      : operand === 2
        ? { createRevision: number }
        : operand === 3
          ? { modRevision: number }
          : operand === 4
            ? { value }
            : operand === 5
              ? { lease: number }
              : {}),
  })) as fc.Arbitrary<rpc.Compare>;
const { txn: txnMessage } = fc.letrec<{ txn: rpc.TxnRequest; op: rpc.RequestOp }>((tie) => ({
  op: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    rangeMessage.map((requestRange) => ({ requestRange })),
    putMessage.map((requestPut) => ({ requestPut })),
    deleteMessage.map((requestDeleteRange) => ({ requestDeleteRange })),
    fc.constant({}),
    tie("txn").map((requestTxn) => ({ requestTxn })),
  ) as fc.Arbitrary<rpc.RequestOp>,
  txn: fc.record({
    compare: fc.array(compareMessage, { maxLength: 3 }),
    success: fc.array(tie("op"), { maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 3 }),
  }),
}));

test("RangeRequest: hot and generated codecs agree, client numbers saturate", () => {
  fc.assert(
    fc.property(rangeMessage, (message) => {
      const encoded = rpc.RangeRequest.encode(message).finish();
      const decoded = decodeRangeRequest(encoded);
      expect(hex(decoded.key)).toBe(hex(message.key));
      expect(decoded.limit).toBe(safe(message.limit));
      expect(decoded.maxCreateRevision).toBe(safe(message.maxCreateRevision));
      expect([decoded.sortOrder, decoded.sortTarget, decoded.keysOnly]).toEqual([
        message.sortOrder,
        message.sortTarget,
        message.keysOnly,
      ]);
      const isSafe = [
        message.limit,
        message.revision,
        message.minModRevision,
        message.maxModRevision,
        message.minCreateRevision,
        message.maxCreateRevision,
      ].every((value) => BigInt(safe(value)) === value);
      if (isSafe) expect(hex(encodeRangeRequest(decoded))).toBe(hex(encoded));
    }),
  );
});

test("PutRequest and DeleteRangeRequest: hot and generated codecs agree, and their own bytes are canonical", () => {
  fc.assert(
    fc.property(putMessage, deleteMessage, (put, remove) => {
      const encoded = rpc.PutRequest.encode(put).finish();
      const decoded = decodePutRequest(encoded);
      expect({ ...decoded, key: hex(decoded.key), value: hex(decoded.value) }).toEqual({
        ...put,
        key: hex(put.key),
        value: hex(put.value),
      });
      expect(hex(encodePutRequest(decoded))).toBe(hex(encoded));
      expect(canonicalPutRequest(encoded, decoded)).toBe(encoded);
      const removal = rpc.DeleteRangeRequest.encode(remove).finish();
      expect(canonicalDeleteRangeRequest(removal, decodeDeleteRangeRequest(removal))).toBe(removal);
    }),
  );
});

test("TxnRequest: hot and generated codecs agree, nested and with zero operands", () => {
  fc.assert(
    fc.property(txnMessage, (message) => {
      const encoded = rpc.TxnRequest.encode(message).finish();
      const decoded = decodeTxnRequest(encoded);
      const reencoded = encodeTxnRequest(decoded);
      // Saturated numbers do not survive; the canonical bytes always do.
      expect(hex(canonicalTxnRequest(encoded, decoded))).toBe(hex(encoded));
      if (reencoded.length === encoded.length && numbersAreSafe(message)) expect(hex(reencoded)).toBe(hex(encoded));
    }),
  );
});

function numbersAreSafe(message: unknown): boolean {
  return !JSON.stringify(message, (_key, value: unknown) =>
    typeof value === "bigint" ? (BigInt(safe(value)) === value ? "ok" : "BIG") : value,
  ).includes("BIG");
}

test("an explicit empty range_end, an unknown field or an overlong varint never reaches the log", () => {
  const plain = "0a0161";
  for (const odd of ["0a01611200", "0a01619a0600", "0a01611800", "0a81000061".replace("0000", "00")]) {
    const input = Buffer.from(odd, "hex");
    expect(hex(canonicalDeleteRangeRequest(input, decodeDeleteRangeRequest(input)))).toBe(plain);
  }
  const put = Buffer.from("0a0161120019", "hex").subarray(0, 5);
  expect(hex(canonicalPutRequest(put, decodePutRequest(put)))).toBe(plain);
});

test.each([
  ["0a05", "unexpected EOF"],
  ["0aff", "unexpected EOF"],
  ["0affffffffffffffffff7f", "proto: integer overflow"],
  ["0aff ffffff 1f", "proto: negative length found during unmarshaling"],
  ["0801", "proto: wrong wireType = 0 for field Key"],
  ["0b", "proto: wrong wireType = 3 for field Key"],
  ["7b", "proto: illegal wireType 3"],
  ["04", "proto: illegal tag 0 (wire type 4)"],
  ["7d0102", "unexpected EOF"],
])("malformed bytes %s are refused: %s", (input, text) => {
  const run = (): unknown => decodeRequest(decodePutRequest, Buffer.from(input.replaceAll(" ", ""), "hex"));
  expect(run).toThrow(EtcdError);
  expect(run).toThrow(`grpc: error unmarshalling request: ${text}`);
});

test("random bytes are decoded or refused, never read beyond, never looping", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
      for (const decode of [
        decodeRangeRequest,
        decodePutRequest,
        decodeDeleteRangeRequest,
        decodeTxnRequest,
        decodeRaftRequest,
        decodeKeyValue,
      ]) {
        try {
          decode(input);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect((error as Error).message).not.toContain("call stack");
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("nesting has a limit that the stack does not notice", () => {
  let message: Uint8Array = new Uint8Array(0);
  for (let depth = 0; depth < txnDepthMax + 2; depth++) {
    const op = Buffer.concat([Buffer.from([0x22]), varint(message.length), message]);
    message = Buffer.concat([Buffer.from([0x12]), varint(op.length), op]);
  }
  expect(() => decodeTxnRequest(message)).toThrow("etcdserver: too many operations in txn request");
});

test("a deep transaction with superfluous bytes is made canonical all the same", () => {
  const nested = (innermost: Buffer, depth: number): Buffer => {
    let message = innermost;
    for (let level = 0; level < depth; level++) {
      const op = Buffer.concat([Buffer.from([0x22]), varint(message.length), message]);
      message = Buffer.concat([Buffer.from([0x12]), varint(op.length), op]);
    }
    return message;
  };
  const unknownField = Buffer.from("9a0600", "hex");
  for (const depth of [1, 46, 47, 48, 49, 50, 128, txnDepthMax]) {
    const odd = nested(unknownField, depth);
    expect(hex(canonicalTxnRequest(odd, decodeTxnRequest(odd)))).toBe(hex(nested(Buffer.alloc(0), depth)));
  }
});

function varint(value: number): Buffer {
  return value < 0x80 ? Buffer.from([value]) : Buffer.from([(value & 0x7f) | 0x80, value >> 7]);
}

const counter = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));

test("KeyValue: hot and generated codecs agree", () => {
  fc.assert(
    fc.property(
      bytes,
      counter,
      counter,
      counter,
      bytes,
      int64,
      (key, createRevision, modRevision, version, value, lease) => {
        const encoded = encodeKeyValue({ key, createRevision, modRevision, version, value, lease });
        const message = {
          key,
          createRevision: BigInt(createRevision),
          modRevision: BigInt(modRevision),
          version: BigInt(version),
          value,
          lease,
        };
        expect(hex(encoded)).toBe(hex(mvcc.KeyValue.encode(message).finish()));
        const decoded = decodeKeyValue(encoded);
        expect([decoded.createRevision, decoded.modRevision, decoded.version, decoded.lease]).toEqual([
          createRevision,
          modRevision,
          version,
          lease,
        ]);
      },
    ),
  );
});

const header = new HeaderEncoder({ clusterId: 0xcdf818194e3a8c32n, memberId: 0x8e9e05c52164694dn });
const kv = encodeKeyValue({
  key: Buffer.from("k"),
  createRevision: 2,
  modRevision: 3,
  version: 2,
  value: Buffer.from("v"),
  lease: 7n,
});

function written(size: number, write: (target: Uint8Array, offset: number) => number): Uint8Array {
  const target = new Uint8Array(size + 2);
  expect(write(target, 1)).toBe(size + 1);
  expect([target[0], target[size + 1]]).toEqual([0, 0]);
  return target.subarray(1, size + 1);
}

test("answers decode to what was put in", () => {
  const head = header.encode(9, 4);
  const range = { kvs: [kv, kv], more: true, count: 300 };
  const rangeBytes = written(sizeOfRangeResponse(range, head), (target, at) =>
    writeRangeResponse(range, head, target, at),
  );
  const decoded = rpc.RangeResponse.decode(rangeBytes);
  expect(decoded.header).toEqual({
    clusterId: 0xcdf818194e3a8c32n,
    memberId: 0x8e9e05c52164694dn,
    revision: 9n,
    raftTerm: 4n,
  });
  expect([decoded.kvs.length, decoded.more, decoded.count, decoded.kvs[1].lease]).toEqual([2, true, 300n, 7n]);
  const put = { prevKv: kv };
  const putBytes = written(sizeOfPutResponse(put, head), (target, at) => writePutResponse(put, head, target, at));
  expect(rpc.PutResponse.decode(putBytes).prevKv?.version).toBe(2n);
  const removed = { deleted: 1, prevKvs: [kv] };
  const removedBytes = written(sizeOfDeleteRangeResponse(removed, head), (target, at) =>
    writeDeleteRangeResponse(removed, head, target, at),
  );
  expect(rpc.DeleteRangeResponse.decode(removedBytes)).toMatchObject({ deleted: 1n, prevKvs: [{ modRevision: 3n }] });
});

test("a header is encoded anew only when revision or term change", () => {
  const first = header.encode(5, 1);
  expect(header.encode(5, 1)).toBe(first);
  expect(rpc.PutResponse.decode(header.encode(6, 2)).header).toMatchObject({ revision: 6n, raftTerm: 2n });
  expect(rpc.PutResponse.decode(first).header).toMatchObject({ revision: 5n, raftTerm: 1n });
});

test("answers inside a transaction have the revision alone, a nested one an empty header", () => {
  const nested: TxnResponse = {
    succeeded: true,
    responses: [{ kind: "put", revision: 8, put: { prevKv: undefined } }],
  };
  const responses: ResponseOp[] = [
    { kind: "range", revision: 8, range: { kvs: [kv], more: false, count: 1 } },
    { kind: "deleteRange", revision: 8, deleteRange: { deleted: 0, prevKvs: [] } },
    { kind: "txn", txn: nested },
  ];
  const response = { succeeded: false, responses };
  const head = header.encode(8, 1);
  const decoded = rpc.TxnResponse.decode(
    written(sizeOfTxnResponse(response, head), (target, at) => writeTxnResponse(response, head, target, at)),
  );
  expect(decoded.responses[0].responseRange?.header).toEqual({
    clusterId: 0n,
    memberId: 0n,
    revision: 8n,
    raftTerm: 0n,
  });
  expect(decoded.responses[0].responseRange?.kvs[0].version).toBe(2n);
  expect(decoded.responses[1].responseDeleteRange?.deleted).toBe(0n);
  expect(decoded.responses[2].responseTxn?.header).toEqual({ clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n });
  expect(decoded.responses[2].responseTxn?.responses[0].responsePut?.header?.revision).toBe(8n);
});

test("watch answers are a head and shared events", () => {
  const event = encodeEvent(1, kv, kv);
  const head = encodeWatchResponseHead(
    {
      watchId: -1n,
      created: true,
      canceled: true,
      compactRevision: 4,
      cancelReason: "gone",
      fragment: true,
      events: [event],
    },
    header.encode(9, 1),
  );
  const decoded = rpc.WatchResponse.decode(Buffer.concat([head, event, encodeEvent(0, kv)]));
  expect(decoded).toMatchObject({
    watchId: -1n,
    created: true,
    canceled: true,
    compactRevision: 4n,
    cancelReason: "gone",
    fragment: true,
  });
  expect(decoded.events.map((one) => [one.type, one.kv?.modRevision, one.prevKv?.modRevision])).toEqual([
    [1, 3n, 3n],
    [0, 3n, undefined],
  ]);
});

test("lease keep-alive messages are the generated ones", () => {
  const id = -5n;
  expect(decodeLeaseKeepAliveRequest(rpc.LeaseKeepAliveRequest.encode({ ID: id }).finish())).toBe(id);
  const head = header.encode(1, 1);
  const answer = written(sizeOfLeaseKeepAliveResponse(id, 60, head), (target, at) =>
    writeLeaseKeepAliveResponse(id, 60, head, target, at),
  );
  expect(rpc.LeaseKeepAliveResponse.decode(answer)).toMatchObject({ ID: id, TTL: 60n });
});

const id = 0x0e6a2a0341b52003n;

test("log entries are byte for byte what etcd writes", () => {
  const entry = (kind: Parameters<typeof encodeRaftRequest>[0], request: Uint8Array): string =>
    hex(encodeRaftRequest(kind, request, { id, username: "", authRevision: 0n }));
  const head = "a2060a0883c0d48d b4c08ab50e".replace(" ", "");
  expect(
    entry(
      "put",
      encodePutRequest({
        key: Buffer.from("foo"),
        value: Buffer.from("bar"),
        lease: 0n,
        prevKv: false,
        ignoreValue: false,
        ignoreLease: false,
      }),
    ),
  ).toBe(`220a0a03666f6f1203626172${head}`);
  expect(entry("compaction", Buffer.from("0803", "hex"))).toBe(`3a020803${head}`);
  expect(entry("authEnable", new Uint8Array(0))).toBe(`${head}c23e00`);
  expect(entry("clusterVersionSet", Buffer.from("0a05332e362e30", "hex"))).toBe(`${head}a251070a05332e362e30`);
});

test("log entries decode as the generated codec's and name user and revision", () => {
  fc.assert(
    fc.property(
      txnMessage,
      fc.bigInt(1n, (1n << 64n) - 1n),
      fc.string({ unit: "grapheme-ascii", maxLength: 8 }),
      (message, requestId, username) => {
        const request = rpc.TxnRequest.encode(message).finish();
        const entry = encodeRaftRequest("txn", request, { id: requestId, username, authRevision: 3n });
        const generated = raft.InternalRaftRequest.decode(entry);
        expect(generated.header).toEqual({ ID: requestId, username, authRevision: 3n });
        expect(hex(rpc.TxnRequest.encode(generated.txn!).finish())).toBe(hex(request));
        const decoded = decodeRaftRequest(entry) as ReturnType<typeof decodeRaftRequest> & { txn: TxnRequest };
        expect([decoded.id, decoded.kind, decoded.username, decoded.txn.success.length]).toEqual([
          requestId,
          "txn",
          username,
          message.success.length,
        ]);
      },
    ),
  );
});

test("an entry of an unknown future kind is told apart", () => {
  const entry = raft.InternalRaftRequest.encode({
    ...raft.InternalRaftRequest.create(),
    header: { ID: 5n, username: "", authRevision: 0n },
  }).finish();
  expect(decodeRaftRequest(Buffer.concat([entry, Buffer.from("faff0300", "hex")]))).toMatchObject({
    kind: "none",
    id: 5n,
  });
});
