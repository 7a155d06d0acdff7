/**
 * Applies committed log entries, one after the other, each exactly once: the state in the backend moves only for
 * entries beyond the consistent index; those up to it were applied before the last stop, and only raft's own
 * configuration has to follow them again.
 *
 *     entry ─┬─ empty          a leader's first entry in its term
 *            ├─ conf change    validated on the membership as of this entry, then told to raft
 *            └─ request        membership and versions, or the chain of applier.ts; then the waiter is answered
 */
import { assert, InvariantError } from "../../base/assert.ts";
import type { MemberTable } from "../../membership/member-table.ts";
import { formatId, type Member } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import type { Logger } from "../../platform/logger.ts";
import { EtcdError } from "../../wire/errors.ts";
import { decodeConfChange } from "../../wire/raft/conf-change-codec.ts";
import { type ConfChange, type ConfState, type Entry, EntryType, NONE } from "../../wire/raft/types.ts";
import type { RequestIds } from "../ids.ts";
import type { Proposals } from "../proposals.ts";
import type { Applier } from "./applier.ts";
import type { ConsistentIndex } from "./consistent-index.ts";
import { decodeEntryRequest, type EntryRequest } from "./entry-request.ts";
import type { MembershipApplier } from "./membership-applier.ts";
import type { ApplyResult } from "./result.ts";

export interface EntryApplierParts {
  readonly consistentIndex: ConsistentIndex;
  readonly applier: Applier;
  readonly membershipApplier: MembershipApplier;
  readonly membership: Membership;
  /** Members as of the snapshot that the log follows: what changes up to the consistent index were validated on. */
  readonly replayTable: MemberTable;
  readonly maxLearners: number;
  readonly ids: RequestIds;
  readonly proposals: Proposals;
  readonly log: Logger;
  /** Tells raft of a configuration change; node 0 stands for one that was refused. */
  readonly applyConfChange: (change: ConfChange) => ConfState;
  /** A change of the group took effect; `member` as it is now, undefined when it was removed. */
  readonly onConfChange: (change: ConfChange, member: Member | undefined) => void;
  /** The first entry of a term was applied. */
  readonly onTermStarted: (term: number) => void;
  /** Raises the NOSPACE alarm through the log, then calls back; at once when it is raised already. */
  readonly withNoSpaceAlarm: (callback: () => void) => void;
  readonly position: AppliedPosition;
}

/** A place in the log, and the raft group there. */
export interface AppliedPosition {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

interface LastRequest {
  kind: string;
  hasSucceeded: boolean;
  /** To be used before the loop turns. */
  result: ApplyResult | undefined;
  error: EtcdError | undefined;
}

export class EntryApplier {
  readonly #parts: EntryApplierParts;
  #appliedIndex: number;
  #appliedTerm: number;
  #confState: ConfState;
  /** Answers to proposers of changes, kept until raft knows that these are applied: the next change is refused before. */
  #answers: (() => void)[] = [];
  /** What the last entry was and gave; the kind is empty when it was no request that had to be applied. */
  readonly lastRequest: LastRequest = { kind: "", hasSucceeded: true, result: undefined, error: undefined };

  constructor(parts: EntryApplierParts) {
    this.#parts = parts;
    this.#appliedIndex = parts.position.index;
    this.#appliedTerm = parts.position.term;
    this.#confState = parts.position.confState;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get appliedTerm(): number {
    return this.#appliedTerm;
  }

  /** The raft group as of the applied index. */
  get confState(): ConfState {
    return this.#confState;
  }

