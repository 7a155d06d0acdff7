/**
 * Versions that the cluster agrees on. The leader raises the cluster version to the lowest server version of all
 * members, or lowers it to the target of a downgrade; every member then brings its own storage to the version of the
 * cluster. Both are looked at when the cause may have changed, and every 4 s. Source: etcd server/etcdserver/version/monitor.go and server/storage/schema.
 */
import type { Membership } from "../membership/membership.ts";
import {
  compareVersions,
  formatMinor,
  formatVersion,
  minClusterVersion,
  parseVersion,
  serverVersion,
  toMinor,
  type Version,
} from "../membership/version.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { readStorageVersion, readTerm, writeStorageVersion } from "../storage/backend/schema.ts";
import { ClusterVersionSetRequest, DowngradeInfoSetRequest } from "../wire/gen/membershippb/membership.ts";
import type { RequestKind } from "../wire/hot/raft-request.ts";
import type { ProposalCallback } from "./member.ts";

const MONITOR_INTERVAL_MS = 4_000;
/** Storage of 3.5: no version row, and the first one with a `term` row. */
const unmarkedStorageVersion: Version = { major: 3, minor: 5, patch: 0 };

export interface VersionMonitorParts {
  readonly memberId: bigint;
  readonly membership: Membership;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 never looks. */
  readonly downgradeCheckTimeMs: number;
  readonly isLeader: () => boolean;
  /** Server versions of the other members; undefined for one that cannot be asked. */
  readonly serverVersions: () => Promise<readonly (Version | undefined)[]>;
  readonly propose: (kind: RequestKind, request: Uint8Array, callback: ProposalCallback) => void;
}

/** What the rows say; undefined before the first commit of a new or very old database. */
export function storageVersion(backend: Backend): Version | undefined {
  const text = readStorageVersion(backend);
  if (text !== undefined) return parseVersion(text);
  return readTerm(backend) > 0 ? unmarkedStorageVersion : undefined;
}

export class VersionMonitor {
  readonly #parts: VersionMonitorParts;
  readonly #timers: Timer[];
  #isProposing = false;
  #isAsking = false;
  #isStopped = false;

  constructor(parts: VersionMonitorParts) {
    this.#parts = parts;
    this.#timers = [parts.clock.setTicker(() => this.check(), MONITOR_INTERVAL_MS)];
    if (parts.downgradeCheckTimeMs > 0) {
      this.#timers.push(parts.clock.setTicker(() => this.#endDowngrade(), parts.downgradeCheckTimeMs));
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
  }

  /** Call outside the application of an entry: it writes to the backend and to the log. */
  check(): void {
    this.#withLowestServerVersion((lowest) => this.#checkCluster(lowest));
    this.#checkStorage();
  }

  #checkCluster(lowest: Version | undefined): void {
    const { membership, log, propose } = this.#parts;
    if (this.#isProposing) return;
    const version = this.#decide(lowest);
    if (version === undefined) return;
    this.#isProposing = true;
    const to = formatMinor(version);
    if (membership.clusterVersion === undefined) {
      log.info("setting up initial cluster version using v3 API", { "cluster-version": to });
    } else {
      log.info("updating cluster version using v3 API", { from: formatMinor(membership.clusterVersion), to });
    }
    const request = ClusterVersionSetRequest.encode({ ver: formatVersion(version) }).finish();
    propose("clusterVersionSet", request, (error) => {
      this.#isProposing = false;
      if (error === undefined) log.info("cluster version is updated", { "cluster-version": to });
      else if (error.reason !== "stopped") log.warn("failed to update cluster version", { error });
    });
  }

  /** The cluster version that should be, or undefined to leave it. */
  #decide(lowest: Version | undefined): Version | undefined {
    const { clusterVersion, downgrade } = this.#parts.membership;
    if (clusterVersion === undefined) return lowest ?? minClusterVersion;
    if (lowest === undefined) return undefined;
    if (downgrade.enabled) {
      const target = parseVersion(downgrade.targetVersion);
      return target === undefined || compareVersions(target, clusterVersion) === 0 ? undefined : target;
    }
    return compareVersions(clusterVersion, lowest) < 0 ? lowest : undefined;
  }

  /** On the leader: asks all members. Unknown as long as there is one that cannot be asked. */
  #withLowestServerVersion(use: (lowest: Version | undefined) => void): void {
    const { membership, memberId, isLeader, serverVersions } = this.#parts;
    if (!isLeader()) return;
    if (membership.members().every((member) => member.id === memberId)) return use(toMinor(serverVersion));
    if (this.#isAsking) return;
    this.#isAsking = true;
    void serverVersions().then((versions) => {
      this.#isAsking = false;
      if (this.#isStopped || !isLeader()) return;
      let lowest: Version | undefined = toMinor(serverVersion);
      for (const version of versions) {
        if (version === undefined || lowest === undefined) lowest = undefined;
        else if (compareVersions(toMinor(version), lowest) < 0) lowest = toMinor(version);
      }
      use(lowest);
    });
  }

  /** A downgrade is over when every member runs the target version. */
  #endDowngrade(): void {
    if (this.#parts.membership.downgrade.enabled)
      this.#withLowestServerVersion((lowest) => this.#endDowngradeAt(lowest));
  }

  #endDowngradeAt(lowest: Version | undefined): void {
    const { membership, log, propose } = this.#parts;
    const target = membership.downgrade.enabled ? parseVersion(membership.downgrade.targetVersion) : undefined;
    if (target === undefined || lowest === undefined) return;
    if (compareVersions(toMinor(target), lowest) !== 0) return;
    log.info("the cluster has been downgraded", { "cluster-version": membership.downgrade.targetVersion });
    propose("downgradeInfoSet", DowngradeInfoSetRequest.encode({ enabled: false, ver: "" }).finish(), (error) => {
      if (error !== undefined) log.warn("failed to cancel downgrade", { error });
    });
  }

  #checkStorage(): void {
    const { membership, backend, log } = this.#parts;
    const wanted = membership.clusterVersion;
    if (wanted === undefined || compareVersions(wanted, minClusterVersion) === 0) return;
    // A database without any mark gets that of 3.5, the term, with the next commit.
    const current = storageVersion(backend) ?? unmarkedStorageVersion;
    if (compareVersions(current, toMinor(wanted)) === 0) return;
    log.info("cluster version differs from storage version.", {
      "cluster-version": formatVersion(wanted),
      "storage-version": formatVersion(current),
    });
    if (wanted.minor === serverVersion.minor) writeStorageVersion(backend, formatVersion(toMinor(wanted)));
    else if (wanted.minor < current.minor) writeStorageVersion(backend, undefined);
    log.info("updated storage version", { "new-storage-version": formatVersion(toMinor(wanted)) });
  }
}
