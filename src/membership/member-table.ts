/**
 * Who belongs to the cluster, as a pure table: which configuration changes are valid on it, and what they do.
 * All members apply the same changes in the same order, so all answers here must be the same everywhere.
 * Source: etcd server/etcdserver/api/membership/cluster.go, `ValidateConfigurationChange` and the methods below it.
 */
import { assert, unreachable } from "../base/assert.ts";
import type { ReasonName } from "../wire/errors.ts";
import { type ConfChange, ConfChangeType } from "../wire/raft/types.ts";
import { type Member, parseConfChangeContext } from "./member.ts";

/** Why a change is refused when it is applied; the first of a pair is what the client is told. */
export type ConfChangeRefusal = Extract<
  ReasonName,
  "memberExists" | "memberNotFound" | "peerUrlExists" | "memberNotLearner" | "tooManyLearners"
>;

export class MemberTable {
  readonly #members = new Map<bigint, Member>();
  readonly #removed = new Set<bigint>();

  constructor(members: Iterable<Member> = [], removed: Iterable<bigint> = []) {
    for (const member of members) this.#members.set(member.id, member);
    for (const id of removed) this.#removed.add(id);
  }

  get(id: bigint): Member | undefined {
    return this.#members.get(id);
  }

  isRemoved(id: bigint): boolean {
    return this.#removed.has(id);
  }

  /** Ascending by id. */
  list(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Ascending. */
  removedIds(): bigint[] {
    return [...this.#removed].sort((a, b) => (a < b ? -1 : 1));
  }

  voters(): Member[] {
    return this.list().filter((member) => !member.isLearner);
  }

  /**
   * Undefined when the change may be made. A removed id never comes back: its refusal is reported as `memberNotFound`,
   * which is what clients of etcd get for it.
   *
   * @param maxLearners - `--max-learners`; counts for changes that add a learner.
   * @throws {SyntaxError} when the context is not a member's JSON.
   */
  validate(change: ConfChange, maxLearners: number): ConfChangeRefusal | undefined {
    if (this.#removed.has(change.nodeId)) return "memberNotFound";
    const known = this.#members.get(change.nodeId);
    switch (change.type) {
      case ConfChangeType.AddNode:
      case ConfChangeType.AddLearnerNode: {
        const { member, isPromote } = parseConfChangeContext(change.context);
        if (isPromote) {
          if (known === undefined) return "memberNotFound";
          return known.isLearner ? undefined : "memberNotLearner";
        }
        if (known !== undefined) return "memberExists";
        if (this.#usesUrlOf(member)) return "peerUrlExists";
        if (!member.isLearner || change.type !== ConfChangeType.AddLearnerNode) return undefined;
        return this.#learnerCount() + 1 > maxLearners ? "tooManyLearners" : undefined;
      }
      case ConfChangeType.RemoveNode:
        return known === undefined ? "memberNotFound" : undefined;
      case ConfChangeType.UpdateNode:
        if (known === undefined) return "memberNotFound";
        return this.#usesUrlOf(parseConfChangeContext(change.context).member) ? "peerUrlExists" : undefined;
      default:
        return unreachable(change.type);
    }
  }

  /**
   * Carries out a valid change. @returns the member as it is now; undefined when the change removed it.
   * @throws {SyntaxError} when the context is not a member's JSON.
   */
  apply(change: ConfChange): Member | undefined {
    if (change.type === ConfChangeType.RemoveNode) {
      this.#members.delete(change.nodeId);
      this.#removed.add(change.nodeId);
      return undefined;
    }
    const { member, isPromote } = parseConfChangeContext(change.context);
    assert(member.id === change.nodeId, "a configuration change must name the member in its context");
    if (change.type === ConfChangeType.UpdateNode) return this.update(member.id, { peerUrls: member.peerUrls });
    if (isPromote) return this.update(member.id, { isLearner: false });
    this.#members.set(member.id, member);
    return member;
  }

  /** Replaces fields of a known member. */
  update(id: bigint, changes: Partial<Omit<Member, "id">>): Member {
    const known = this.#members.get(id);
    assert(known !== undefined, "an update must name a known member");
    const member = { ...known, ...changes };
    this.#members.set(id, member);
    return member;
  }

  #usesUrlOf(candidate: Member): boolean {
    for (const member of this.#members.values()) {
      if (member.id !== candidate.id && member.peerUrls.some((url) => candidate.peerUrls.includes(url))) return true;
    }
    return false;
  }

  #learnerCount(): number {
    let count = 0;
    for (const member of this.#members.values()) if (member.isLearner) count++;
    return count;
  }
}
