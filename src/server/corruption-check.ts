/**
 * Compares this member's data with that of the others, by HashKV: before it serves (feature gate `InitialCorruptCheck`),
 * and while it leads, of everything (`--corrupt-check-time`) or of what the last compactions have hashed on their way
 * (`CompactHashCheck`). A member whose hash differs at the same revision and compaction has other data: it must not start,
 * or the CORRUPT alarm is raised, under which nothing is written any more. Source: etcd server/etcdserver/corrupt.go.
 */
import { AlarmType } from "../alarm/alarm-store.ts";
import { formatDuration } from "../base/duration.ts";
import { formatId } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import type { KeyValueHash } from "../mvcc/hash.ts";
import type { Store } from "../mvcc/store.ts";
import type { PeerClient } from "../peer/client.ts";
import type { RevisionHash } from "../peer/pages.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { AlarmRequest, AlarmRequest_AlarmAction as AlarmAction } from "../wire/gen/etcdserverpb/rpc.ts";
import { StartError } from "./start-error.ts";

/** Rows hashed in one turn of the loop; a few milliseconds. */
const ROWS_PER_TURN = 5_000;

export interface CorruptionCheckParts {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly membership: Membership;
  readonly store: Store;
  readonly client: PeerClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly requestTimeoutMs: number;
}

/** What the checks of a leader need besides. */
export interface LeaderChecks {
  /** 0: never. */
  readonly intervalMs: number;
  /** 0: never. */
  readonly compactionIntervalMs: number;
  readonly isLeader: () => boolean;
  readonly readIndex: () => Promise<void>;
  readonly proposeAlarm: (request: Uint8Array) => void;
}

interface PeerHash {
  readonly id: bigint;
  /** Undefined when the peer could not be asked, or does not have the revision (any more). */
  readonly hash: RevisionHash | undefined;
}

export class CorruptionCheck {
  readonly #parts: CorruptionCheckParts;
  readonly #timers: Timer[] = [];
  /** Newest compaction whose hash all members have shown. */
  #checkedRevision = 0;

  constructor(parts: CorruptionCheckParts) {
    this.#parts = parts;
  }

