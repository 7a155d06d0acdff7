/**
 * The backend's space quota: what a request would cost, and whether that still fits. The estimates are etcd's
 * (server/storage/quota.go): 256 bytes and the key and value for a put, 64 bytes for a lease, the dearer branch for a
 * transaction; deletes and reads are free, so that one can always make room.
 */
import type { Logger } from "../platform/logger.ts";
import type { Backend } from "../storage/backend/backend.ts";
import type { PutRequest, RequestOp, TxnRequest } from "../wire/hot/types.ts";

const QUOTA_BYTES_DEFAULT = 2 * 1024 * 1024 * 1024;
/** Above this etcd warns that performance may suffer. */
const QUOTA_BYTES_SUGGESTED_MAX = 8 * 1024 * 1024 * 1024;

const KEY_VALUE_OVERHEAD_BYTES = 256;
export const LEASE_GRANT_COST_BYTES = 64;

export function putCost(put: PutRequest): number {
  return KEY_VALUE_OVERHEAD_BYTES + put.key.length + put.value.length;
}

export function txnCost(txn: TxnRequest): number {
  return Math.max(branchCost(txn.success), branchCost(txn.failure));
}

function branchCost(operations: readonly RequestOp[]): number {
  let cost = 0;
  for (const operation of operations) {
    if (operation.kind === "put") cost += putCost(operation.put);
    else if (operation.kind === "txn") cost += txnCost(operation.txn);
  }
  return cost;
}

export class Quota {
  readonly #backend: Backend;
  /** Infinity when switched off. */
  readonly limitBytes: number;

  /** @param configuredBytes - `--quota-backend-bytes`: 0 means the default, negative no quota. */
  constructor(backend: Backend, configuredBytes: number) {
    this.#backend = backend;
    if (configuredBytes < 0) this.limitBytes = Infinity;
    else this.limitBytes = configuredBytes === 0 ? QUOTA_BYTES_DEFAULT : configuredBytes;
  }

  /** Whether a request of this cost fits; one without cost always does. */
  isAvailable(costBytes: number): boolean {
    return costBytes === 0 || this.#backend.size + costBytes < this.limitBytes;
  }

  get remainingBytes(): number {
    return this.limitBytes - this.#backend.size;
  }

  /** The start-up line, as etcd words it. */
  logTo(log: Logger, configuredBytes: number): void {
    const fields = { "quota-name": "v3-applier", "quota-size-bytes": configuredBytes };
    if (configuredBytes < 0) return log.info("disabled backend quota", fields);
    if (configuredBytes > QUOTA_BYTES_SUGGESTED_MAX) {
      log.warn("quota exceeds the maximum value", { ...fields, "quota-maximum-size-bytes": QUOTA_BYTES_SUGGESTED_MAX });
    }
    if (configuredBytes > 0) return log.info("enabled backend quota", fields);
    log.info("enabled backend quota with default value", { ...fields, "quota-size-bytes": QUOTA_BYTES_DEFAULT });
  }
}
