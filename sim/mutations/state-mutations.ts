/** Bugs of what is replicated and of the files below it: database, log, leases, history for watchers. */
import { Lessor } from "../../src/lease/lessor.ts";
import { Store } from "../../src/mvcc/store.ts";
import { WatchHub } from "../../src/mvcc/watch/watch-hub.ts";
import { Freelist } from "../../src/storage/bbolt/freelist.ts";
import { PageCache } from "../../src/storage/bbolt/page-cache.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { buckets } from "../../src/storage/backend/bucket.ts";
import { wrap } from "../world/wrap.ts";
import { every, type Mutation, onConsistentIndex, restarts } from "./mutation.ts";

export const stateMutations = {
  "index-behind-data": {
    what: "the database holds effects of an entry that it does not claim to hold",
    hints: { faults: restarts },
    plant: () => onConsistentIndex((index) => (index > 1n ? index - 1n : index)),
  },
  "defrag-loses-writes": {
    what: "what is written while the database is defragmented does not reach the new file",
    hints: { faults: ["defragment", "slowDisk", "compareHashes"], pace: { meanMs: 300, longestMs: 2_000 } },
    plant: () =>
      wrap(Backend.prototype, "putRow", function (this: Backend, putRow, main, sub, tombstone, value) {
        if (!this.isDefragmenting) putRow.call(this, main, sub, tombstone, value);
      }),
  },
  "page-reused-at-once": {
    what: "pages of the last commit are written anew before the next one is durable",
    hints: { faults: restarts },
    plant: () =>
      wrap(Freelist.prototype, "free", function (this: Freelist, free, id, count, txid) {
        const isSound = free.call(this, id, count, txid);
        this.releasePending();
        return isSound;
      }),
  },
  "stale-page": {
    what: "a page of the database that was written anew is still served as it was",
    hints: { faults: ["compact", "kill", "compareHashes"] },
    plant: () =>
      wrap(PageCache.prototype, "add", function (this: PageCache, add, page) {
        if (this.get(page.id) === undefined) add.call(this, page);
      }),
  },
  "lost-transaction-part": {
    what: "now and then the last operation of a transaction is left out",
    plant: () => {
      const isTime = every(25);
      return wrap(Store.prototype, "applyTxn", function (this: Store, applyTxn, request, isProposer) {
        const { success } = request;
        const less = isTime() && success.length > 1 ? { ...request, success: success.slice(0, -1) } : request;
        return applyTxn.call(this, less, isProposer);
      });
    },
  },
  "compaction-forgotten": {
    what: "a member does not remember after a restart that it has compacted",
    hints: { faults: ["compact", "kill", "stop", "compareHashes"] },
    plant: () =>
      wrap(Backend.prototype, "put", function (this: Backend, put, bucket, key, value) {
        const name = Buffer.from(key).toString("latin1");
        if (bucket === buckets.meta && name.endsWith("CompactRev")) return;
        put.call(this, bucket, key, value);
      }),
  },
  "lease-takes-other-key": {
    what: "now and then a key that was put without its lease goes with the lease all the same",
    plant: () => {
      const isTime = every(4);
      return wrap(Lessor.prototype, "detach", function (this: Lessor, detach, leaseId, item) {
        return isTime() ? true : detach.call(this, leaseId, item);
      });
    },
  },
  "keep-alive-in-vain": {
    what: "leases that are kept alive end all the same",
    plant: () =>
      wrap(Lessor.prototype, "renew", function (this: Lessor, renew, id, nowMs) {
        return this.isExpired(id, nowMs) ? "expired" : (this.lookup(id) ?? renew.call(this, id, nowMs));
      }),
  },
  "lease-not-renewed-by-leader": {
    what: "a new leader does not give leases their time again",
    hints: { faults: ["moveLeader", "kill", "stop"], pace: { meanMs: 1_500, longestMs: 1_500 } },
    plant: () =>
      wrap(Lessor.prototype, "promote", function (this: Lessor, promote, _extendMs, nowMs) {
        promote.call(this, -1_500, nowMs);
      }),
  },
  "wrong-previous": {
    what: "events tell the value before the previous one as the previous",
    plant: () =>
      wrap(Store.prototype, "keyValueAt", function (this: Store, keyValueAt, key, revision) {
        return keyValueAt.call(this, key, Math.max(1, revision - 3));
      }),
  },
  "watch-gap-after-snapshot": {
    what: "watchers of a member that is brought up by a snapshot miss what the snapshot skipped",
    hints: {
      faults: ["isolate", "pause", "cut"],
      flags: ["--snapshot-count=20", "--snapshot-catchup-entries=5"],
      pace: { meanMs: 900, longestMs: 1_400 },
    },
    plant: () => wrap(WatchHub.prototype, "resync", () => undefined),
  },
} as const satisfies Record<string, Mutation>;
