/**
 * Bugs to plant, each of which the checkers must catch. They are put between methods of production classes (or of the
 * virtual platform below them) and their callers; the product itself has no place for them.
 */
import { EtcdMember } from "../../src/server/etcd-member.ts";
import { LeaderLease } from "../../src/server/leader-lease.ts";
import { Applier } from "../../src/server/apply/applier.ts";
import { Lessor } from "../../src/lease/lessor.ts";
import { KeyIndex } from "../../src/mvcc/index/key-index.ts";
import { RowHasher } from "../../src/mvcc/hash.ts";
import { Store } from "../../src/mvcc/store.ts";
import { WatchHub } from "../../src/mvcc/watch/watch-hub.ts";
import { WatchStream } from "../../src/mvcc/watch/watch-stream.ts";
import { VirtualDisk } from "../../src/platform/virtual/index.ts";
import { RaftLog } from "../../src/raft/log.ts";
import { Raft } from "../../src/raft/raft.ts";
import { Tracker } from "../../src/raft/tracker.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { Wal } from "../../src/storage/wal/wal.ts";
import { NONE } from "../../src/wire/raft/types.ts";
import { wrap } from "../world/wrap.ts";
import { consensusMutations } from "./consensus-mutations.ts";
import { every, type Mutation, onConsistentIndex, onFiles, partitions, restarts } from "./mutation.ts";
import { stateMutations } from "./state-mutations.ts";

