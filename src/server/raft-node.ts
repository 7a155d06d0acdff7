/** The raft core as this member sets it up, with its log lines under etcd's logger name, and a live view of its state. */
import type { Membership } from "../membership/membership.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import type { RaftLogger } from "../raft/logger.ts";
import { RawNode } from "../raft/raw-node.ts";
import type { Storage } from "../raft/storage.ts";
import type { EntryApplier } from "./apply/entry-applier.ts";
import { electionTicksOf, type MemberConfig } from "./config.ts";
import type { RaftState } from "./member.ts";

/** Most bytes of entries in one message to a peer, and of those being applied at a time. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Most appends on their way to one follower. */
const INFLIGHT_MESSAGES_MAX = 512;

export interface RaftNodeParts {
  readonly config: MemberConfig;
  readonly memberId: bigint;
  readonly storage: Storage;
  readonly random: Random;
  readonly log: Logger;
}

export function createRaftNode({ config, memberId, storage, random, log }: RaftNodeParts): RawNode {
  return new RawNode({
    id: memberId,
    electionTicks: electionTicksOf(config),
    heartbeatTicks: 1,
    storage,
    random: (limit) => Math.floor(random.float() * limit),
    logger: raftLogger(log),
    asyncStorageWrites: true,
    messageBytesMax: MESSAGE_BYTES_MAX,
    inflightCountMax: INFLIGHT_MESSAGES_MAX,
    checkQuorum: true,
    preVote: config.preVote,
  });
}

/** Normal with asynchronous storage, where several answers may attest the same entry; etcd has it at level info. */
const CHATTER = "missing from unstable log; ignoring";

function raftLogger(log: Logger): RaftLogger {
  const fields = { logger: "raft" };
  return {
    debug: (message) => log.debug(message, fields),
    info: (message) => (message.endsWith(CHATTER) ? log.debug(message, fields) : log.info(message, fields)),
    warn: (message) => log.warn(message, fields),
    error: (message) => log.error(message, fields),
  };
}

/** Reads raft's state where it is. */
export class RaftView implements RaftState {
  readonly #node: RawNode;
  readonly #applier: EntryApplier;
  readonly #membership: Membership;

  constructor(node: RawNode, applier: EntryApplier, membership: Membership) {
    this.#node = node;
    this.#applier = applier;
    this.#membership = membership;
  }

  get term(): number {
    return this.#node.term;
  }
  get leaderId(): bigint {
    return this.#node.lead;
  }
  get isLeader(): boolean {
    return this.#node.isLeader;
  }
  get isLearner(): boolean {
    return this.#membership.member(this.#node.id)?.isLearner ?? false;
  }
  get commitIndex(): number {
    return this.#node.committed;
  }
  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }
  get appliedTerm(): number {
    return this.#applier.appliedTerm;
  }
}
