/** Bytes recorded from a real etcd: requests, answers, watch events and refusals (test/fixtures/transcripts/grpc). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  bytesOf,
  deleteRangeResponseTwin,
  deleteRangeTwin,
  putResponseTwin,
  putTwin,
  rangeResponseTwin,
  rangeTwin,
  saturate,
  txnResponseTwin,
  txnTwin,
} from "../../../test/support/wire-twins.ts";
import * as pb from "../gen/etcdserverpb/rpc.ts";
import { KeyValue } from "../gen/mvccpb/kv.ts";
import { decodeRequest } from "../wire-error.ts";
import {
  canonicalDeleteRangeRequest,
  canonicalPutRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
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
import { canonicalTxnRequest, decodeTxnRequest } from "./txn-request.ts";
import { sizeOfTxnResponse, writeTxnResponse } from "./txn-response.ts";
import type { EventType } from "./types.ts";
import { encodeEvent, encodeWatchResponseHead } from "./watch.ts";

interface Step {
  readonly n?: number;
  readonly kind?: string;
  readonly method?: string;
  readonly vars?: boolean;
  readonly req_b64?: unknown;
  readonly req_raw?: unknown;
  readonly res_b64?: unknown;
  readonly status?: { readonly code: number; readonly message: string };
  readonly messages?: readonly { readonly res_b64?: unknown }[];
}

const scenes = [
  "kv-put",
  "kv-range",
  "kv-delete",
  "kv-txn-compare",
  "kv-txn-ops",
  "lease",
  "watch-basic",
  "watch-history",
  "wire",
];

function stepsOf(scene: string): Step[] {
  const file = new URL(`../../../test/fixtures/transcripts/grpc/${scene}.jsonl.gz`, import.meta.url);
  const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Step);
}

/** Recorded base64; undefined for bytes that are only described. */
function recorded(text: unknown): Uint8Array | undefined {
  return typeof text === "string" ? Buffer.from(text, "base64") : undefined;
}

/** All requests to and answers of one method over all scenes. */
function messagesOf(method: string): { requests: Uint8Array[]; responses: Uint8Array[] } {
  const requests: Uint8Array[] = [];
  const responses: Uint8Array[] = [];
  for (const step of scenes.flatMap(stepsOf)) {
    if (step.method !== method) continue;
    const request = step.vars === true ? undefined : recorded(step.req_b64);
    if (request !== undefined) requests.push(bytesOf(request));
    for (const message of [step, ...(step.messages ?? [])]) {
      const response = recorded(message.res_b64);
      if (response !== undefined) responses.push(response);
    }
  }
  return { requests, responses };
}

function headerOf(header: pb.ResponseHeader | undefined): Uint8Array {
  if (header === undefined) return new Uint8Array(0);
  return new HeaderEncoder(header).encode(Number(header.revision), Number(header.raftTerm));
}

function write(size: number, writer: (target: Uint8Array, offset: number) => number): Uint8Array {
  const target = new Uint8Array(size);
  expect(writer(target, 0)).toBe(size);
  return target;
}

test("requests decode as by the generated codecs and become what a Go member would log", () => {
  const range = messagesOf("/etcdserverpb.KV/Range").requests;
  const put = messagesOf("/etcdserverpb.KV/Put").requests;
  const deleteRange = messagesOf("/etcdserverpb.KV/DeleteRange").requests;
  const txn = messagesOf("/etcdserverpb.KV/Txn").requests;
  expect(Math.min(range.length, put.length, deleteRange.length, txn.length)).toBeGreaterThan(10);

  for (const bytes of range) expect(decodeRangeRequest(bytes)).toEqual(rangeTwin(pb.RangeRequest.decode(bytes)));
  for (const bytes of put) {
    const message = pb.PutRequest.decode(bytes);
    expect(decodePutRequest(bytes)).toEqual(putTwin(message));
    expect(bytesOf(canonicalPutRequest(bytes, decodePutRequest(bytes)))).toEqual(
      pb.PutRequest.encode(message).finish(),
    );
  }
  for (const bytes of deleteRange) {
    const message = pb.DeleteRangeRequest.decode(bytes);
    const decoded = decodeDeleteRangeRequest(bytes);
    expect(decoded).toEqual(deleteRangeTwin(message));
    expect(bytesOf(canonicalDeleteRangeRequest(bytes, decoded))).toEqual(
      pb.DeleteRangeRequest.encode(message).finish(),
    );
  }
  for (const bytes of txn) {
    const message = pb.TxnRequest.decode(bytes);
    const decoded = decodeTxnRequest(bytes);
    expect(decoded).toEqual(txnTwin(message));
    expect(bytesOf(canonicalTxnRequest(bytes, decoded))).toEqual(pb.TxnRequest.encode(message).finish());
  }
});

