/** The hand-written codecs and the generated ones agree, byte for byte and field for field. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bytesOf,
  counter,
  deleteRangeRequest,
  deleteRangeResponse,
  deleteRangeResponseTwin,
  deleteRangeTwin,
  id,
  keyValue,
  putRequest,
  putResponse,
  putResponseTwin,
  putTwin,
  rangeRequest,
  rangeResponse,
  rangeResponseTwin,
  rangeTwin,
  txnRequest,
  txnResponse,
  txnResponseTwin,
  txnTwin,
} from "../../../test/support/wire-twins.ts";
import * as pb from "../gen/etcdserverpb/rpc.ts";
import { Event, KeyValue } from "../gen/mvccpb/kv.ts";
import { decodeKeyValue, encodeKeyValue } from "./key-value.ts";
import {
  canonicalDeleteRangeRequest,
  canonicalPutRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  encodeDeleteRangeRequest,
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
import { HeaderEncoder } from "./response-header.ts";
import { canonicalTxnRequest, decodeTxnRequest, encodeTxnRequest } from "./txn-request.ts";
import { sizeOfTxnResponse, writeTxnResponse } from "./txn-response.ts";
import type { EventType } from "./types.ts";
import { encodeEvent, encodeWatchResponseHead } from "./watch.ts";

const memberIds = { clusterId: 17913364820440770173n, memberId: 1607377107285833501n };
const headers = new HeaderEncoder(memberIds);
const header = pb.ResponseHeader.create({ ...memberIds, revision: 300n, raftTerm: 2n });
const encodedHeader = headers.encode(300, 2);

/** Writes in the middle of other bytes, which must stay, and checks size and end. */
function written(size: number, write: (target: Uint8Array, offset: number) => number): Uint8Array {
  const target = new Uint8Array(size + 6).fill(0xee);
  expect(write(target, 3)).toBe(3 + size);
  expect([...target.subarray(0, 3), ...target.subarray(3 + size)]).toEqual([0xee, 0xee, 0xee, 0xee, 0xee, 0xee]);
  return bytesOf(target.subarray(3, 3 + size));
}

test("RangeRequest", () => {
  fc.assert(
    fc.property(rangeRequest, (message) => {
      const bytes = pb.RangeRequest.encode(message).finish();
      const decoded = decodeRangeRequest(bytes);
      expect(decoded).toEqual(rangeTwin(message));
      expect(bytesOf(encodeRangeRequest(decoded))).toEqual(bytes);
    }),
  );
});

test("PutRequest", () => {
  fc.assert(
    fc.property(putRequest, (message) => {
      const bytes = pb.PutRequest.encode(message).finish();
      const decoded = decodePutRequest(bytes);
      expect(decoded).toEqual(putTwin(message));
      expect(bytesOf(encodePutRequest(decoded))).toEqual(bytes);
      expect(canonicalPutRequest(bytes, decoded)).toBe(bytes);
    }),
  );
});

test("DeleteRangeRequest", () => {
  fc.assert(
    fc.property(deleteRangeRequest, (message) => {
      const bytes = pb.DeleteRangeRequest.encode(message).finish();
      const decoded = decodeDeleteRangeRequest(bytes);
      expect(decoded).toEqual(deleteRangeTwin(message));
      expect(bytesOf(encodeDeleteRangeRequest(decoded))).toEqual(bytes);
      expect(canonicalDeleteRangeRequest(bytes, decoded)).toBe(bytes);
    }),
  );
});

test("TxnRequest", () => {
  fc.assert(
    fc.property(txnRequest, (partial) => {
      const message = pb.TxnRequest.fromPartial(partial);
      const bytes = pb.TxnRequest.encode(message).finish();
      const decoded = decodeTxnRequest(bytes);
      expect(decoded).toEqual(txnTwin(message));
      expect(bytesOf(encodeTxnRequest(decoded))).toEqual(bytes);
      expect(canonicalTxnRequest(bytes, decoded)).toBe(bytes);
    }),
  );
});

test("KeyValue", () => {
  fc.assert(
    fc.property(keyValue, (message) => {
      const bytes = KeyValue.encode(message).finish();
      const decoded = decodeKeyValue(bytes);
      expect(decoded).toEqual({
        ...message,
        createRevision: Number(message.createRevision),
        modRevision: Number(message.modRevision),
        version: Number(message.version),
      });
      expect(bytesOf(encodeKeyValue(decoded))).toEqual(bytes);
    }),
  );
});

