/** Encoded requests of the benchmark's operations. Keys are 55 bytes, values 256, as in Kubernetes' small objects. */
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchRequest,
} from "../src/wire/gen/etcdserverpb/rpc.ts";
import { decodeTxnRequest, encodeTxnRequest } from "../src/wire/hot/txn-request.ts";
import { WireReader } from "../src/wire/hot/wire-reader.ts";

const valueBytes = 256;

/** `/registry/pods/bench-0000000000/key-00000000000000000042`-like, 55 bytes. */
export function keyOf(index: number, prefix = "/registry/pods/bench"): Uint8Array {
  return Buffer.from(`${prefix}/${String(index).padStart(54 - prefix.length, "0")}`);
}

export const value: Uint8Array = Buffer.alloc(valueBytes, "v");

export function put(key: Uint8Array): Uint8Array {
  return PutRequest.encode(PutRequest.create({ key, value })).finish();
}

export function range(key: Uint8Array, serializable: boolean): Uint8Array {
  return RangeRequest.encode(RangeRequest.create({ key, serializable })).finish();
}

/** `limit` keys from `key` on. */
export function list(key: Uint8Array, limit: number): Uint8Array {
  return RangeRequest.encode(
    RangeRequest.create({ key, rangeEnd: Buffer.from("/registry/pods/bench0"), limit: BigInt(limit) }),
  ).finish();
}

const guarded = decodeTxnRequest(
  TxnRequest.encode(
    TxnRequest.create({
      compare: [{ result: Compare_CompareResult.EQUAL, target: Compare_CompareTarget.MOD, modRevision: 0n }],
      success: [{ requestPut: PutRequest.create({ value }) }],
      failure: [{ requestRange: RangeRequest.create() }],
    }),
  ).finish(),
);

/**
 * What the Kubernetes API server does to create (revision 0) or update an object. The revision differs from request to request,
 * so it is encoded each time, by the hand-written codec: with the generated one the load generator costs as much as a server.
 */
export function guardedPut(key: Uint8Array, modRevision: number): Uint8Array {
  const [compare] = guarded.compare;
  const [success] = guarded.success;
  const [failure] = guarded.failure;
  compare.key = key;
  compare.modRevision = modRevision;
  if (success.kind === "put") success.put.key = key;
  if (failure.kind === "range") failure.range.key = key;
  return encodeTxnRequest(guarded);
}

export function watch(key: Uint8Array): Uint8Array {
  return WatchRequest.encode(WatchRequest.create({ createRequest: { key } })).finish();
}

export function leaseGrant(id: bigint): Uint8Array {
  return LeaseGrantRequest.encode({ ID: id, TTL: 600n }).finish();
}

/** Revision in the header of any answer. */
export function revisionOf(answer: Uint8Array): number {
  const reader = new WireReader(answer);
  if (reader.tag() !== 0x0a) return 0;
  reader.enter();
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 0x18) return reader.int64();
    reader.skip(tag);
  }
  return 0;
}

export function keepAlive(id: bigint): Uint8Array {
  return LeaseKeepAliveRequest.encode({ ID: id }).finish();
}
