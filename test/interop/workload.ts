/** Writes of every kind, the same for the same seed number. */
import type { Client, Fields } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/client-error.ts";
import { methods, type Method } from "../../src/client/methods.ts";
import { Code, reasons } from "../../src/wire/errors.ts";
import type { RequestOp, TxnRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, put } from "../support/client.ts";
import { patienceMs } from "../support/process.ts";

const within = { timeoutMs: patienceMs };

/** Sends one request: a client, or one that is patient. */
export type Caller = Pick<Client, "call">;

/** Errors that only say that an earlier attempt was carried out. */
const wasDone: ReadonlySet<string> = new Set([
  reasons.leaseExists.message,
  reasons.leaseNotFound.message,
  reasons.compacted.message,
]);

/**
 * Sends a request again when the leader was lost meanwhile, as happens when a machine is busy. Only for writes that may be
 * carried out twice, and whose answer does not matter then.
 */
export function patient(client: Client): Caller {
  return {
    async call<Request, Response>(method: Method<Request, Response>, fields: Fields<Request>): Promise<Response> {
      const deadline = performance.now() + patienceMs;
      for (let attempt = 1; ; attempt++) {
        try {
          return await client.call(method, fields, within);
        } catch (error) {
          if (!(error instanceof ClientError)) throw error;
          if (attempt > 1 && wasDone.has(error.description)) return method.response.create();
          if (error.code !== Code.Unavailable || performance.now() > deadline) throw error;
        }
      }
    },
  };
}

/** Leases with keys, overwrites, deletes of one key and of ranges, transactions, a revoked lease, and a compaction amid. */
export async function mixedLoad(client: Caller, seed: number): Promise<void> {
  const at = (index: number): string => `mixed/${seed}/${String(index).padStart(3, "0")}`;
  const lease = BigInt(0x1000 + seed);
  const revoked = BigInt(0x2000 + seed);
  await client.call(methods.leaseGrant, { ID: lease, TTL: 3600n }, within);
  await client.call(methods.leaseGrant, { ID: revoked, TTL: 3600n }, within);
  for (let index = 0; index < 200; index++) {
    await put(client, at(index % 80), `value ${index}`, index % 7 === 0 ? lease : index % 11 === 0 ? revoked : 0n);
  }
  await client.call(methods.deleteRange, { key: bytes(at(5)) }, within);
  await client.call(methods.deleteRange, { key: bytes(at(10)), rangeEnd: bytes(at(20)) }, within);
  const { header } = await client.call(methods.range, { key: bytes(at(0)), countOnly: true }, within);
  await client.call(methods.leaseRevoke, { ID: revoked }, within);
  await client.call(methods.txn, transaction(at), within);
  await client.call(methods.compact, { revision: header?.revision ?? 0n, physical: true }, within);
  await Promise.all(Array.from({ length: 100 }, (_, index) => put(client, at(index), `again ${index}`)));
  await client.call(methods.deleteRange, { key: bytes(at(40)), rangeEnd: bytes(at(45)) }, within);
}

/** Writes that depend on each other inside one transaction. */
function transaction(at: (index: number) => string): Partial<TxnRequest> {
  const key = (index: number): Uint8Array => bytes(at(index));
  const empty = {
    requestRange: undefined,
    requestPut: undefined,
    requestDeleteRange: undefined,
    requestTxn: undefined,
  };
  const write = (index: number): RequestOp => ({
    ...empty,
    requestPut: {
      key: key(index),
      value: bytes("in a transaction"),
      lease: 0n,
      prevKv: false,
      ignoreValue: false,
      ignoreLease: false,
    },
  });
  const remove: RequestOp = {
    ...empty,
    requestDeleteRange: { key: key(30), rangeEnd: key(33), prevKv: false },
  };
  const nested: RequestOp = { ...empty, requestTxn: { compare: [], success: [write(300), remove], failure: [] } };
  return { success: [write(1), write(2), nested] };
}

/** Small puts, `concurrency` at a time: entries for raft snapshots. */
export async function manyPuts(client: Caller, count: number, concurrency = 50): Promise<void> {
  for (let start = 0; start < count; start += concurrency) {
    await Promise.all(
      Array.from({ length: Math.min(concurrency, count - start) }, (_, index) =>
        put(client, `many/${(start + index) % 97}`, `value ${start + index}`),
      ),
    );
  }
}

/** Values of a megabyte: the log goes over the size of a segment. */
export async function largePuts(client: Client, count: number): Promise<void> {
  for (let index = 0; index < count; index++)
    await put(client, `large/${index % 10}`, new Uint8Array(1 << 20).fill(index));
}
