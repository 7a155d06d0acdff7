/**
 * Applies client requests from the log to the replicated state: the same request on the same state must have the same
 * effect on every member, errors included (compat: apply.md 4).
 *
 *     corrupt alarm ──► space alarm ──► permissions ──► quota ──► the state
 *
 * The alarms and the caller's permissions refuse before anything is done. The quota only colours the answer: what is in the log is written even
 * when it does not fit, and the error tells the proposer to raise the alarm, which then comes through the log as well.
 * Source: etcd server/etcdserver/apply.
 */
import { type AlarmMember, type AlarmStore, AlarmType } from "../../alarm/alarm-store.ts";
import type { AuthStore } from "../../auth/auth-store.ts";
import { InvariantError } from "../../base/assert.ts";
import type { Lessor } from "../../lease/lessor.ts";
import type { Store } from "../../mvcc/store.ts";
import type { Clock } from "../../platform/clock.ts";
import { EtcdError } from "../../wire/errors.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  type AlarmRequest,
  type CompactionRequest,
  type LeaseCheckpointRequest,
  type LeaseGrantRequest,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import type { RaftRequest } from "../../wire/hot/raft-request.ts";
import type { PutRequest, TxnRequest } from "../../wire/hot/types.ts";
import { LEASE_GRANT_COST_BYTES, putCost, type Quota, txnCost } from "../quota.ts";
import { AuthApplier, type AuthRequest } from "./auth-applier.ts";
import type { ConsistentIndex } from "./consistent-index.ts";
import { PhysicalCompaction } from "./physical-compaction.ts";
import type { AlarmResult, ApplyResult } from "./result.ts";

export interface ApplierParts {
  readonly store: Store;
  readonly lessor: Lessor;
  readonly alarms: AlarmStore;
  readonly auth: AuthStore;
  readonly quota: Quota;
  readonly clock: Clock;
  /** Already at the entry that is being applied. */
  readonly consistentIndex: Pick<ConsistentIndex, "index">;
}

export class Applier {
  readonly #store: Store;
  readonly #lessor: Lessor;
  readonly #alarms: AlarmStore;
  readonly #auth: AuthApplier;
  readonly #consistentIndex: Pick<ConsistentIndex, "index">;
  readonly #quota: Quota;
  readonly #clock: Clock;

