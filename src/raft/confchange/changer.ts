/**
 * Membership arithmetic: from a configuration and some changes to the next configuration, checked. Nothing is modified;
 * the caller installs what it gets. Mirrors etcd-io/raft confchange/confchange.go.
 *
 * ```text
 *   simple       (1 2 3)            + v4      ->  (1 2 3 4)              one voter at most
 *   enterJoint   (1 2 3)            + r1 v4   ->  (2 3 4)&&(1 2 3)
 *   leaveJoint   (2 3 4)&&(1 2 3)             ->  (2 3 4)
 * ```
 */
import { assert } from "../../base/assert.ts";
import { ConfChangeType, NONE } from "../../wire/raft/types.ts";
import type { ConfChangeSingle } from "../../wire/raft/types.ts";
import { Progress } from "../progress.ts";
import { JointConfig } from "../quorum/joint.ts";
import { MajorityConfig } from "../quorum/majority.ts";
import type { GroupConfig, ProgressMap, Tracker } from "../tracker.ts";

/** A change that the rules forbid. The configuration stays as it was. */
export class ConfChangeError extends Error {
  override readonly name = "ConfChangeError";
}

/** A configuration with the progress of exactly its members. */
export interface Membership {
  readonly config: GroupConfig;
  readonly progress: ProgressMap;
}

/** Carries out changes on a copy of what `tracker` holds. New members are probed from `lastIndex` on. */
export class Changer {
  readonly #tracker: Tracker;
  readonly #lastIndex: number;

  constructor(tracker: Tracker, lastIndex: number) {
    this.#tracker = tracker;
    this.#lastIndex = lastIndex;
  }

  /**
   * Changes that move at most one voter, outside a joint configuration.
   * @throws {ConfChangeError}
   */
  simple(changes: readonly ConfChangeSingle[]): Membership {
    const draft = this.#draft();
    if (draft.outgoing.size > 0) throw new ConfChangeError("can't apply simple config change in joint config");
    this.#apply(draft, changes);
    if (difference(this.#tracker.config.voters.incoming, draft.incoming) > 1) {
      throw new ConfChangeError("more than one voter changed without entering joint config");
    }
    return finish(draft);
  }

  /**
   * Keeps the present voters as the outgoing half and changes the incoming one.
   * @throws {ConfChangeError}
   */
  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): Membership {
    const draft = this.#draft();
    if (draft.outgoing.size > 0) throw new ConfChangeError("config is already joint");
    // A group without voters is being set up: members may be added to it one by one, but there is nothing to leave.
    if (draft.incoming.size === 0) throw new ConfChangeError("can't make a zero-voter config joint");
    draft.outgoing = draft.incoming;
    this.#apply(draft, changes);
    draft.autoLeave = autoLeave;
    return finish(draft);
  }

  /**
   * Drops the outgoing half; voters demoted on the way become learners now.
   * @throws {ConfChangeError}
   */
  leaveJoint(): Membership {
    const draft = this.#draft();
    if (draft.outgoing.size === 0) throw new ConfChangeError("can't leave a non-joint config");
    for (const id of draft.learnersNext.ids) {
      draft.learners = draft.learners.with(id);
      member(draft, id).isLearner = true;
    }
    draft.learnersNext = MajorityConfig.empty;
    for (const id of draft.outgoing.ids) {
      if (!draft.incoming.has(id) && !draft.learners.has(id)) draft.progress.delete(id);
    }
    draft.outgoing = MajorityConfig.empty;
    draft.autoLeave = false;
    return finish(draft);
  }

