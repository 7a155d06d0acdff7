/**
 * The cluster's membership, version and downgrade as this member has applied them, kept in the backend:
 *
 *     members            <hex id>         member JSON
 *     members_removed    <hex id>         removed
 *     cluster            clusterVersion   3.6.0
 *     cluster            downgrade        {"target-version":"3.5.0","enabled":true}
 *
 * Rows are written in the backend batch of the entry that causes them. Only the apply loop calls the methods that
 * change something. Source: etcd server/storage/schema/membership.go and server/etcdserver/api/membership/cluster.go.
 */
import { asBuffer, emptyBytes } from "../base/bytes.ts";
import { CorruptionError } from "../base/corruption.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { type Bucket, buckets } from "../storage/backend/bucket.ts";
import type { ConfChange } from "../wire/raft/types.ts";
import { asObject, asString, parseJson, quote } from "./json.ts";
import { type ConfChangeRefusal, MemberTable } from "./member-table.ts";
import { formatId, type Member, memberToJson, parseId, parseMember } from "./member.ts";
import { encodeOldStore } from "./old-store.ts";
import { formatVersion, parseVersion, type Version } from "./version.ts";

export interface DowngradeInfo {
  readonly enabled: boolean;
  /** Text of a version such as `3.5.0`; empty when not enabled. */
  readonly targetVersion: string;
}

const clusterVersionKey = text("clusterVersion");
const downgradeKey = text("downgrade");
const noDowngrade: DowngradeInfo = { enabled: false, targetVersion: "" };

export class Membership {
  readonly #backend: Backend;
  #table: MemberTable;
  readonly #maxLearners: number;
  #clusterVersion: Version | undefined;
  #downgrade: DowngradeInfo;

  /** After a change of the cluster version or of the downgrade. Runs while the entry is applied. */
  onVersionChange: (() => void) | undefined = undefined;

  private constructor(backend: Backend, table: MemberTable, maxLearners: number) {
    this.#backend = backend;
    this.#table = table;
    this.#maxLearners = maxLearners;
    this.#clusterVersion = readClusterVersion(backend);
    this.#downgrade = readDowngrade(backend);
  }

  /** @throws {CorruptionError} when a row is not what etcd writes. */
  static open(backend: Backend, maxLearners: number): Membership {
    return new Membership(backend, readMemberTable(backend), maxLearners);
  }

  /** Reads everything again: the database was replaced by that of a snapshot. @throws {CorruptionError} as {@link open}. */
  reload(): void {
    this.#table = readMemberTable(this.#backend);
    this.#clusterVersion = readClusterVersion(this.#backend);
    this.#downgrade = readDowngrade(this.#backend);
    this.onVersionChange?.();
  }

  /** Ascending by id. */
  members(): Member[] {
    return this.#table.list();
  }

  member(id: bigint): Member | undefined {
    return this.#table.get(id);
  }

  voters(): Member[] {
    return this.#table.voters();
  }

  isRemoved(id: bigint): boolean {
    return this.#table.isRemoved(id);
  }

  /** Undefined until the cluster has decided. */
  get clusterVersion(): Version | undefined {
    return this.#clusterVersion;
  }

  get downgrade(): DowngradeInfo {
    return this.#downgrade;
  }

  /** Whether the change may be applied now; see {@link MemberTable.validate}. */
  validate(change: ConfChange): ConfChangeRefusal | undefined {
    return this.#table.validate(change, this.#maxLearners);
  }

  /** Applies a valid change. @returns the member as it is now; undefined when it was removed. */
  apply(change: ConfChange): Member | undefined {
    const member = this.#table.apply(change);
    if (member !== undefined) {
      this.#writeMember(member);
      return member;
    }
    const key = text(formatId(change.nodeId));
    this.#backend.delete(buckets.members, key);
    this.#backend.put(buckets.membersRemoved, key, text("removed"));
    return undefined;
  }

  /** What a member says about itself. @returns false when the member is unknown; nothing is changed then. */
  setAttributes(id: bigint, attributes: { readonly name: string; readonly clientUrls: readonly string[] }): boolean {
    if (this.#table.get(id) === undefined) return false;
    this.#writeMember(this.#table.update(id, attributes));
    return true;
  }

  setClusterVersion(version: Version): void {
    this.#clusterVersion = version;
    this.#backend.put(buckets.cluster, clusterVersionKey, text(formatVersion(version)));
    this.onVersionChange?.();
  }

  setDowngrade(info: DowngradeInfo): void {
    this.#downgrade = info;
    const json = `{"target-version":${quote(info.targetVersion)},"enabled":${info.enabled}}`;
    this.#backend.put(buckets.cluster, downgradeKey, text(json));
    this.onVersionChange?.();
  }

  /** Repairs a fault of etcd 3.5 (etcd issue 19557): a promotion that reached the old store and not the backend. */
  promoteAsIn(oldTable: MemberTable): Member[] {
    const repaired: Member[] = [];
    for (const member of this.#table.list()) {
      const old = oldTable.get(member.id);
      if (!member.isLearner || old === undefined || old.isLearner) continue;
      const promoted = this.#table.update(member.id, { isLearner: false });
      this.#writeMember(promoted);
      repaired.push(promoted);
    }
    return repaired;
  }

  /** Payload of a `.snap` file for the state as applied now. */
  toOldStore(): Uint8Array {
    return encodeOldStore(this.#table, this.#clusterVersion);
  }

  #writeMember(member: Member): void {
    this.#backend.put(buckets.members, text(formatId(member.id)), text(memberToJson(member)));
  }
}

/** Payload of a snapshot whose database is `image`. @throws {CorruptionError} when a row is not what etcd writes. */
export function oldStoreOf(image: MembershipRows): Uint8Array {
  return encodeOldStore(readMemberTable(image), readClusterVersion(image));
}

/** What is read of a database. */
export type MembershipRows = Pick<Backend, "get" | "range">;

function readMemberTable(rows: MembershipRows): MemberTable {
  const members: Member[] = [];
  rows.range(buckets.members, emptyBytes, undefined, 0, (key, value) => {
    members.push(readRow(buckets.members, key, () => parseMember(value)));
    return true;
  });
  const removed: bigint[] = [];
  rows.range(buckets.membersRemoved, emptyBytes, undefined, 0, (key) => {
    removed.push(readRow(buckets.membersRemoved, key, () => parseId(asBuffer(key).toString("latin1"))));
    return true;
  });
  return new MemberTable(members, removed);
}

function readClusterVersion(backend: MembershipRows): Version | undefined {
  const value = backend.get(buckets.cluster, clusterVersionKey);
  if (value === undefined) return undefined;
  const version = parseVersion(asBuffer(value).toString("latin1"));
  if (version === undefined) throw rowError(buckets.cluster, clusterVersionKey);
  return version;
}

function readDowngrade(backend: Backend): DowngradeInfo {
  const value = backend.get(buckets.cluster, downgradeKey);
  if (value === undefined) return noDowngrade;
  return readRow(buckets.cluster, downgradeKey, () => {
    const fields = asObject(parseJson(asBuffer(value).toString("utf8")));
    return { enabled: fields["enabled"] === true, targetVersion: asString(fields["target-version"]) };
  });
}

function readRow<T>(bucket: Bucket, key: Uint8Array, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw rowError(bucket, key, cause);
  }
}

function rowError(bucket: Bucket, key: Uint8Array, cause?: unknown): CorruptionError {
  const place = { path: `${bucket.name}/${asBuffer(key).toString("latin1")}` };
  return new CorruptionError(place, "is not what etcd writes there", undefined, { cause });
}

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}
