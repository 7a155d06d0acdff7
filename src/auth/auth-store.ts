/**
 * Users, roles and their permissions: replicated state that only applied log entries change, equal on all members, row for
 * row equal to etcd's. The auth revision counts the changes; a request that was permitted at an older one is refused.
 *
 * What a user may do is worked out once and kept until the next change. With authentication off every check passes at
 * once, on one boolean. Source: etcd server/auth/store.go.
 */
import { asBuffer, compareBytes, copyBytes, equalBytes } from "../base/bytes.ts";
import { goSort } from "../base/go-sort.ts";
import { buckets } from "../storage/backend/bucket.ts";
import { EtcdError } from "../wire/errors.ts";
import { type Permission, Permission_Type as PermissionType, type Role, type User } from "../wire/gen/authpb/auth.ts";
import type {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserGrantRoleRequest,
  AuthUserRevokeRoleRequest,
} from "../wire/gen/etcdserverpb/rpc.ts";
import {
  type AuthBackend,
  deleteRole,
  deleteUser,
  readEnabled,
  readNames,
  readRevision,
  readRole,
  readUser,
  writeEnabled,
  writeRevision,
  writeRole,
  writeUser,
} from "./auth-rows.ts";
import { type Caller, rootRole, rootUser } from "./caller.ts";
import { keyInterval, type KeyInterval, KeyIntervals } from "./key-intervals.ts";
import type { Tokens } from "./tokens.ts";

export interface AuthStoreOptions {
  readonly tokens: Tokens;
  /** Bcrypt text of a password: only entries of members before 3.5 hold passwords in plain text. */
  readonly hashPassword: (password: string) => string;
  /** Never told a password, a hash or a token. */
  readonly info: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** What one user may do, as of the current revision. */
interface Access {
  readonly isRoot: boolean;
  readonly read: KeyIntervals;
  readonly write: KeyIntervals;
}

/** What etcd answers for the role root, whatever is stored. */
const everything: Permission = {
  permType: PermissionType.READWRITE,
  key: new Uint8Array(0),
  rangeEnd: Uint8Array.of(0),
};

export class AuthStore {
  readonly tokens: Tokens;
  readonly #backend: AuthBackend;
  readonly #options: AuthStoreOptions;
  /** Filled when asked, emptied by every change. */
  readonly #access = new Map<string, Access | undefined>();
  #isEnabled = false;
  #revision = 0;

  private constructor(backend: AuthBackend, options: AuthStoreOptions) {
    this.#backend = backend;
    this.#options = options;
    this.tokens = options.tokens;
  }