  #draft(): Draft {
    const { config, progress } = this.#tracker;
    const copies = new Map<bigint, Progress>();
    for (const [id, member] of progress) copies.set(id, member.share());
    const draft: Draft = {
      incoming: config.voters.incoming,
      outgoing: config.voters.outgoing,
      learners: config.learners,
      learnersNext: config.learnersNext,
      autoLeave: config.autoLeave,
      progress: copies,
    };
    checkInvariants(draft);
    return draft;
  }

  #apply(draft: Draft, changes: readonly ConfChangeSingle[]): void {
    for (const { type, nodeId } of changes) {
      // etcd sets the id to zero when it refuses a committed change; every member must then agree that nothing happens.
      if (nodeId === NONE) continue;
      switch (type) {
        case ConfChangeType.AddNode:
          this.#makeVoter(draft, nodeId);
          break;
        case ConfChangeType.AddLearnerNode:
          this.#makeLearner(draft, nodeId);
          break;
        case ConfChangeType.RemoveNode:
          remove(draft, nodeId);
          break;
        case ConfChangeType.UpdateNode:
          break;
      }
    }
    if (draft.incoming.size === 0) throw new ConfChangeError("removed all voters");
  }

  #makeVoter(draft: Draft, id: bigint): void {
    draft.incoming = draft.incoming.with(id);
    const progress = draft.progress.get(id);
    if (progress === undefined) {
      this.#addProgress(draft, id, false);
      return;
    }
    progress.isLearner = false;
    draft.learners = draft.learners.without(id);
    draft.learnersNext = draft.learnersNext.without(id);
  }

  #makeLearner(draft: Draft, id: bigint): void {
    const progress = draft.progress.get(id);
    if (progress === undefined) {
      draft.learners = draft.learners.with(id);
      this.#addProgress(draft, id, true);
      return;
    }
    if (progress.isLearner) return;
    remove(draft, id);
    draft.progress.set(id, progress);
    if (draft.outgoing.has(id)) {
      draft.learnersNext = draft.learnersNext.with(id);
    } else {
      progress.isLearner = true;
      draft.learners = draft.learners.with(id);
    }
  }

  #addProgress(draft: Draft, id: bigint, isLearner: boolean): void {
    const progress = new Progress(id, {
      isLearner,
      next: Math.max(this.#lastIndex, 1),
      inflights: this.#tracker.createInflights(),
    });
    // Counted as active at first: a quorum check may come before the new member had a chance to say anything.
    progress.recentActive = true;
    draft.progress.set(id, progress);
  }
}

/** A configuration being worked on; its sets are immutable and replaced. */
interface Draft {
  incoming: MajorityConfig;
  outgoing: MajorityConfig;
  learners: MajorityConfig;
  learnersNext: MajorityConfig;
  autoLeave: boolean;
  progress: Map<bigint, Progress>;
}

/** Takes a member out of the incoming half; as long as it votes in the outgoing one its progress stays. */
function remove(draft: Draft, id: bigint): void {
  draft.incoming = draft.incoming.without(id);
  draft.learners = draft.learners.without(id);
  draft.learnersNext = draft.learnersNext.without(id);
  if (!draft.outgoing.has(id)) draft.progress.delete(id);
}

function finish(draft: Draft): Membership {
  checkInvariants(draft);
  return {
    config: {
      voters: new JointConfig(draft.incoming, draft.outgoing),
      autoLeave: draft.autoLeave,
      learners: draft.learners,
      learnersNext: draft.learnersNext,
    },
    progress: draft.progress,
  };
}

function checkInvariants(draft: Draft): void {
  for (const id of draft.incoming.ids) member(draft, id);
  for (const id of draft.outgoing.ids) member(draft, id);
  for (const id of draft.learnersNext.ids) {
    assert(draft.outgoing.has(id), "a staged learner still votes in the outgoing half");
    assert(!member(draft, id).isLearner, "a staged learner is not a learner yet");
  }
  for (const id of draft.learners.ids) {
    assert(!draft.outgoing.has(id), "a learner does not vote in the outgoing half");
    assert(!draft.incoming.has(id), "a learner does not vote in the incoming half");
    assert(member(draft, id).isLearner, "a learner is marked as one");
  }
  if (draft.outgoing.size === 0) {
    assert(draft.learnersNext.size === 0, "learners are staged in joint configurations only");
    assert(!draft.autoLeave, "only a joint configuration can be left");
  }
}

function member(draft: Draft, id: bigint): Progress {
  const progress = draft.progress.get(id);
  assert(progress !== undefined, "every member has a progress");
  return progress;
}

/** How many ids are in one set but not in the other. */
function difference(a: MajorityConfig, b: MajorityConfig): number {
  return a.ids.filter((id) => !b.has(id)).length + b.ids.filter((id) => !a.has(id)).length;
}
