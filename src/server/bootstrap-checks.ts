/**
 * What a data directory must fulfil before a member may run on it. Each check refuses with what was found, where, and
 * what a person can do.
 */
import { join } from "node:path";
import { CorruptionError } from "../base/corruption.ts";
import { MemberTable } from "../membership/member-table.ts";
import { formatId } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import { decodeOldStore, type OldStore } from "../membership/old-store.ts";
import { formatVersion, isOlderMinor, parseVersion, serverVersion } from "../membership/version.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { readConsistentIndex } from "../storage/backend/schema.ts";
import { decodeConfChange } from "../wire/raft/conf-change-codec.ts";
import { type Entry, EntryType, type HardState, type Snapshot } from "../wire/raft/types.ts";
import { refuseNewerCluster } from "./apply/membership-applier.ts";
import type { DataDir } from "./data-dir.ts";
import { StartError } from "./start-error.ts";
import { storageVersion } from "./version-monitor.ts";

/**
 * Members as of a snapshot; none without one.
 * @throws {CorruptionError} when its payload is not an old store. @throws {StartError} when it holds keys of before 3.0.
 */
export function membersAt(snapshot: Snapshot | undefined, snapDir: string): MemberTable {
  if (snapshot === undefined) return new MemberTable();
  const { index, term } = snapshot.metadata;
  const path = join(snapDir, `${hex16(term)}-${hex16(index)}.snap`);
  let store: OldStore;
  try {
    store = decodeOldStore(snapshot.data);
  } catch (cause) {
    throw new CorruptionError({ path }, "the payload is not a membership", "restore the member from a backup", {
      cause,
    });
  }
  if (store.foreignPaths.length > 0) {
    throw new StartError(
      `detected disallowed custom content in v2store: ${path} holds ${store.foreignPaths[0]}; ` +
        "remove the v2 keys with the version that wrote them",
    );
  }
  return store.table;
}

/** @throws {StartError} when this program cannot serve what the database holds. */
export function checkBackend(backend: Backend, membership: Membership, path: string): void {
  const version = storageVersion(backend);
  if (version !== undefined && isOlderMinor(serverVersion, version)) {
    throw new StartError(
      `${path}: version ${JSON.stringify(formatVersion(version))} is not supported; start a newer etcd`,
    );
  }
  if (membership.clusterVersion !== undefined) refuseNewerCluster(membership.clusterVersion);
  refuseForeignDowngrade(membership);
}

/** A downgrade that leads below the version before this one: this program is not what the cluster waits for. */
function refuseForeignDowngrade({ downgrade }: Membership): void {
  const target = downgrade.enabled ? parseVersion(downgrade.targetVersion) : undefined;
  if (target === undefined || target.minor >= serverVersion.minor - 1) return;
  throw new StartError(
    "invalid downgrade; server version is not allowed to join when downgrade is enabled: the server is " +
      `${formatVersion(serverVersion)}, the target ${downgrade.targetVersion}; start the target version, or cancel the downgrade`,
  );
}

export interface LogToCheck {
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  readonly memberId: bigint;
  readonly backend: Backend;
  readonly dirs: DataDir;
  readonly maxLearners: number;
}

/** @throws {StartError} when the log and the database do not fit, or when this program cannot carry the log on. */
export function checkLog(log: LogToCheck): void {
  const { snapshot, entries, hardState, backend, dirs } = log;
  const consistentIndex = readConsistentIndex(backend);
  const lastIndex = entries.at(-1)?.index ?? snapshot?.metadata.index ?? 0;
  if (consistentIndex > lastIndex) {
    throw new StartError(
      `${dirs.backendPath} holds the effects of entries up to ${consistentIndex}, but the log in ${dirs.walDir} ends at ` +
        `${lastIndex}: one of them is from another time; restore both from one backup`,
    );
  }
  const committed = Math.max(hardState.commit, consistentIndex);
  const table = membersAt(snapshot, dirs.snapDir);
  for (const entry of entries) {
    if (entry.type !== EntryType.ConfChange || entry.index > committed) continue;
    const change = decodeConfChange(entry.data);
    if (table.validate(change, log.maxLearners) === undefined) table.apply(change);
  }
  refuseRemoved(table, log.memberId);
}

/** What is not committed may never be, so only a removal that is committed is final. */
function refuseRemoved(table: MemberTable, memberId: bigint): void {
  if (!table.isRemoved(memberId)) return;
  throw new StartError(
    `the member has been permanently removed from the cluster (${formatId(memberId)}); remove its data directory`,
  );
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, "0");
}