test("answers are written as etcd wrote them, byte for byte", () => {
  let count = 0;
  for (const bytes of messagesOf("/etcdserverpb.KV/Range").responses) {
    const message = pb.RangeResponse.decode(bytes);
    const [twin, header] = [rangeResponseTwin(message), headerOf(message.header)];
    expect(write(sizeOfRangeResponse(twin, header), (to, at) => writeRangeResponse(twin, header, to, at))).toEqual(
      bytesOf(bytes),
    );
    count++;
  }
  for (const bytes of messagesOf("/etcdserverpb.KV/Put").responses) {
    const message = pb.PutResponse.decode(bytes);
    const [twin, header] = [putResponseTwin(message), headerOf(message.header)];
    expect(write(sizeOfPutResponse(twin, header), (to, at) => writePutResponse(twin, header, to, at))).toEqual(
      bytesOf(bytes),
    );
    count++;
  }
  for (const bytes of messagesOf("/etcdserverpb.KV/DeleteRange").responses) {
    const message = pb.DeleteRangeResponse.decode(bytes);
    const [twin, header] = [deleteRangeResponseTwin(message), headerOf(message.header)];
    expect(
      write(sizeOfDeleteRangeResponse(twin, header), (to, at) => writeDeleteRangeResponse(twin, header, to, at)),
    ).toEqual(bytesOf(bytes));
    count++;
  }
  for (const bytes of messagesOf("/etcdserverpb.KV/Txn").responses) {
    const message = pb.TxnResponse.decode(bytes);
    const [twin, header] = [txnResponseTwin(message), headerOf(message.header)];
    expect(write(sizeOfTxnResponse(twin, header), (to, at) => writeTxnResponse(twin, header, to, at))).toEqual(
      bytesOf(bytes),
    );
    count++;
  }
  expect(count).toBeGreaterThan(200);
});

test("watch responses are a head and shared events, byte for byte", () => {
  const { responses } = messagesOf("/etcdserverpb.Watch/Watch");
  expect(responses.length).toBeGreaterThan(50);
  for (const bytes of responses) {
    const message = pb.WatchResponse.decode(bytes);
    const events = message.events.map(({ type, kv, prevKv }) =>
      encodeEvent(
        type as EventType,
        KeyValue.encode(kv ?? KeyValue.create()).finish(),
        prevKv && KeyValue.encode(prevKv).finish(),
      ),
    );
    const compactRevision = saturate(message.compactRevision);
    const head = encodeWatchResponseHead({ ...message, compactRevision, events }, headerOf(message.header));
    expect(bytesOf(Buffer.concat([head, ...events]))).toEqual(bytesOf(bytes));
  }
});

test("keepalives are read and answered, byte for byte", () => {
  const { requests, responses } = messagesOf("/etcdserverpb.Lease/LeaseKeepAlive");
  expect(Math.min(requests.length, responses.length)).toBeGreaterThan(0);
  for (const bytes of requests) {
    expect(decodeLeaseKeepAliveRequest(bytes)).toBe(pb.LeaseKeepAliveRequest.decode(bytes).ID);
  }
  for (const bytes of responses) {
    const { header, ID, TTL } = pb.LeaseKeepAliveResponse.decode(bytes);
    const [ttl, encoded] = [Number(TTL), headerOf(header)];
    const size = sizeOfLeaseKeepAliveResponse(ID, ttl, encoded);
    expect(write(size, (to, at) => writeLeaseKeepAliveResponse(ID, ttl, encoded, to, at))).toEqual(bytesOf(bytes));
  }
});

test("malformed requests are refused in etcd's words", () => {
  const refused = stepsOf("wire").filter(
    ({ method, req_raw, status }) =>
      method === "/etcdserverpb.KV/Range" && req_raw !== undefined && status !== undefined,
  );
  expect(refused.length).toBeGreaterThanOrEqual(4);
  for (const { req_raw, status } of refused) {
    expect(() => decodeRequest(decodeRangeRequest, recorded(req_raw)!)).toThrow(
      expect.objectContaining({ code: status?.code, message: status?.message }),
    );
  }
});

test("a message of a generated codec that is cut short is refused in the same words", () => {
  expect(() => decodeRequest((bytes) => pb.LeaseGrantRequest.decode(bytes), Buffer.from([0x08]))).toThrow(
    "grpc: error unmarshalling request: unexpected EOF",
  );
});