  /** @throws {StartError} by rejection: the data differs. Who cannot be asked is not compared. */
  async beforeStart(): Promise<void> {
    const { log, memberId, store } = this.#parts;
    const local = { "local-member-id": formatId(memberId) };
    log.info("starting initial corruption check", local);
    const own = await hashKv(this.#parts, store.currentRevision);
    let mismatches = 0;
    for (const { id, hash } of await this.#peerHashes(own.hashRevision)) {
      if (hash === undefined || hash.hash === own.hash) continue;
      const isComparable = hash.compactRevision === own.compactRevision;
      const what = isComparable ? "hash values" : "compact revision values";
      log.warn(`found different ${what} from remote peer`, {
        ...local,
        "local-member-revision": own.hashRevision,
        "local-member-compact-revision": own.compactRevision,
        "local-member-hash": own.hash,
        "remote-peer-id": formatId(id),
        "remote-peer-compact-revision": hash.compactRevision,
        "remote-peer-hash": hash.hash,
      });
      if (isComparable) mismatches++;
    }
    if (mismatches > 0) throw new StartError(`${formatId(memberId)} found data inconsistency with peers`);
    log.info("initial corruption checking passed; no corruption", local);
  }

  /** Checks again and again while this member leads. */
  watch(checks: LeaderChecks): void {
    const { log, memberId } = this.#parts;
    if (checks.intervalMs > 0) {
      const fields = { "local-member-id": formatId(memberId), interval: formatDuration(checks.intervalMs) };
      log.info("enabled corruption checking", fields);
    }
    this.#every(checks.intervalMs, checks, () => this.#checkAll(checks));
    this.#every(checks.compactionIntervalMs, checks, () => this.#checkCompactions(checks));
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  /** One that takes longer than its interval is not started again meanwhile; the two kinds do not wait for each other. */
  #every(ms: number, { isLeader }: LeaderChecks, check: () => Promise<void>): void {
    if (ms <= 0) return;
    let isRunning = false;
    const run = async (): Promise<void> => {
      if (!isLeader() || isRunning) return;
      isRunning = true;
      try {
        await check();
      } catch (error) {
        this.#parts.log.warn("failed to check hash KV", { error });
      } finally {
        isRunning = false;
      }
    };
    this.#timers.push(this.#parts.clock.setTicker(() => void run(), ms));
  }

  /** A follower is never ahead of what the leader has after a linearizable read. */
  async #checkAll(checks: LeaderChecks): Promise<void> {
    const { store, memberId } = this.#parts;
    const before = await hashKv(this.#parts, store.currentRevision);
    const peers = await this.#peerHashes(before.hashRevision);
    await checks.readIndex();
    const after = await hashKv(this.#parts, store.currentRevision);
    const isSameState = after.hashRevision === before.hashRevision && after.compactRevision === before.compactRevision;
    let suspect: bigint | undefined;
    const report = (id: bigint, message: string, fields: Record<string, unknown>): void => {
      this.#parts.log.warn(message, fields);
      suspect ??= id;
    };
    if (isSameState && after.hash !== before.hash) {
      const [revision, compactRevision] = [before.hashRevision, before.compactRevision];
      report(memberId, "found hash mismatch", {
        "revision-1": revision,
        "compact-revision-1": compactRevision,
        "hash-1": before.hash,
        "revision-2": revision,
        "compact-revision-2": compactRevision,
        "hash-2": after.hash,
      });
    }
    for (const { id, hash } of peers) {
      if (hash === undefined) continue;
      const follower = { "follower-peer-id": formatId(id) };
      if (hash.currentRevision > after.currentRevision) {
        report(id, "revision from follower must be less than or equal to leader's", {
          "leader-revision": after.currentRevision,
          "follower-revision": hash.currentRevision,
          ...follower,
        });
      }
      const compactRevisions = {
        "leader-compact-revision": after.compactRevision,
        "follower-compact-revision": hash.compactRevision,
      };
      if (hash.compactRevision > after.compactRevision) {
        const message = "compact revision from follower must be less than or equal to leader's";
        report(id, message, { ...compactRevisions, ...follower });
      }
      if (hash.compactRevision === before.compactRevision && hash.hash !== before.hash) {
        report(id, "same compact revision then hashes must match", {
          ...compactRevisions,
          "leader-hash": before.hash,
          "follower-hash": hash.hash,
          ...follower,
        });
      }
    }
    // One alarm is enough to stop writes; the lines above name everybody.
    if (suspect !== undefined) raiseAlarm(checks, suspect);
    const count = peers.filter(({ hash }) => hash !== undefined).length;
    this.#parts.log.info("finished peer corruption check", { "number-of-peers-checked": count });
  }

  /** Newest first: one that all have shown makes the older ones needless. */
  async #checkCompactions(checks: LeaderChecks): Promise<void> {
    const unchecked = this.#parts.store.compactionHashes.filter(({ revision }) => revision > this.#checkedRevision);
    for (const own of unchecked.toReversed()) {
      const peers = await this.#peerHashes(own.revision);
      const members = new Map<number, bigint[]>([[own.hash, [this.#parts.memberId]]]);
      let compared = 0;
      for (const { id, hash } of peers) {
        if (hash === undefined || hash.compactRevision !== own.compactRevision) continue;
        compared++;
        members.set(hash.hash, [...(members.get(hash.hash) ?? []), id]);
      }
      if (members.size > 1) return this.#reportMinority(checks, own, members, peers.length + 1);
      if (compared < peers.length) continue;
      this.#checkedRevision = own.revision;
      return;
    }
  }

  /** Whoever differs from a majority is wrong; without one nobody can tell, and the alarm is for the whole cluster. */
  #reportMinority(
    checks: LeaderChecks,
    own: KeyValueHash,
    members: ReadonlyMap<number, readonly bigint[]>,
    count: number,
  ): void {
    const quorum = Math.floor(count / 2) + 1;
    const right = [...members.values()].find((ids) => ids.length >= quorum);
    const leader = {
      "leader-id": formatId(this.#parts.memberId),
      "leader-revision": own.revision,
      "leader-compact-revision": own.compactRevision,
      "leader-hash": own.hash,
    };
    if (right === undefined) {
      const message = "Detected compaction hash mismatch but cannot identify the corrupted members";
      this.#parts.log.error(`${message}, so intentionally set the memberID as 0`, leader);
      raiseAlarm(checks, 0n);
    }
    for (const [hash, ids] of members) {
      if (ids === right) continue;
      if (right !== undefined) for (const id of ids) raiseAlarm(checks, id);
      this.#parts.log.error("Detected compaction hash mismatch", {
        ...leader,
        "peer-hash": hash,
        "peer-ids": ids.map(formatId).join(","),
        "quorum-exist": right !== undefined,
      });
    }
  }

  #peerHashes(revision: number): Promise<PeerHash[]> {
    const { membership, memberId } = this.#parts;
    const others = membership.members().filter(({ id }) => id !== memberId);
    return Promise.all(others.map(async ({ id, peerUrls }) => ({ id, hash: await this.#ask(id, peerUrls, revision) })));
  }

  async #ask(id: bigint, urls: readonly string[], revision: number): Promise<RevisionHash | undefined> {
    const { client, clusterId, requestTimeoutMs, log } = this.#parts;
    for (const url of urls) {
      try {
        return await client.hashKv(url, clusterId, revision, requestTimeoutMs);
      } catch (error) {
        log.warn("failed hash kv request", { "remote-peer-id": formatId(id), "requested-revision": revision, error });
      }
    }
    return undefined;
  }
}

function raiseAlarm({ proposeAlarm }: LeaderChecks, id: bigint): void {
  const request = { action: AlarmAction.ACTIVATE, memberID: id, alarm: AlarmType.Corrupt };
  proposeAlarm(AlarmRequest.encode(request).finish());
}

/** Hashes this member's own data, in slices. @throws {EtcdError} `compacted`, `futureRevision`. */
export async function hashKv(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  revision: number,
): Promise<RevisionHash> {
  const job = store.hashKv(revision);
  while (!job.step(ROWS_PER_TURN)) await new Promise<void>((resolve) => clock.nextTurn(resolve));
  const { hash, compactRevision, revision: hashRevision } = job.result;
  return { currentRevision: store.currentRevision, hash, compactRevision, hashRevision };
}
