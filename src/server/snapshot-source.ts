/**
 * Snapshots on their way to members that have fallen behind the log. Raft only says that one is needed; what is sent is
 * put together here from one image of the database, so that all parts describe the same point:
 *
 *     image ──┬─ consistent_index, term, confState ──► the message's metadata
 *             ├─ members, cluster version ───────────► its payload (the old store)
 *             └─ all bytes ──────────────────────────► the body behind it
 *
 * While one is on its way, and for a while after, the log in memory is not cut: the receiver goes on from there.
 * Source: etcd server/etcdserver/snapshot_merge.go, `sendMergedSnap`.
 */
import { formatId } from "../membership/member.ts";
import { oldStoreOf } from "../membership/membership.ts";
import type { PeerTransport } from "../peer/transport.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Backend, SnapshotImage } from "../storage/backend/backend.ts";
import { readConfState, readConsistentIndex, readTerm } from "../storage/backend/schema.ts";
import type { ConfState, Message } from "../wire/raft/types.ts";

/** As many as etcd queues; each pins the pages of its image. */
const SENDING_MAX = 16;
/** How long a receiver has to fetch what came after the snapshot. */
const RELEASE_DELAY_MS = 30_000;

export interface SnapshotSourceParts {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Logger;
  readonly memberId: bigint;
  /** The raft group as applied now: for databases from before etcd 3.5, which do not hold it. */
  readonly confState: () => ConfState;
}

export class SnapshotSource {
  readonly #parts: SnapshotSourceParts;
  #sending = 0;
  #holds = 0;

  constructor(parts: SnapshotSourceParts) {
    this.#parts = parts;
  }

  /** True while the log must stay as it is for a receiver. */
  get holdsLog(): boolean {
    return this.#holds > 0;
  }

  /** @returns false when too many are on their way; else the transport reports the end. */
  send(message: Message, transport: PeerTransport): boolean {
    if (this.#sending >= SENDING_MAX) return false;
    this.#sending++;
    this.#holds++;
    this.#parts.backend.snapshot().then(
      (image) => this.#sendImage(message, image, transport),
      // The backend has told the member that it cannot go on.
      () => this.#release(false),
    );
    return true;
  }

  #sendImage(message: Message, image: SnapshotImage, transport: PeerTransport): void {
    const { clock, log, memberId, confState } = this.#parts;
    const snapshot = {
      data: oldStoreOf(image),
      metadata: {
        index: readConsistentIndex(image),
        term: readTerm(image),
        confState: confStateOf(image) ?? confState(),
      },
    };
    const fields = { from: formatId(memberId), to: formatId(message.to), bytes: image.size };
    const startedMs = clock.monotonic();
    log.info("sending merged snapshot", fields);
    transport.sendSnapshot(
      { ...message, snapshot },
      {
        size: image.size,
        read: (target, position) => image.read(target, position),
        close: (sent) => {
          image.close();
          log.info("sent merged snapshot", { ...fields, took: `${Math.round(clock.monotonic() - startedMs)}ms` });
          this.#release(sent);
        },
      },
    );
  }

  #release(sent: boolean): void {
    this.#sending--;
    if (sent) this.#parts.clock.setTimer(() => this.#holds--, RELEASE_DELAY_MS);
    else this.#holds--;
  }
}

function confStateOf(image: SnapshotImage): ConfState | undefined {
  const state = readConfState(image);
  if (state === undefined) return undefined;
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = state;
  return {
    voters: [...voters],
    learners: [...learners],
    votersOutgoing: [...votersOutgoing],
    learnersNext: [...learnersNext],
    autoLeave,
  };
}
