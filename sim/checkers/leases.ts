/**
 * Leases: not before their time, and not for ever.
 *
 * A lease that was granted or kept alive by a call begun at `t` lives at least until `t + TTL`. When it really ended nobody sees;
 * but in the linearization the revocation stands before some operation that had returned by `u`, so it was before `u`.
 * `u < t + TTL` is too early. A pair that is still read long after its lease's time, in quiet times, is too late.
 */
import { describeOperation } from "../history/describe.ts";
import {
  covers,
  type Operation,
  type Request,
  type Violation,
  type WatchEvent,
  type WatchRecord,
} from "../history/history.ts";
import { expiryClient, type Linearization } from "./linearizability.ts";

export interface LeaseRules {
  /** How much faster than ours a member's clock may run, such as 0.01. */
  readonly clockDrift: number;
  /** Faults were over at this time. */
  readonly quietSince: number;
  /** After TTL and the end of the faults a key may stay for this long. */
  readonly slackMs: number;
}

interface Lifetime {
  readonly ttlSeconds: number;
  /** Renewals by the time at which their call began; grant first. */
  readonly renewals: { readonly call: number; readonly return: number; readonly ttlSeconds: number }[];
}

export function checkLeases(
  operations: readonly Operation[],
  watches: readonly WatchRecord[],
  linearization: Linearization,
  rules: LeaseRules,
): Violation[] {
  const lifetimes = lifetimesOf(operations);
  return [
    ...tooEarly(lifetimes, operations, linearization, firstSightings(watches), rules),
    ...tooLate(lifetimes, operations, rules),
  ];
}

function lifetimesOf(operations: readonly Operation[]): Map<string, Lifetime> {
  const lifetimes = new Map<string, Lifetime>();
  for (const { request, outcome, call, return: end } of operations) {
    if (request.kind === "leaseGrant" && outcome.kind !== "failed") {
      const { ttlSeconds } = request;
      // An unknown grant may have happened at once or late; only what is certain is used below.
      const grant = { call, return: end ?? Infinity, ttlSeconds };
      lifetimes.set(request.lease, { ttlSeconds, renewals: [grant] });
    }
  }
  for (const { request, outcome, call, return: end } of operations) {
    if (request.kind !== "leaseKeepAlive" || outcome.kind !== "ok") continue;
    const { result } = outcome;
    if (result.kind !== "leaseKeepAlive" || (result.ttlSeconds ?? 0) === 0) continue;
    lifetimes.get(request.lease)?.renewals.push({ call, return: end ?? Infinity, ttlSeconds: result.ttlSeconds ?? 0 });
  }
  return lifetimes;
}

/** When each revision was first seen by a watcher. */
function firstSightings(watches: readonly WatchRecord[]): Map<number, number> {
  const sightings = new Map<number, number>();
  for (const { messages } of watches) {
    for (const message of messages) {
      if (message.kind !== "events") continue;
      for (const { modRevision } of message.events) {
        sightings.set(modRevision, Math.min(message.at, sightings.get(modRevision) ?? Infinity));
      }
    }
  }
  return sightings;
}

function tooEarly(
  lifetimes: ReadonlyMap<string, Lifetime>,
  operations: readonly Operation[],
  { order }: Linearization,
  sightings: ReadonlyMap<number, number>,
  { clockDrift }: LeaseRules,
): Violation[] {
  const violations: Violation[] = [];
  // Backwards, with the earliest return of all that comes behind: whatever stands before had happened by then.
  let endedBy = Infinity;
  let witness: Operation | undefined;
  for (const { operation, revision, events } of order.toReversed()) {
    const { request, client, outcome } = operation;
    if (client !== expiryClient) {
      if (operation.return === null || outcome.kind !== "ok" || operation.return >= endedBy) continue;
      endedBy = operation.return;
      witness = operation;
      continue;
    }
    // One without keys may stand anywhere: nothing tells when it happened.
    if (request.kind !== "leaseRevoke" || events.length === 0 || mayBeAnothers(operations, request.lease, events))
      continue;
    const seenBy = Math.min(endedBy, sightings.get(revision) ?? Infinity);
    const renewals = (lifetimes.get(request.lease)?.renewals ?? []).filter((renewal) => renewal.return < seenBy);
    const livesUntil = Math.max(...renewals.map(({ call, ttlSeconds }) => call + ttlSeconds * 1000 * (1 - clockDrift)));
    if (seenBy >= livesUntil) continue;
    violations.push({
      checker: "leases",
      message: `lease ${request.lease} had expired by ${seenBy.toFixed(1)}, but should live until ${livesUntil.toFixed(1)}`,
      story: [
        ...renewals
          .slice(-2)
          .map(
            ({ call, return: end, ttlSeconds }) =>
              `renewed for ${ttlSeconds} s in [${call.toFixed(1)}..${end.toFixed(1)}]`,
          ),
        ...events.map(({ key }) => `${key} was deleted at revision ${revision}`),
        ...(witness === undefined ? [] : [`an operation behind it: ${describeOperation(witness)}`]),
      ],
    });
  }
  return violations;
}

/** Whether a client's own request, of unknown outcome perhaps, may have deleted the keys. */
function mayBeAnothers(operations: readonly Operation[], lease: string, events: readonly WatchEvent[]): boolean {
  return operations.some(({ request, outcome }) => {
    if (outcome.kind === "failed") return false;
    if (request.kind === "leaseRevoke") return request.lease === lease;
    return outcome.kind === "unknown" && events.some(({ key }) => mayDelete(request, key));
  });
}

function mayDelete(request: Request, key: string): boolean {
  if (request.kind === "txn") return [...request.success, ...request.failure].some((inner) => mayDelete(inner, key));
  return request.kind === "delete" && covers(request, key);
}

function tooLate(
  lifetimes: ReadonlyMap<string, Lifetime>,
  operations: readonly Operation[],
  { quietSince, slackMs }: LeaseRules,
): Violation[] {
  const violations: Violation[] = [];
  const reported = new Set<string>();
  for (const operation of operations) {
    const { request, outcome, call } = operation;
    if (request.kind !== "range" || outcome.kind !== "ok" || outcome.result.kind !== "range") continue;
    if (request.revision || request.isSerializable === true) continue;
    for (const { lease, key } of outcome.result.pairs) {
      const lifetime = lifetimes.get(lease);
      if (lifetime === undefined || reported.has(lease)) continue;
      const renewed = Math.max(
        quietSince,
        ...lifetime.renewals.map(({ call: begun, return: end }) => (end === Infinity ? begun : end)),
      );
      const goneBy = renewed + lifetime.ttlSeconds * 1000 + slackMs;
      if (call <= goneBy) continue;
      reported.add(lease);
      violations.push({
        checker: "leases",
        message: `${key} is still there, although its lease ${lease} of ${lifetime.ttlSeconds} s should be gone since ${goneBy.toFixed(1)}`,
        story: [describeOperation(operation)],
      });
    }
  }
  return violations;
}
