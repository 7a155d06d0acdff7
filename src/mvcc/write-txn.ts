/**
 * The write transaction: all changes of one main revision, numbered by `sub` in execution order.
 *
 * There is one writer (the apply loop) and no interleaving, so changes go to index and backend at once; `end` only
 * publishes the new revision. Reads inside see them because they read at begin + 1 once something changed. Source: etcd
 * server/storage/mvcc/kvstore_txn.go.
 */
import { assert } from "../base/assert.ts";
import type { Change } from "./change.ts";
import type { Core } from "./core.ts";
import { RevisionList } from "./index/revision-list.ts";

export class WriteTxn {
  readonly #core: Core;
  readonly #doomed = new RevisionList();
  #isOpen = false;
  #begin = 0;
  #changeCount = 0;
  #operations = 0;
  #rangesBefore = 0;
  /** Collected only for a hub that listens. */
  #changes: Change[] | undefined = undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Revision that reads inside see: the begin revision, or one more once something changed. */
  get readRevision(): number {
    return this.#changeCount > 0 ? this.#begin + 1 : this.#begin;
  }

  get changeCount(): number {
    return this.#changeCount;
  }

  begin(): this {
    assert(!this.#isOpen, "write transaction inside a write transaction");
    this.#isOpen = true;
    this.#begin = this.#core.currentRevision;
    this.#changeCount = 0;
    this.#operations = 0;
    this.#rangesBefore = this.#core.counters.ranges;
    this.#changes = this.#core.onCommit === undefined ? undefined : [];
    return this;
  }

  /** Returns the main revision of the transaction. `key` and `value` are borrowed. */
  put(key: Uint8Array, value: Uint8Array, leaseId: bigint): number {
    assert(this.#isOpen, "put outside of a write transaction");
    const { index, leases, pairs, counters } = this.#core;
    counters.puts++;
    counters.putBytes += key.length + value.length;
    this.#operations++;
    const main = this.#begin + 1;
    const sub = this.#changeCount++;
    const known = index.find(key);
    let create = main;
    let version = 1;
    let oldLease = 0n;
    if (known >= 0 && index.isLive(known)) {
      create = index.createRevision(known);
      version = index.version(known) + 1;
      if (index.isLeased(known)) oldLease = leases.leaseOf(known);
    }
    const row = pairs.encode(key, create, main, version, value, leaseId);
    this.#core.rows.putRow(main, sub, false, row);
    const slot = index.put(known, key, main, sub, leaseId !== 0n);
    if (oldLease !== leaseId) {
      if (oldLease !== 0n) leases.detach(oldLease, slot);
      // The lease was checked before. One kept by ignore_lease may be gone only when the database was inconsistent
      // already at start (a row naming no lease); etcd panics here, we keep the number in the row.
      if (leaseId !== 0n) leases.attach(leaseId, slot);
    }
    this.#changes?.push({ kind: "put", key: index.key(slot), kv: row, main, sub, isCreate: create === main });
    return main;
  }

  /** Deletes the live keys of the range (empty `rangeEnd`: one key; one zero byte: to the end); returns how many. */
  deleteRange(key: Uint8Array, rangeEnd: Uint8Array): number {
    assert(this.#isOpen, "delete outside of a write transaction");
    this.#core.counters.deletes++;
    this.#operations++;
    const doomed = this.#doomed;
    doomed.clear();
    const count = this.#core.ranges.collect(key, rangeEnd, this.readRevision, 0, doomed);
    for (let at = 0; at < count; at++) this.#delete(doomed.slot[at]);
    return count;
  }

  /** Publishes the changes; returns the store's revision after it. */
  end(): number {
    assert(this.#isOpen, "end without begin");
    this.#isOpen = false;
    const { counters } = this.#core;
    if (this.#operations + counters.ranges - this.#rangesBefore > 1) counters.txns++;
    if (this.#changeCount === 0) return this.#begin;
    const main = this.#begin + 1;
    const { beforeWritebackBuf, afterWritebackBuf } = this.#core.failpoints;
    beforeWritebackBuf?.hit();
    this.#core.currentRevision = main;
    afterWritebackBuf?.hit();
    const changes = this.#changes;
    this.#changes = undefined;
    if (changes !== undefined) this.#core.onCommit?.(main, changes);
    return main;
  }

  #delete(slot: number): void {
    const { index, leases, rows, pairs } = this.#core;
    const main = this.#begin + 1;
    const sub = this.#changeCount++;
    const key = index.key(slot);
    const lease = index.isLeased(slot) ? leases.leaseOf(slot) : 0n;
    rows.putRow(main, sub, true, pairs.encodeTombstone(key));
    index.tombstone(slot, main, sub);
    if (lease !== 0n) leases.detach(lease, slot);
    this.#changes?.push({ kind: "delete", key, kv: pairs.encodeDeletion(key, main), main, sub, isCreate: false });
  }
}