test("ResponseHeader", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n), counter, counter, (...values) => {
      const [clusterId, memberId, revision, raftTerm] = values;
      const expected = pb.CompactionResponse.encode({ header: { clusterId, memberId, revision, raftTerm } }).finish();
      const encoder = new HeaderEncoder({ clusterId, memberId });
      const first = encoder.encode(Number(revision), Number(raftTerm));
      expect(bytesOf(first)).toEqual(expected);
      encoder.encode(Number(revision) + 1, Number(raftTerm));
      expect(bytesOf(first)).toEqual(expected);
    }),
  );
});

test("RangeResponse", () => {
  fc.assert(
    fc.property(rangeResponse, (message) => {
      const twin = rangeResponseTwin(message);
      const bytes = written(sizeOfRangeResponse(twin, encodedHeader), (target, offset) =>
        writeRangeResponse(twin, encodedHeader, target, offset),
      );
      expect(bytes).toEqual(pb.RangeResponse.encode({ ...message, header }).finish());
    }),
  );
});

test("PutResponse", () => {
  fc.assert(
    fc.property(putResponse, (message) => {
      const twin = putResponseTwin(message);
      const bytes = written(sizeOfPutResponse(twin, encodedHeader), (target, offset) =>
        writePutResponse(twin, encodedHeader, target, offset),
      );
      expect(bytes).toEqual(pb.PutResponse.encode({ ...message, header }).finish());
    }),
  );
});

test("DeleteRangeResponse", () => {
  fc.assert(
    fc.property(deleteRangeResponse, (message) => {
      const twin = deleteRangeResponseTwin(message);
      const bytes = written(sizeOfDeleteRangeResponse(twin, encodedHeader), (target, offset) =>
        writeDeleteRangeResponse(twin, encodedHeader, target, offset),
      );
      expect(bytes).toEqual(pb.DeleteRangeResponse.encode({ ...message, header }).finish());
    }),
  );
});

test("TxnResponse", () => {
  fc.assert(
    fc.property(txnResponse, (partial) => {
      const message = pb.TxnResponse.fromPartial(partial);
      const twin = txnResponseTwin(message);
      const bytes = written(sizeOfTxnResponse(twin, encodedHeader), (target, offset) =>
        writeTxnResponse(twin, encodedHeader, target, offset),
      );
      expect(bytes).toEqual(pb.TxnResponse.encode({ ...message, header }).finish());
    }),
  );
});

test("WatchResponse: head and shared events", () => {
  const event = fc.record({
    type: fc.constantFrom<EventType>(0, 1),
    kv: keyValue,
    prevKv: fc.option(keyValue, { nil: undefined }),
  });
  const response = fc.record({
    watchId: id,
    created: fc.boolean(),
    canceled: fc.boolean(),
    compactRevision: counter,
    cancelReason: fc.string({ unit: "grapheme" }),
    fragment: fc.boolean(),
    events: fc.array(event, { maxLength: 5 }),
  });
  fc.assert(
    fc.property(response, (message) => {
      const events = message.events.map(({ type, kv, prevKv }) =>
        encodeEvent(type, KeyValue.encode(kv).finish(), prevKv && KeyValue.encode(prevKv).finish()),
      );
      const compactRevision = Number(message.compactRevision);
      const head = encodeWatchResponseHead({ ...message, compactRevision, events }, encodedHeader);
      const whole = pb.WatchResponse.encode({
        ...message,
        header,
        events: message.events.map((event) => Event.fromPartial(event)),
      });
      expect(bytesOf(Buffer.concat([head, ...events]))).toEqual(whole.finish());
    }),
  );
});

test("LeaseKeepAlive", () => {
  fc.assert(
    fc.property(id, counter, (ID, TTL) => {
      expect(decodeLeaseKeepAliveRequest(pb.LeaseKeepAliveRequest.encode({ ID }).finish())).toBe(ID);
      const ttl = Number(TTL);
      const bytes = written(sizeOfLeaseKeepAliveResponse(ID, ttl, encodedHeader), (target, offset) =>
        writeLeaseKeepAliveResponse(ID, ttl, encodedHeader, target, offset),
      );
      expect(bytes).toEqual(pb.LeaseKeepAliveResponse.encode({ header, ID, TTL }).finish());
    }),
  );
});
