/** Cost of the hot codecs: `npx vitest bench src/wire/hot`. The generated twin of each is the baseline. */
import { bench, describe } from "vitest";
import * as pb from "../gen/etcdserverpb/rpc.ts";
import { KeyValue } from "../gen/mvccpb/kv.ts";
import { decodePutRequest } from "./kv-requests.ts";
import { sizeOfRangeResponse, writeRangeResponse } from "./kv-responses.ts";
import { decodeRaftRequest, encodeRaftRequest } from "./raft-request.ts";
import { HeaderEncoder } from "./response-header.ts";
import { decodeTxnRequest } from "./txn-request.ts";

const key = Buffer.from("/registry/pods/kube-system/coredns-5d78c9869d-abcde");
const value = Buffer.alloc(300, 0x61);
const put = Buffer.from(pb.PutRequest.encode(pb.PutRequest.create({ key, value })).finish());
const txn = Buffer.from(
  pb.TxnRequest.encode(
    pb.TxnRequest.create({
      compare: [{ target: 2, key, modRevision: 123456n }],
      success: [{ requestPut: { key, value } }],
      failure: [{ requestRange: { key } }],
    }),
  ).finish(),
);
const raftHeader = { id: 0x7012_3456_789a_bcden, username: "", authRevision: 0n };
const entry = encodeRaftRequest("put", put, raftHeader);

const pair = KeyValue.create({ key, value, createRevision: 1000n, modRevision: 200000n, version: 7n });
const pairs = Array.from({ length: 500 }, () => pair);
const answer = {
  kvs: pairs.map((kv) => KeyValue.encode(kv).finish()),
  more: true,
  count: 500,
};
const header = new HeaderEncoder({ clusterId: 0xcdf8_1818_1818_1818n, memberId: 0x8e9e_05c5_2164_694dn }).encode(
  200000,
  3,
);
const target = Buffer.alloc(512 * 1024);

/** Each sample is this many operations: a single one is shorter than the clock can tell. */
const BATCH = 1000;
let sink: unknown;

function batched(run: () => unknown): () => void {
  return () => {
    for (let index = 0; index < BATCH; index++) sink = run();
  };
}

describe("decode 1000 PutRequests, 350 bytes each", () => {
  bench(
    "by hand",
    batched(() => decodePutRequest(put)),
  );
  bench(
    "generated",
    batched(() => pb.PutRequest.decode(put)),
  );
});

describe("decode 1000 TxnRequests: compare, put, get", () => {
  bench(
    "by hand",
    batched(() => decodeTxnRequest(txn)),
  );
  bench(
    "generated",
    batched(() => pb.TxnRequest.decode(txn)),
  );
});

describe("log entries, 1000 puts", () => {
  bench(
    "encode",
    batched(() => encodeRaftRequest("put", put, raftHeader)),
  );
  bench(
    "decode",
    batched(() => decodeRaftRequest(entry)),
  );
});

describe("encode one RangeResponse of 500 pairs, 370 bytes each", () => {
  bench("by hand, from stored rows", () => {
    if (sizeOfRangeResponse(answer, header) > target.length) throw new Error("the target is too small");
    sink = writeRangeResponse(answer, header, target, 0);
  });
  bench("generated, from messages", () => {
    sink = pb.RangeResponse.encode({ header: undefined, kvs: pairs, more: true, count: 500n }).finish();
  });
});

export { sink };
