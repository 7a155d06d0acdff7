/**
 * Looks at every raft node of the process from outside, by stepping between the production classes' methods and their
 * callers, and tells {@link RaftInvariants}. Nothing in the product knows of it.
 */
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { PeerTransport } from "../../src/peer/transport.ts";
import { RaftLog } from "../../src/raft/log.ts";
import { Raft } from "../../src/raft/raft.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { EntryApplier } from "../../src/server/apply/entry-applier.ts";
import { describeConfState } from "../../src/raft/describe.ts";
import { type ConfState, type Entry, EntryType, MessageType } from "../../src/wire/raft/types.ts";
import type { RaftInvariants, SeenEntry } from "../checkers/raft-invariants.ts";
import { type Undo, wrap } from "./wrap.ts";

/** @returns what ends the observation. */
export function observeRaft(invariants: RaftInvariants): Undo {
  const appliedBy = new WeakMap<RawNode, number>();
  /** Whose configuration it is. */
  const groups = new WeakMap<ConfState, bigint>();
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
    wrap(Raft.prototype, "maybeCommit", function (this: Raft, maybeCommit) {
      const hasMoved = maybeCommit.call(this);
      const { log, term, tracker } = this;
      if (hasMoved) {
        const { incoming } = tracker.config.voters;
        const matches = tracker.ordered.filter(({ id }) => incoming.has(id)).map(({ match }) => match);
        const index = log.committed;
        invariants.counted(this.id, { term, index, entryTerm: log.term(index), matches });
      }
      return hasMoved;
    }),
    wrap(RawNode.prototype, "applyConfChange", function (this: RawNode, applyConfChange, change) {
      const group = applyConfChange.call(this, change);
      groups.set(group, this.id);
      return group;
    }),
    wrap(EntryApplier.prototype, "apply", function (this: EntryApplier, apply, entry) {
      apply.call(this, entry);
      const id = groups.get(this.confState);
      if (entry.type === EntryType.ConfChange && id !== undefined) {
        invariants.configured(id, entry.index, describeConfState(this.confState));
      }
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
