/**
 * Two majorities that must agree, used while a group moves from one set of voters to another. When the outgoing half is
 * empty this is an ordinary majority. Mirrors etcd-io/raft quorum/joint.go.
 */
import { MajorityConfig } from "./majority.ts";
import type { AckedIndex } from "./majority.ts";
import type { VoteResult } from "./vote-result.ts";

export class JointConfig {
  static readonly empty: JointConfig = new JointConfig(MajorityConfig.empty, MajorityConfig.empty);

  readonly incoming: MajorityConfig;
  readonly outgoing: MajorityConfig;

  constructor(incoming: MajorityConfig, outgoing: MajorityConfig) {
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  /** True while two halves are in force. */
  get joint(): boolean {
    return this.outgoing.size > 0;
  }

  /** The voters of both halves. */
  get all(): MajorityConfig {
    return this.joint ? MajorityConfig.of([...this.incoming.ids, ...this.outgoing.ids]) : this.incoming;
  }

  has(id: bigint): boolean {
    return this.incoming.has(id) || this.outgoing.has(id);
  }

  committedIndex(acked: AckedIndex): number {
    return Math.min(this.incoming.committedIndex(acked), this.outgoing.committedIndex(acked));
  }

  voteResult(votes: ReadonlyMap<bigint, boolean>): VoteResult {
    const incoming = this.incoming.voteResult(votes);
    const outgoing = this.outgoing.voteResult(votes);
    if (incoming === outgoing) return incoming;
    return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
  }

  describe(acked: AckedIndex): string {
    return this.all.describe(acked);
  }

  /** `(1 2 4)&&(1 2 3)`, incoming first. */
  toString(): string {
    return this.joint ? `${this.incoming.toString()}&&${this.outgoing.toString()}` : this.incoming.toString();
  }
}
