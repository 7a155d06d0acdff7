/** Rows of the `lease` bucket: 8-byte big-endian id → `leasepb.Lease` {1 ID, 2 TTL, 3 RemainingTTL}, zeros left out. */
import type { BackendReader } from "../storage/backend/bucket.ts";
import { buckets } from "../storage/backend/bucket.ts";
import type { BackendWriter } from "../storage/backend/schema.ts";
import { Lease as LeaseMessage } from "../wire/gen/leasepb/lease.ts";

/** What the lessor needs of the backend. */
export interface LeaseBackend extends BackendReader, BackendWriter {}

export interface LeaseRow {
  readonly id: bigint;
  readonly ttlSeconds: number;
  /** From the last checkpoint; 0 when none. */
  readonly remainingTtlSeconds: number;
}

export function readLeaseRows(reader: BackendReader): LeaseRow[] {
  const leases: LeaseRow[] = [];
  reader.range(buckets.lease, new Uint8Array(0), undefined, 0, (_key, value) => {
    const { ID, TTL, RemainingTTL } = LeaseMessage.decode(value);
    leases.push({ id: ID, ttlSeconds: Number(TTL), remainingTtlSeconds: Number(RemainingTTL) });
    return true;
  });
  return leases;
}

export function writeLeaseRow(writer: BackendWriter, lease: LeaseRow): void {
  const message = LeaseMessage.encode({
    ID: lease.id,
    TTL: BigInt(lease.ttlSeconds),
    RemainingTTL: BigInt(lease.remainingTtlSeconds),
  });
  writer.put(buckets.lease, leaseKey(lease.id), message.finish());
}

export function deleteLeaseRow(writer: BackendWriter, id: bigint): void {
  writer.delete(buckets.lease, leaseKey(id));
}

function leaseKey(id: bigint): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigInt64(0, id);
  return key;
}