  /** Writes the first revision when there is none, as etcd does outside the log at any member's first start. */
  static open(backend: AuthBackend, options: AuthStoreOptions): AuthStore {
    const store = new AuthStore(backend, options);
    store.reload();
    if (store.#revision === 0) store.#countChange();
    return store;
  }

  /** Reads the state again: the database was replaced by that of a snapshot. Tokens stay, as in etcd. */
  reload(): void {
    this.#isEnabled = readEnabled(this.#backend);
    this.#revision = readRevision(this.#backend);
    this.#access.clear();
  }

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** Invariant: at least 1. */
  get revision(): number {
    return this.#revision;
  }

  // Permissions

  /** @throws {EtcdError} `userEmpty`, `authOldRevision`, `permissionDenied`. */
  requireRead(caller: Caller, key: Uint8Array, rangeEnd: Uint8Array): void {
    const access = this.#accessAtRevision(caller);
    if (access === undefined || isOpen(access.read, key, rangeEnd)) return;
    throw new EtcdError("permissionDenied");
  }

  /** As {@link requireRead}, for puts and deletes. */
  requireWrite(caller: Caller, key: Uint8Array, rangeEnd: Uint8Array): void {
    const access = this.#accessAtRevision(caller);
    if (access === undefined || isOpen(access.write, key, rangeEnd)) return;
    throw new EtcdError("permissionDenied");
  }

  /** @throws {EtcdError} `userEmpty`, `userNotFound`, `permissionDenied`. The caller's revision does not matter. */
  requireAdmin(caller: Caller): void {
    if (!this.#isEnabled) return;
    if (caller.username === "") throw new EtcdError("userEmpty");
    const access = this.#accessOf(caller.username);
    if (access === undefined) throw new EtcdError("userNotFound");
    if (!access.isRoot) throw new EtcdError("permissionDenied");
  }

  /** Whether {@link requireAdmin} passes. */
  isAdmin({ username }: Caller): boolean {
    return !this.#isEnabled || (username !== "" && this.#accessOf(username)?.isRoot === true);
  }

  hasRole(username: string, role: string): boolean {
    return readUser(this.#backend, username)?.roles.includes(role) ?? false;
  }

  /** Undefined: everything is permitted. */
  #accessAtRevision({ username, revision }: Caller): Access | undefined {
    if (!this.#isEnabled) return undefined;
    if (revision === 0) throw new EtcdError("userEmpty");
    if (revision < this.#revision) throw new EtcdError("authOldRevision");
    const access = this.#accessOf(username);
    if (access === undefined) throw new EtcdError("permissionDenied");
    return access.isRoot ? undefined : access;
  }

  #accessOf(username: string): Access | undefined {
    let access = this.#access.get(username);
    if (access !== undefined) return access;
    access = this.#workOut(username);
    // A name that is not there is asked of the database again: strangers cannot fill this map.
    if (access !== undefined) this.#access.set(username, access);
    return access;
  }

  #workOut(username: string): Access | undefined {
    const user = readUser(this.#backend, username);
    if (user === undefined) return undefined;
    const read: KeyInterval[] = [];
    const write: KeyInterval[] = [];
    for (const name of user.roles) {
      for (const { permType, key, rangeEnd } of readRole(this.#backend, name)?.keyPermission ?? []) {
        const interval = keyInterval(copyBytes(key), copyBytes(rangeEnd));
        if (interval === undefined) continue;
        const isBoth = permType === PermissionType.READWRITE;
        if (isBoth || permType === PermissionType.READ) read.push(interval);
        if (isBoth || permType === PermissionType.WRITE) write.push(interval);
      }
    }
    return { isRoot: user.roles.includes(rootRole), read: new KeyIntervals(read), write: new KeyIntervals(write) };
  }

  // Passwords and tokens

  /**
   * The bcrypt text to check a password against, owned.
   *
   * @throws {EtcdError} `authNotEnabled`, `authFailed` (no such user), `noPasswordUser`.
   */
  passwordOf(username: string): string {
    if (!this.#isEnabled) throw new EtcdError("authNotEnabled");
    const user = readUser(this.#backend, username);
    if (user === undefined) throw new EtcdError("authFailed");
    if (user.options?.noPassword === true) throw new EtcdError("noPasswordUser");
    return asBuffer(user.password).toString("latin1");
  }

  /** Who shows a token. @throws {EtcdError} `invalidAuthToken`. */
  callerOf(token: string): Caller {
    const caller = this.tokens.identify(token, this.#revision);
    if (caller === undefined) throw new EtcdError("invalidAuthToken");
    return caller;
  }

  /**
   * Applies an authentication; the password was checked before the entry was proposed.
   *
   * @returns the token. @throws {EtcdError} `authNotEnabled`, `authFailed`, `verifyOnlyKey`.
   */
  authenticate(username: string, entry: { prefix: string; index: number; isProposer: boolean }): string {
    if (!this.#isEnabled) throw new EtcdError("authNotEnabled");
    const user = readUser(this.#backend, username);
    if (user === undefined || user.options?.noPassword === true) throw new EtcdError("authFailed");
    return this.tokens.assign({ username, revision: this.#revision, ...entry });
  }

  // Changes. Each counts, unless it throws or says otherwise.

  /** Not counted. @throws {EtcdError} `rootUserNotExist`, `rootRoleNotExist`. */
  enable(): void {
    if (this.#isEnabled) return this.#options.info("authentication is already enabled; ignored auth enable request");
    const root = readUser(this.#backend, rootUser);
    if (root === undefined) throw new EtcdError("rootUserNotExist");
    if (!root.roles.includes(rootRole)) throw new EtcdError("rootRoleNotExist");
    writeEnabled(this.#backend, true);
    this.#isEnabled = true;
    this.#options.info("enabled authentication");
  }

  /** Nothing happens when it is off already. */
  disable(): void {
    if (!this.#isEnabled) return;
    writeEnabled(this.#backend, false);
    this.#countChange();
    this.#isEnabled = false;
    this.tokens.forgetAll();
    this.#options.info("disabled authentication");
  }

  /** @throws {EtcdError} `userEmpty`, `userAlreadyExists`, `noPasswordUser` (the hash is not base64). */
  addUser(request: AuthUserAddRequest): void {
    const { name } = request;
    if (name === "") throw new EtcdError("userEmpty");
    if (readUser(this.#backend, name) !== undefined) throw new EtcdError("userAlreadyExists");
    const options = request.options ?? { noPassword: false };
    const password = options.noPassword ? new Uint8Array(0) : this.#storedPassword(request);
    writeUser(this.#backend, { name: Buffer.from(name), password, roles: [], options });
    this.#countChange();
    this.#options.info("added a user", { "user-name": name });
  }

  /** @throws {EtcdError} `invalidAuthManagement` (root, while authentication is on), `userNotFound`. */
  deleteUser(name: string): void {
    if (this.#isEnabled && name === rootUser) throw new EtcdError("invalidAuthManagement");
    deleteUser(this.#backend, this.#requireUser(name));
    this.#countChange();
    this.tokens.forgetUser(name);
    this.#options.info("deleted a user", { "user-name": name });
  }

  /** @throws {EtcdError} `userNotFound`, `noPasswordUser`. */
  changePassword(request: AuthUserChangePasswordRequest): void {
    const user = this.#requireUser(request.name);
    user.password = user.options?.noPassword === true ? new Uint8Array(0) : this.#storedPassword(request);
    writeUser(this.#backend, user);
    this.#countChange();
    this.tokens.forgetUser(request.name);
    this.#options.info("changed a password of a user", { "user-name": request.name });
  }

  /** Not counted when it is granted already. @throws {EtcdError} `userNotFound`, `roleNotFound`. */
  grantRole({ user: username, role }: AuthUserGrantRoleRequest): void {
    const user = this.#requireUser(username);
    if (role !== rootRole) this.#requireRole(role);
    if (user.roles.includes(role)) return;
    user.roles = [...user.roles, role].sort(compareText);
    writeUser(this.#backend, user);
    this.#countChange();
    this.#options.info("granted a role to a user", { "user-name": username, "added-role-name": role });
  }

  /** @throws {EtcdError} `invalidAuthManagement`, `userNotFound`, `roleNotGranted`. */
  revokeRole({ name, role }: AuthUserRevokeRoleRequest): void {
    if (this.#isEnabled && name === rootUser && role === rootRole) throw new EtcdError("invalidAuthManagement");
    const user = this.#requireUser(name);
    if (!user.roles.includes(role)) throw new EtcdError("roleNotGranted");
    this.#takeRole(user, role);
    this.#countChange();
    this.#options.info("revoked a role from a user", { "user-name": name, "revoked-role-name": role });
  }

  /** @throws {EtcdError} `roleEmpty`, `roleAlreadyExists`. */
  addRole(name: string): void {
    if (name === "") throw new EtcdError("roleEmpty");
    if (readRole(this.#backend, name) !== undefined) throw new EtcdError("roleAlreadyExists");
    writeRole(this.#backend, { name: Buffer.from(name), keyPermission: [] });
    this.#countChange();
    this.#options.info("created a role", { "role-name": name });
  }

  /** Takes it from all users as well. @throws {EtcdError} `invalidAuthManagement`, `roleNotFound`. */
  deleteRole(name: string): void {
    if (this.#isEnabled && name === rootRole) throw new EtcdError("invalidAuthManagement");
    deleteRole(this.#backend, this.#requireRole(name));
    for (const username of this.userNames()) {
      const user = this.#requireUser(username);
      if (user.roles.includes(name)) this.#takeRole(user, name);
    }
    this.#countChange();
    this.#options.info("deleted a role", { "role-name": name });
  }

  /** @throws {EtcdError} `permissionNotGiven`, `invalidAuthManagement` (no such range of keys), `roleNotFound`. */
  grantPermission({ name, perm }: AuthRoleGrantPermissionRequest): void {
    if (perm === undefined) throw new EtcdError("permissionNotGiven");
    if (keyInterval(perm.key, perm.rangeEnd) === undefined) throw new EtcdError("invalidAuthManagement");
    const role = this.#requireRole(name);
    const { keyPermission } = role;
    const at = keyPermission.findIndex(({ key }) => compareBytes(key, perm.key) >= 0);
    // Only the first one of this key is looked at: with another range end in front the same permission stands there twice.
    if (at >= 0 && isSame(keyPermission[at], perm)) keyPermission[at].permType = perm.permType;
    else {
      keyPermission.push(perm);
      goSort(keyPermission, (a, b) => compareBytes(a.key, b.key) < 0);
    }
    writeRole(this.#backend, role);
    this.#countChange();
    this.#options.info("granted/updated a permission to a role", { "role-name": name });
  }

  /** @throws {EtcdError} `roleNotFound`, `permissionNotGranted`. */
  revokePermission({ role: name, key, rangeEnd }: AuthRoleRevokePermissionRequest): void {
    const role = this.#requireRole(name);
    const kept = role.keyPermission.filter((permission) => !isSame(permission, { key, rangeEnd }));
    if (kept.length === role.keyPermission.length) throw new EtcdError("permissionNotGranted");
    writeRole(this.#backend, { name: role.name, keyPermission: kept });
    this.#countChange();
    this.#options.info("revoked a permission on range", { "role-name": name });
  }

  // What can be asked; the results are owned.

  /** In byte order. */
  userNames(): string[] {
    return readNames(this.#backend, buckets.authUsers);
  }

  /** In byte order. */
  roleNames(): string[] {
    return readNames(this.#backend, buckets.authRoles);
  }

  /** @throws {EtcdError} `userNotFound`. */
  rolesOf(username: string): string[] {
    return this.#requireUser(username).roles;
  }

  /** @throws {EtcdError} `roleNotFound`. */
  permissionsOf(name: string): Permission[] {
    const { keyPermission } = this.#requireRole(name);
    if (name === rootRole) return [everything];
    return keyPermission.map(({ permType, key, rangeEnd }) => ({
      permType,
      key: copyBytes(key),
      rangeEnd: copyBytes(rangeEnd),
    }));
  }

  #requireUser(name: string): User {
    const user = readUser(this.#backend, name);
    if (user === undefined) throw new EtcdError("userNotFound");
    return user;
  }

  #requireRole(name: string): Role {
    const role = readRole(this.#backend, name);
    if (role === undefined) throw new EtcdError("roleNotFound");
    return role;
  }

  #takeRole(user: User, role: string): void {
    writeUser(this.#backend, { ...user, roles: user.roles.filter((one) => one !== role) });
  }

  #storedPassword({ password, hashedPassword }: { password: string; hashedPassword: string }): Uint8Array {
    if (password !== "" && hashedPassword === "") return Buffer.from(this.#options.hashPassword(password), "latin1");
    const decoded = decodeBase64(hashedPassword);
    if (decoded === undefined) throw new EtcdError("noPasswordUser");
    return decoded;
  }

  #countChange(): void {
    this.#revision++;
    writeRevision(this.#backend, this.#revision);
    this.#access.clear();
  }
}

function isOpen(intervals: KeyIntervals, key: Uint8Array, rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 0 ? intervals.hasKey(key) : intervals.hasRange(key, rangeEnd);
}

function isSame(permission: Permission, { key, rangeEnd }: Pick<Permission, "key" | "rangeEnd">): boolean {
  return equalBytes(permission.key, key) && equalBytes(permission.rangeEnd, rangeEnd);
}

/** Names compare by their bytes, as Go's strings do. */
function compareText(a: string, b: string): number {
  return compareBytes(Buffer.from(a), Buffer.from(b));
}

/** Go's base64.StdEncoding: padded, line breaks ignored, nothing else forgiven. */
function decodeBase64(text: string): Uint8Array | undefined {
  const compact = text.replace(/[\r\n]/g, "");
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) return undefined;
  return new Uint8Array(Buffer.from(compact, "base64"));
}