export const mutations = {
  "skip-fsync": {
    what: "no sync reaches the disk",
    hints: { faults: restarts },
    plant: () =>
      wrap(VirtualDisk.prototype, "afterSync", function (this: VirtualDisk, afterSync) {
        return afterSync.call(this, () => undefined);
      }),
  },
  "ack-before-sync": {
    what: "the log says that entries are durable when they are only written",
    hints: { faults: restarts },
    plant: () =>
      wrap(Wal.prototype, "save", function (this: Wal, save, hardState, entries, _mustSync, done) {
        save.call(this, hardState, entries, false, done);
      }),
  },
  "vote-not-durable": {
    what: "the vote is not written to the log, and forgotten with the process",
    hints: {
      faults: ["kill", "kill", "badNetwork", "powerFailure"],
      flags: ["--pre-vote=false"],
      pace: { meanMs: 400, longestMs: 150 },
    },
    plant: () =>
      wrap(Wal.prototype, "save", function (this: Wal, save, hardState, entries, mustSync, done) {
        save.call(this, hardState === undefined ? undefined : { ...hardState, vote: NONE }, entries, mustSync, done);
      }),
  },
  "forget-vote": {
    what: "a candidate forgets that it has voted for itself",
    hints: {
      faults: ["kill", "badNetwork", "moveLeader"],
      flags: ["--pre-vote=false"],
      pace: { meanMs: 1_500, longestMs: 3_000 },
    },
    plant: () =>
      wrap(Raft.prototype, "becomeCandidate", function (this: Raft, becomeCandidate) {
        becomeCandidate.call(this);
        this.vote = NONE;
      }),
  },
  "vote-for-anybody": {
    what: "votes go to candidates whose log is behind",
    hints: { faults: ["isolate", "cut", "powerFailure", "kill"], flags: ["--pre-vote=false"] },
    plant: () => wrap(RaftLog.prototype, "isUpToDate", () => true),
  },
  "commit-without-quorum": {
    what: "the leader takes an entry for committed when one member has it",
    hints: { faults: partitions },
    plant: () =>
      wrap(Tracker.prototype, "committedIndex", function (this: Tracker) {
        return Math.max(...this.ordered.map(({ match }) => match));
      }),
  },
  "stale-read": {
    what: "linearizable reads are served without asking the others",
    hints: { faults: partitions },
    plant: () =>
      wrap(EtcdMember.prototype, "readIndex", (_readIndex, callback) => {
        callback(undefined);
      }),
  },
  "apply-twice": {
    what: "now and then a put is applied twice",
    plant: () => {
      const isTime = every(60);
      return wrap(Applier.prototype, "apply", function (this: Applier, apply, request, isProposer) {
        if (request.kind === "put" && isTime()) apply.call(this, request, isProposer);
        return apply.call(this, request, isProposer);
      });
    },
  },
  "txn-ignores-compare": {
    what: "now and then a transaction takes its first branch whatever its conditions say",
    plant: () => {
      const isTime = every(25);
      return wrap(Store.prototype, "applyTxn", function (this: Store, applyTxn, request, isProposer) {
        return applyTxn.call(this, isTime() ? { ...request, compare: [] } : request, isProposer);
      });
    },
  },
  "lost-event": {
    what: "now and then watchers are not told of a transaction",
    plant: () => {
      const isTime = every(80);
      return wrap(WatchHub.prototype, "onCommit", function (this: WatchHub, onCommit, main, changes) {
        if (!isTime()) onCommit.call(this, main, changes);
      });
    },
  },
  "duplicated-event": {
    what: "now and then watchers are told of a transaction twice",
    plant: () => {
      const isTime = every(80);
      return wrap(WatchHub.prototype, "onCommit", function (this: WatchHub, onCommit, main, changes) {
        if (isTime()) onCommit.call(this, main, changes);
        onCommit.call(this, main, changes);
      });
    },
  },
  "reordered-events": {
    what: "now and then watchers are told of a transaction behind the next",
    plant: () => {
      const isTime = every(80);
      const held = new WeakMap<WatchHub, () => void>();
      return wrap(WatchHub.prototype, "onCommit", function (this: WatchHub, onCommit, main, changes) {
        const before = held.get(this);
        held.delete(this);
        if (before === undefined && isTime()) {
          held.set(this, () => onCommit.call(this, main, changes));
          return;
        }
        onCommit.call(this, main, changes);
        before?.();
      });
    },
  },
  "split-revision": {
    what: "the events of one transaction come in two messages",
    plant: () =>
      wrap(WatchHub.prototype, "onCommit", function (this: WatchHub, onCommit, main, changes) {
        for (const change of changes) onCommit.call(this, main, [change]);
      }),
  },
  "bookmark-ahead": {
    what: "bookmarks name a revision that is not reached",
    plant: () =>
      wrap(WatchStream.prototype, "progress", function (this: WatchStream, progress, watcher) {
        const revision = progress.call(this, watcher);
        return revision === undefined ? undefined : revision + 1;
      }),
  },
  "resume-skips": {
    what: "a watch that starts in the past misses its first revision",
    plant: () =>
      wrap(WatchStream.prototype, "watch", function (this: WatchStream, watch, id, options) {
        const { startRevision } = options;
        return watch.call(this, id, { ...options, startRevision: startRevision > 0 ? startRevision + 1 : 0 });
      }),
  },
  "off-by-one-compaction": {
    what: "a compaction takes one revision more than it was told",
    plant: () =>
      wrap(Store.prototype, "compact", function (this: Store, compact, revision, whenDone) {
        compact.call(this, revision < this.currentRevision ? revision + 1 : revision, whenDone);
      }),
  },
  "compaction-drops-live": {
    what: "compactions delete rows that are still needed",
    plant: () => {
      const isTime = every(7);
      return wrap(KeyIndex.prototype, "isOldest", function (this: KeyIndex, isOldest, slot, main, sub) {
        return isOldest.call(this, slot, main, sub) && !isTime();
      });
    },
  },
  "dropped-tombstone": {
    what: "now and then a deletion is not written to the database",
    hints: { faults: restarts },
    plant: () => {
      const isTime = every(5);
      return wrap(Backend.prototype, "putRow", function (this: Backend, putRow, main, sub, tombstone, value) {
        if (!tombstone || !isTime()) putRow.call(this, main, sub, tombstone, value);
      });
    },
  },
  "wrong-hash": {
    what: "the hash of the data depends on who computes it",
    hints: { faults: ["compareHashes"] },
    plant: () => {
      const isTime = every(101);
      return wrap(RowHasher.prototype, "add", function (this: RowHasher, add, main, sub, isTombstone, value) {
        if (!isTime()) add.call(this, main, sub, isTombstone, value);
      });
    },
  },
  "index-ahead-of-data": {
    what: "the database claims to hold one entry more than it does",
    hints: { faults: restarts },
    plant: () => onConsistentIndex((index) => index + 1n),
  },
  "lost-page-write": {
    what: "now and then a write to the database file does not happen",
    hints: { faults: restarts },
    plant: () => {
      const isTime = every(25);
      return onFiles(/\/db$/, (file) => {
        const writeMany = file.writeMany.bind(file);
        file.writeMany = (sources, position) => (isTime() ? Promise.resolve() : writeMany(sources, position));
        const write = file.write.bind(file);
        file.write = (source, position) => (isTime() ? Promise.resolve() : write(source, position));
      });
    },
  },
  "snapshot-without-fsync": {
    what: "a database received from the leader is taken into use without a sync",
    hints: {
      faults: ["isolate", "powerFailure", "failpoint"],
      flags: ["--snapshot-count=20", "--snapshot-catchup-entries=5"],
      failpoints: ["applyAfterOpenSnapshot", "raftAfterApplySnap", "raftAfterWALRelease", "raftAfterSaveSnap"],
    },
    plant: () =>
      onFiles(/\/tmp\d+$/, (file) => {
        file.sync = () => Promise.resolve();
      }),
  },
  "lease-expires-early": {
    what: "leases end before their time",
    plant: () => {
      const undos = [
        wrap(Lessor.prototype, "takeExpired", function (this: Lessor, takeExpired, nowMs, limit) {
          return takeExpired.call(this, nowMs + 1_500, limit);
        }),
        wrap(Lessor.prototype, "isExpired", function (this: Lessor, isExpired, id, nowMs) {
          return isExpired.call(this, id, nowMs + 1_500);
        }),
      ];
      return () => undos.forEach((undo) => undo());
    },
  },
  "lease-never-expires": {
    what: "leases do not end",
    plant: () => wrap(Lessor.prototype, "takeExpired", () => []),
  },
  "lease-trusts-old-leader": {
    what: "who has led once goes on renewing leases, as if it still led",
    hints: { faults: partitions },
    plant: () => {
      const sure = wrap(LeaderLease.prototype, "isSure", () => true);
      const primary = wrap(Lessor.prototype, "demote", () => undefined);
      return () => {
        primary();
        sure();
      };
    },
  },
  "lease-forgets-key": {
    what: "now and then a key is not attached to its lease",
    plant: () => {
      const isTime = every(6);
      return wrap(Lessor.prototype, "attach", function (this: Lessor, attach, leaseId, item) {
        return isTime() ? true : attach.call(this, leaseId, item);
      });
    },
  },
  ...consensusMutations,
  ...stateMutations,
} as const satisfies Record<string, Mutation>;

export type MutationName = keyof typeof mutations;

export function isMutation(name: string): name is MutationName {
  return name in mutations;
}
