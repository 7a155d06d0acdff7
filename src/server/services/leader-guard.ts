/**
 * Streams whose client asked for a leader (`hasleader` metadata) end when the member has had none for three election
 * timeouts, so that the client goes to another member.
 *
 * @see etcd server/etcdserver/api/v3rpc/interceptor.go, `monitorLeader`.
 */
import type { StreamCall } from "../../grpc/calls.ts";
import type { Timer } from "../../platform/clock.ts";
import { EtcdError } from "../../wire/errors.ts";
import type { Member } from "../member.ts";

const electionTimeoutsWithoutLeader = 3;

export class LeaderGuard {
  readonly #member: Member;
  readonly #calls = new Set<StreamCall>();
  #timer: Timer | undefined;

  constructor(member: Member) {
    this.#member = member;
    member.onLeadershipChange(() => this.#check());
  }

  watch(call: StreamCall): void {
    if (call.metadata("hasleader") !== "true") return;
    this.#calls.add(call);
    call.onClose(() => this.#calls.delete(call));
  }

  #check(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#member.raft.leaderId !== 0n) return;
    const { config, platform } = this.#member;
    const patienceMs = electionTimeoutsWithoutLeader * config.electionTimeoutMs;
    this.#timer = platform.clock.setTimer(() => this.#endStreams(), patienceMs);
  }

  #endStreams(): void {
    const error = new EtcdError("noLeader");
    for (const call of this.#calls) call.fail(error.code, error.message);
    this.#calls.clear();
  }
}
