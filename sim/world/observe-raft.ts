/**
 * Looks at every raft node of the process from outside, by stepping between the production classes' methods and their
 * callers, and tells {@link RaftInvariants}. Nothing in the product knows of it.
 */
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { PeerTransport } from "../../src/peer/transport.ts";
import { RaftLog } from "../../src/raft/log.ts";
import { Raft } from "../../src/raft/raft.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { type Entry, MessageType } from "../../src/wire/raft/types.ts";
import type { RaftInvariants, SeenEntry } from "../checkers/raft-invariants.ts";
import { type Undo, wrap } from "./wrap.ts";

/** @returns what ends the observation. */
export function observeRaft(invariants: RaftInvariants): Undo {
  const appliedBy = new WeakMap<RawNode, number>();
  const undos = [
    wrap(RawNode.prototype, "ready", function (this: RawNode, ready) {
      const result = ready.call(this);
      const { committedEntries, snapshot } = result;
      if (snapshot !== undefined) appliedBy.set(this, snapshot.metadata.index);
      if (committedEntries.length > 0) {
        invariants.committed(this.id, committedEntries.map(seen), appliedBy.get(this));
        appliedBy.set(this, committedEntries[committedEntries.length - 1].index);
      }
      return result;
    }),
    wrap(RaftLog.prototype, "append", function (this: RaftLog, append, entries) {
      if (entries.length > 0) invariants.appended(entries.map(seen), this.term(entries[0].index - 1));
      return append.call(this, entries);
    }),
    wrap(Raft.prototype, "becomeLeader", function (this: Raft, becomeLeader) {
      const { log } = this;
      invariants.elected(this.id, this.term, {
        firstIndex: log.firstIndex(),
        lastIndex: log.lastIndex(),
        term: (index) => log.term(index),
      });
      becomeLeader.call(this);
    }),
    wrap(PeerTransport.prototype, "send", function (this: PeerTransport, send, messages) {
      for (const { type, reject, from, to, term } of messages) {
        if (type === MessageType.VoteResp && !reject) invariants.voted(from, term, to);
      }
      send.call(this, messages);
    }),
  ];
  return () => undos.forEach((undo) => undo());
}

function seen({ index, term, type, data }: Entry): SeenEntry {
  return { index, term, digest: updateCrc32c(type, data) };
}