  /** The state machine was replaced by that of a snapshot. */
  restart({ index, term, confState }: AppliedPosition): void {
    assert(index > this.#appliedIndex, "a snapshot leads forward");
    this.#appliedIndex = index;
    this.#appliedTerm = term;
    this.#confState = confState;
  }

  /** Answers those whose change was applied. Call it when raft knows that. */
  answerConfChanges(): void {
    if (this.#answers.length === 0) return;
    for (const answer of this.#answers.splice(0)) answer();
  }

  /** @throws whatever is not an outcome for a client: the member cannot go on. */
  apply(entry: Entry): void {
    assert(entry.index === this.#appliedIndex + 1, "entries are applied in order and without gap");
    const { consistentIndex } = this.#parts;
    const isNew = entry.index > consistentIndex.index;
    this.lastRequest.kind = "";
    if (isNew) consistentIndex.moveTo(entry.index, entry.term);
    if (entry.type === EntryType.Normal) {
      if (entry.data.length === 0) this.#parts.onTermStarted(entry.term);
      else if (isNew) this.#applyRequest(decodeEntryRequest(entry.data));
    } else if (entry.type === EntryType.ConfChange) {
      this.#applyConfChange(decodeConfChange(entry.data), isNew);
    } else {
      throw new InvariantError("an entry in the log has a type that etcd does not write");
    }
    this.#appliedIndex = entry.index;
    this.#appliedTerm = entry.term;
  }

  #applyRequest(request: EntryRequest): void {
    const { ids, proposals } = this.#parts;
    const sequence = ids.sequenceOfId(request.id);
    const isProposer = proposals.has(sequence);
    let result: ApplyResult | undefined;
    this.lastRequest.kind = request.kind;
    this.lastRequest.hasSucceeded = true;
    this.lastRequest.error = undefined;
    try {
      result = this.#dispatch(request, isProposer);
      this.lastRequest.result = result;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      this.lastRequest.result = undefined;
      this.lastRequest.error = error;
      // As etcd counts: an answer that something is compacted is a good answer.
      this.lastRequest.hasSucceeded = error.reason === "compacted";
      if (error.reason === "noSpace") {
        this.#parts.withNoSpaceAlarm(() => proposals.settle(sequence, error, undefined));
      } else if (isProposer) {
        proposals.settle(sequence, error, undefined);
      }
      return;
    }
    if (isProposer) proposals.settle(sequence, undefined, result);
  }

  #dispatch(request: EntryRequest, isProposer: boolean): ApplyResult | undefined {
    const { membershipApplier } = this.#parts;
    switch (request.kind) {
      case "clusterVersionSet":
        membershipApplier.setClusterVersion(request.clusterVersionSet.ver);
        return { kind: request.kind };
      case "clusterMemberAttrSet": {
        const { memberID, memberAttributes } = request.clusterMemberAttrSet;
        membershipApplier.setAttributes(memberID, memberAttributes ?? { name: "", clientUrls: [] });
        return { kind: request.kind };
      }
      case "downgradeInfoSet":
        membershipApplier.setDowngrade(request.downgradeInfoSet.enabled, request.downgradeInfoSet.ver);
        return { kind: request.kind };
      case "downgradeVersionTest":
        return { kind: request.kind };
      case "old":
        membershipApplier.applyOld(request.old);
        return undefined;
      default:
        return this.#parts.applier.apply(request, isProposer);
    }
  }

  #applyConfChange(change: ConfChange, isNew: boolean): void {
    const { membership, replayTable, maxLearners, consistentIndex, log, ids, proposals } = this.#parts;
    const sequence = ids.sequenceOfId(change.id);
    const refusal = isNew ? membership.validate(change) : replayTable.validate(change, maxLearners);
    if (refusal !== undefined) {
      log.warn("refused a configuration change", { reason: refusal, "member-id": formatId(change.nodeId) });
      this.#parts.applyConfChange({ ...change, nodeId: NONE });
      this.#answers.push(() => proposals.settle(sequence, new EtcdError(refusal), undefined));
      return;
    }
    this.#confState = this.#parts.applyConfChange(change);
    if (!isNew) {
      replayTable.apply(change);
      return;
    }
    consistentIndex.setConfState(this.#confState);
    const member = membership.apply(change);
    this.#answers.push(() => proposals.settle(sequence, undefined, { kind: "confChange" }));
    this.#parts.onConfChange(change, member);
    if (member === undefined) log.info("removed member", { "removed-remote-peer-id": formatId(change.nodeId) });
    else log.info("added member", { "added-peer-id": formatId(member.id), "added-peer-peer-urls": member.peerUrls });
  }
}
