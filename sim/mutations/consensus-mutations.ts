/** Bugs of raft and of what members tell each other, beyond votes and syncs. */
import { PeerTransport } from "../../src/peer/transport.ts";
import { Raft } from "../../src/raft/raft.ts";
import { RaftLog } from "../../src/raft/log.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { Tracker } from "../../src/raft/tracker.ts";
import { ReadIndex } from "../../src/server/read-index.ts";
import { ConfChangeType, type Message, MessageType, NONE } from "../../src/wire/raft/types.ts";
import { wrap } from "../world/wrap.ts";
import { every, type Mutation, partitions } from "./mutation.ts";

export const consensusMutations = {
  "learner-counts": {
    what: "what a learner has counts for the commit as if it had a vote",
    hints: { faults: ["grow", "replace", "cut", "isolate"], pace: { meanMs: 700, longestMs: 6_000 } },
    plant: () =>
      wrap(Tracker.prototype, "committedIndex", function (this: Tracker) {
        const matches = this.ordered.map(({ match }) => match).sort((one, other) => other - one);
        return matches[this.config.voters.incoming.size >> 1] ?? 0;
      }),
  },
  "commit-of-older-term": {
    what: "a leader commits entries of earlier terms by counting who has them",
    hints: { faults: ["isolate", "cut", "kill", "moveLeader"], pace: { meanMs: 900, longestMs: 3_000 } },
    plant: () => {
      const undos = [
        wrap(RaftLog.prototype, "maybeCommit", function (this: RaftLog, _maybeCommit, _term, index) {
          if (index <= this.committed) return false;
          this.commitTo(index);
          return true;
        }),
        // With an entry in each message, answers come for those of earlier terms alone.
        wrap(RaftLog.prototype, "entries", function (this: RaftLog, entries, index) {
          return entries.call(this, index, 0);
        }),
      ];
      return () => undos.forEach((undo) => undo());
    },
  },
  "heartbeat-commits-all": {
    what: "heartbeats tell followers to commit what they are not known to have",
    hints: { faults: partitions },
    plant: () =>
      wrap(Raft.prototype, "send", function (this: Raft, send, message) {
        if (message.type === MessageType.Heartbeat) message.commit = this.log.committed;
        send.call(this, message);
      }),
  },
  "append-without-match": {
    what: "followers append behind an entry that is not the leader's",
    hints: {
      faults: ["isolate", "moveLeader", "pause"],
      flags: ["--pre-vote=false"],
      pace: { meanMs: 250, longestMs: 2_500 },
    },
    plant: () =>
      wrap(RaftLog.prototype, "maybeAppend", function (this: RaftLog, maybeAppend, term, index, entries, committed) {
        return maybeAppend.call(this, this.term(index) ?? term, index, entries, committed);
      }),
  },
  "missed-removal": {
    what: "now and then a member does not hear that another was removed, and goes on counting it",
    hints: { faults: ["replace", "grow", "shrink", "kill"] },
    plant: () => {
      const isTime = every(4);
      return wrap(RawNode.prototype, "applyConfChange", function (this: RawNode, applyConfChange, change) {
        const isRemoval = "nodeId" in change && change.type === ConfChangeType.RemoveNode;
        const isForgotten = isRemoval && change.nodeId !== this.id && isTime();
        return applyConfChange.call(this, isForgotten ? { ...change, nodeId: NONE } : change);
      });
    },
  },
  "snapshot-of-wrong-index": {
    what: "a database is sent as that of the entry behind the one it ends with",
    hints: {
      faults: ["isolate", "powerFailure", "kill"],
      flags: ["--snapshot-count=20", "--snapshot-catchup-entries=5"],
    },
    plant: () =>
      wrap(PeerTransport.prototype, "sendSnapshot", function (this: PeerTransport, sendSnapshot, message, image) {
        sendSnapshot.call(this, withNextIndex(message), image);
      }),
  },
  "read-before-applied": {
    what: "a linearizable read does not wait until what was committed before it is applied here",
    hints: { faults: ["slow", "slowDisk", "isolate", "badNetwork"] },
    plant: () =>
      wrap(ReadIndex.prototype, "confirm", function (this: ReadIndex, confirm, context) {
        confirm.call(this, context, 0);
      }),
  },
} as const satisfies Record<string, Mutation>;

function withNextIndex(message: Message): Message {
  const { snapshot } = message;
  if (snapshot === undefined) return message;
  const { metadata } = snapshot;
  return { ...message, snapshot: { ...snapshot, metadata: { ...metadata, index: metadata.index + 1 } } };
}
