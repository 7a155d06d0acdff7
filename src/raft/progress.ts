/**
 * What a leader knows of one member's log, and how eagerly it may send to it. Mirrors etcd-io/raft tracker/progress.go.
 *
 * ```text
 *             ack                        snapshot needed
 *   probe ----------> replicate        probe, replicate ----------> snapshot
 *     ^                   |                                            |
 *     +---- reject, ------+            an ack that joins the log again ->  replicate
 *           unreachable                a report of success or failure  ->  probe
 * ```
 *
 * - `probe`: the end of the follower's log is unknown; at most one append until it answers.
 * - `replicate`: appends are sent ahead of the answers, as far as the window ({@link Inflights}) allows.
 * - `snapshot`: the entries it needs are compacted away; nothing is sent until it has a snapshot.
 */
import { assert, InvariantError } from "../base/assert.ts";
import { Inflights } from "./inflights.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

export class Progress {
  readonly id: bigint;
  isLearner: boolean;
  state: ProgressState = "probe";
  /** The follower's log is known to equal the leader's up to here. */
  match = 0;
  /** First entry to send next. Those in (match, next) are in flight. Invariant: match < next. */
  next: number;
  /** The snapshot index that a follower in state `snapshot` was sent; 0 otherwise. */
  pendingSnapshot = 0;
  /** Heard of since the last quorum check. Always true for the leader itself. */
  recentActive = false;
  /** No appends until the follower answers or a heartbeat is answered. */
  appendsPaused = false;
  inflights: Inflights;
  /** Highest commit index sent and not known to be lost. It may fall back when probing starts anew. */
  #sentCommit = 0;

  constructor(id: bigint, options: { isLearner: boolean; next: number; inflights: Inflights }) {
    assert(options.next > 0, "the log starts at index 1");
    this.id = id;
    this.isLearner = options.isLearner;
    this.next = options.next;
    this.inflights = options.inflights;
  }

  /** A copy that shares the window of in-flight messages. For a configuration change, which may yet fail. */
  share(): Progress {
    return this.#copy(this.inflights);
  }

  /** A copy that shares nothing. For status reports. */
  clone(): Progress {
    return this.#copy(this.inflights.clone());
  }

  /** Back to knowing nothing, at the start of a term. */
  reset(match: number, next: number): void {
    this.match = match;
    this.next = next;
    this.#sentCommit = 0;
    this.recentActive = false;
    this.#enter("probe");
    this.inflights = new Inflights(this.inflights.countMax, this.inflights.bytesMax);
  }

  becomeProbe(): void {
    // A snapshot that got through need not be probed for: go on right behind it.
    const pendingSnapshot = this.state === "snapshot" ? this.pendingSnapshot : 0;
    this.#enter("probe");
    this.next = Math.max(this.match, pendingSnapshot) + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.#sentCommit = index;
  }

  /** Accounts for an append with `count` entries of `bytes` payload that was just sent. */
  sentEntries(count: number, bytes: number): void {
    switch (this.state) {
      case "replicate":
        if (count > 0) {
          this.next += count;
          this.inflights.add(this.next - 1, bytes);
        }
        // The append that fills the window counts as a probe: the next one waits for an answer.
        this.appendsPaused = this.inflights.full;
        return;
      case "probe":
        if (count > 0) this.appendsPaused = true;
        return;
      case "snapshot":
        throw new InvariantError("nothing is appended to a follower that waits for a snapshot");
    }
  }

  sentCommit(index: number): void {
    this.#sentCommit = index;
  }

  /** Whether telling the follower that `index` is committed could let it commit more than it has been told. */
  canBumpCommit(index: number): boolean {
    return index > this.#sentCommit && this.#sentCommit < this.next - 1;
  }

  /** Handles an acknowledgement. False if it says nothing new. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.appendsPaused = false;
    return true;
  }

  /**
   * Handles the rejection of an append that followed index `rejected`; the follower suggests `hint` instead.
   * False, and nothing changes, if the rejection is stale.
   */
  maybeDecreaseTo(rejected: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      // Probes go one at a time, so only the last one can be rejected.
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
      this.appendsPaused = false;
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
    return true;
  }

  get paused(): boolean {
    return this.state === "snapshot" || this.appendsPaused;
  }

  #enter(state: ProgressState): void {
    this.appendsPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  #copy(inflights: Inflights): Progress {
    const copy = new Progress(this.id, { isLearner: this.isLearner, next: this.next, inflights });
    copy.state = this.state;
    copy.match = this.match;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.appendsPaused = this.appendsPaused;
    copy.#sentCommit = this.#sentCommit;
    return copy;
  }
}
