/**
 * Rows of users and roles, equal to etcd's byte for byte:
 *
 *     auth       "authEnabled"   1 byte, 0 or 1
 *     auth       "authRevision"  u64 big-endian
 *     authUsers  name            authpb.User {1 name, 2 password (bcrypt text), 3 roles, 4 options}
 *     authRoles  name            authpb.Role {1 name, 2 keyPermission {1 permType, 2 key, 3 range_end}}
 *
 * Source: etcd server/storage/schema/auth*.go.
 */
import { asBuffer, copyBytes, emptyBytes } from "../base/bytes.ts";
import { CorruptionError } from "../base/corruption.ts";
import { type BackendReader, type Bucket, buckets } from "../storage/backend/bucket.ts";
import type { BackendWriter } from "../storage/backend/schema.ts";
import { Role, User } from "../wire/gen/authpb/auth.ts";

/** What users and roles need of the backend. */
export interface AuthBackend extends Pick<BackendReader, "get" | "range">, BackendWriter {}

const enabledKey = new Uint8Array(Buffer.from("authEnabled", "latin1"));
const revisionKey = new Uint8Array(Buffer.from("authRevision", "latin1"));

export function readEnabled(backend: AuthBackend): boolean {
  return backend.get(buckets.auth, enabledKey)?.[0] === 1;
}

export function writeEnabled(backend: AuthBackend, isEnabled: boolean): void {
  backend.put(buckets.auth, enabledKey, Uint8Array.of(isEnabled ? 1 : 0));
}

/** 0 when never written. @throws {CorruptionError} when the row is no counter. */
export function readRevision(backend: AuthBackend): number {
  const row = backend.get(buckets.auth, revisionKey);
  if (row === undefined) return 0;
  const revision = row.length === 8 ? Number(asBuffer(row).readBigUInt64BE()) : NaN;
  if (!Number.isSafeInteger(revision)) {
    throw new CorruptionError({ path: "auth/authRevision" }, "the row is not a counter of 8 bytes");
  }
  return revision;
}

export function writeRevision(backend: AuthBackend, revision: number): void {
  const row = new Uint8Array(8);
  new DataView(row.buffer).setBigUint64(0, BigInt(revision));
  backend.put(buckets.auth, revisionKey, row);
}

export function readUser(backend: AuthBackend, name: string): User | undefined {
  // No row has an empty name; a caller without credentials has one.
  const row = name === "" ? undefined : backend.get(buckets.authUsers, Buffer.from(name));
  return row === undefined ? undefined : decodeRow("authUsers", () => User.decode(row));
}

export function writeUser(backend: AuthBackend, user: User): void {
  backend.put(buckets.authUsers, copyBytes(user.name), User.encode(user).finish());
}

export function deleteUser(backend: AuthBackend, user: User): void {
  backend.delete(buckets.authUsers, copyBytes(user.name));
}

export function readRole(backend: AuthBackend, name: string): Role | undefined {
  const row = name === "" ? undefined : backend.get(buckets.authRoles, Buffer.from(name));
  return row === undefined ? undefined : decodeRow("authRoles", () => Role.decode(row));
}

export function writeRole(backend: AuthBackend, role: Role): void {
  backend.put(buckets.authRoles, copyBytes(role.name), Role.encode(role).finish());
}

export function deleteRole(backend: AuthBackend, role: Role): void {
  backend.delete(buckets.authRoles, copyBytes(role.name));
}

/** All names of a bucket, in byte order. */
export function readNames(backend: AuthBackend, bucket: Bucket): string[] {
  const names: string[] = [];
  backend.range(bucket, emptyBytes, undefined, 0, (key) => {
    names.push(asBuffer(key).toString());
    return true;
  });
  return names;
}

function decodeRow<Row>(bucket: string, decode: () => Row): Row {
  try {
    return decode();
  } catch (cause) {
    throw new CorruptionError(
      { path: bucket },
      "a row is not what etcd writes there",
      "restore the member from a backup",
      {
        cause,
      },
    );
  }
}