  constructor(parts: ApplierParts) {
    this.#store = parts.store;
    this.#lessor = parts.lessor;
    this.#alarms = parts.alarms;
    this.#auth = new AuthApplier({
      auth: parts.auth,
      leases: { keysOf: (leaseId) => parts.lessor.attachedKeys(leaseId) },
    });
    this.#consistentIndex = parts.consistentIndex;
    this.#quota = parts.quota;
    this.#clock = parts.clock;
  }

  /**
   * @param isProposer - somebody here waits for the answer.
   * @returns undefined for a request that only reads: nobody proposes those, and they change nothing.
   * @throws {EtcdError} the outcome for the proposer. With `noSpace` the request may have been carried out.
   */
  apply(request: RaftRequest, isProposer: boolean): ApplyResult | undefined {
    if (this.#alarms.isRaised(AlarmType.Corrupt)) refuseWhileCorrupt(request);
    if (this.#alarms.isRaised(AlarmType.NoSpace)) refuseWhileFull(request);
    this.#auth.requirePermission(request);
    switch (request.kind) {
      case "put":
        return this.#put(request.put);
      case "deleteRange": {
        const { revision, response } = this.#store.applyDeleteRange(request.deleteRange);
        return { kind: "deleteRange", revision, response };
      }
      case "txn":
        return this.#txn(request, request.txn, isProposer);
      case "compaction":
        return this.#compaction(request.compaction);
      case "leaseGrant":
        return this.#leaseGrant(request.leaseGrant);
      case "leaseRevoke":
        this.#lessor.revoke(request.leaseRevoke.ID);
        return { kind: "leaseRevoke", revision: this.#store.currentRevision };
      case "leaseCheckpoint":
        return this.#leaseCheckpoint(request.leaseCheckpoint);
      case "alarm":
        return this.#alarm(request.alarm);
      case "range":
        return undefined;
      case "none":
      case "v2":
      case "clusterVersionSet":
      case "clusterMemberAttrSet":
      case "downgradeInfoSet":
      case "downgradeVersionTest":
        throw new InvariantError("an entry in the log holds a request that this version does not know");
      default:
        return this.#users(request, isProposer);
    }
  }

  #put(put: PutRequest): ApplyResult {
    const isAvailable = this.#quota.isAvailable(putCost(put));
    const { revision, response } = this.#store.applyPut(put);
    if (!isAvailable) throw new EtcdError("noSpace");
    return { kind: "put", revision, response };
  }

  #txn(request: RaftRequest, txn: TxnRequest, isProposer: boolean): ApplyResult {
    const isAvailable = this.#quota.isAvailable(txnCost(txn));
    const refusal = isProposer ? this.#auth.topRangeRefusal(request, txn) : undefined;
    const { revision, response } = this.#store.applyTxn(txn, isProposer);
    if (refusal !== undefined) throw refusal;
    if (!isAvailable) throw new EtcdError("noSpace");
    return { kind: "txn", revision, response };
  }

  #compaction(request: CompactionRequest): ApplyResult {
    const physical = new PhysicalCompaction();
    this.#store.compact(Number(request.revision), physical.done);
    return {
      kind: "compaction",
      revision: this.#store.currentRevision,
      whenPhysicallyDone: (callback) => physical.whenDone(callback),
    };
  }

  #leaseGrant(request: LeaseGrantRequest): ApplyResult {
    const isAvailable = this.#quota.isAvailable(LEASE_GRANT_COST_BYTES);
    const lease = this.#lessor.grant(request.ID, Number(request.TTL), this.#clock.monotonic());
    if (!isAvailable) throw new EtcdError("noSpace");
    const revision = this.#store.currentRevision;
    return { kind: "leaseGrant", revision, leaseId: lease.id, ttlSeconds: lease.ttlSeconds };
  }

  #leaseCheckpoint(request: LeaseCheckpointRequest): ApplyResult {
    const nowMs = this.#clock.monotonic();
    for (const { ID, remainingTTL } of request.checkpoints) this.#lessor.checkpoint(ID, Number(remainingTTL), nowMs);
    return { kind: "leaseCheckpoint", revision: this.#store.currentRevision };
  }

  #users(request: AuthRequest, isProposer: boolean): ApplyResult | undefined {
    // etcd moves its index when an entry first writes, and assigning a token writes nothing: tokens name the entry before.
    const tokenIndex = this.#consistentIndex.index - 1;
    const outcome = this.#auth.apply(request, tokenIndex, isProposer);
    return outcome === undefined ? undefined : { ...outcome, revision: this.#store.currentRevision };
  }

  #alarm({ action, memberID, alarm }: AlarmRequest): AlarmResult {
    const answer = (member: AlarmMember | undefined): AlarmResult => ({
      kind: "alarm",
      alarms: member === undefined ? [] : [member],
    });
    switch (action) {
      case AlarmAction.ACTIVATE:
        return answer(alarm === AlarmType.None ? undefined : this.#alarms.activate(memberID, alarm));
      case AlarmAction.DEACTIVATE:
        return answer(this.#alarms.deactivate(memberID, alarm));
      case AlarmAction.GET:
        return { kind: "alarm", alarms: this.#alarms.list(alarm) };
      default:
        return answer(undefined);
    }
  }
}

function refuseWhileCorrupt({ kind }: RaftRequest): void {
  switch (kind) {
    case "put":
    case "deleteRange":
    case "txn":
    case "compaction":
    case "leaseGrant":
    case "leaseRevoke":
      throw new EtcdError("corrupt");
    default:
  }
}

function refuseWhileFull(request: RaftRequest): void {
  const isRefused =
    request.kind === "put" || request.kind === "leaseGrant" || (request.kind === "txn" && txnCost(request.txn) > 0);
  if (isRefused) throw new EtcdError("noSpace");
}
