import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { MemoryBackend } from "../../test/support/memory-backend.ts";
import { buckets } from "../storage/backend/bucket.ts";
import { EtcdError } from "../wire/errors.ts";
import { Permission_Type as PermissionType } from "../wire/gen/authpb/auth.ts";
import { AuthStore } from "./auth-store.ts";
import { SimpleTokens } from "./simple-tokens.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const empty = bytes("");
const hash = "$2a$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
const hashedPassword = Buffer.from(hash).toString("base64");

let backend: MemoryBackend;
let store: AuthStore;
let logged: string[];

function open(): AuthStore {
  const tokens = new SimpleTokens({ ttlMs: 0, now: () => 0, randomBytes: (length) => new Uint8Array(length) });
  const info = (message: string, fields: object = {}): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  return AuthStore.open(backend, { tokens, hashPassword: (password) => `hash of ${password}`, info });
}

beforeEach(() => {
  backend = new MemoryBackend();
  logged = [];
  store = open();
});

function addUser(name: string, changes: object = {}): void {
  store.addUser({ name, password: "", options: undefined, hashedPassword, ...changes });
}

function grant(role: string, key: string, rangeEnd = "", permType: PermissionType = PermissionType.READWRITE): void {
  store.grantPermission({ name: role, perm: { permType, key: bytes(key), rangeEnd: bytes(rangeEnd) } });
}

/** root, and al who may write `k` and read all that begins with `p/`. */
function setUp(): void {
  addUser("root");
  store.grantRole({ user: "root", role: "root" });
  addUser("al");
  store.addRole("r");
  grant("r", "k", "", PermissionType.WRITE);
  grant("r", "p/", "p0", PermissionType.READ);
  store.grantRole({ user: "al", role: "r" });
  store.enable();
}

function reasonOf(action: () => void): string {
  try {
    action();
    return "ok";
  } catch (error) {
    if (error instanceof EtcdError) return error.reason;
    throw error;
  }
}

const caller = (username: string, revision = store.revision) => ({ username, revision });
const hex = (row: Uint8Array | undefined): string => Buffer.from(row ?? empty).toString("hex");

describe("rows", () => {
  test("a user without options is stored with empty ones, as Go stores it", () => {
    addUser("u");
    const password = Buffer.from(hash).toString("hex");
    expect(hex(backend.get(buckets.authUsers, bytes("u")))).toBe(`0a0175123c${password}2200`);
  });

  test("a user without password keeps none, whatever is sent", () => {
    addUser("u", { options: { noPassword: true } });
    expect(hex(backend.get(buckets.authUsers, bytes("u")))).toBe("0a017522020801");
    store.changePassword({ name: "u", password: "", hashedPassword });
    expect(hex(backend.get(buckets.authUsers, bytes("u")))).toBe("0a017522020801");
  });

  test("roles of a user are sorted by their bytes", () => {
    addUser("u", { hashedPassword: "" });
    for (const role of ["b", "\u{1f600}", "\uffee", "a"]) {
      store.addRole(role);
      store.grantRole({ user: "u", role });
    }
    expect(store.rolesOf("u")).toEqual(["a", "b", "\uffee", "\u{1f600}"]);
  });

  test("permissions of a role are sorted by key; the same range again changes its type only", () => {
    store.addRole("r");
    grant("r", "b");
    grant("r", "a", "c", PermissionType.READ);
    grant("r", "a", "c", PermissionType.WRITE);
    expect(store.permissionsOf("r").map(({ key, permType }) => [Buffer.from(key).toString(), permType])).toEqual([
      ["a", PermissionType.WRITE],
      ["b", PermissionType.READWRITE],
    ]);
  });

  test("a plain password, from a log of before 3.5, is hashed here", () => {
    addUser("u", { password: "p", hashedPassword: "" });
    store.addRole("root");
    addUser("root");
    store.grantRole({ user: "root", role: "root" });
    store.enable();
    expect(store.passwordOf("u")).toBe("hash of p");
  });

  test("what is no base64 is no hash", () => {
    expect(reasonOf(() => addUser("u", { hashedPassword: "!" }))).toBe("noPasswordUser");
    expect(store.userNames()).toEqual([]);
  });
});

describe("the auth revision", () => {
  test("is 1 in a new database, and is not written again", () => {
    expect(store.revision).toBe(1);
    expect(hex(backend.get(buckets.auth, bytes("authRevision")))).toBe("0000000000000001");
    expect(open().revision).toBe(1);
  });

  test("counts changes, not refusals, not enabling, not what was so already", () => {
    setUp();
    const { revision } = store;
    expect(revision).toBe(8);
    store.enable();
    store.grantRole({ user: "al", role: "r" });
    expect(reasonOf(() => addUser("al"))).toBe("userAlreadyExists");
    expect(reasonOf(() => store.deleteRole("none"))).toBe("roleNotFound");
    expect(store.revision).toBe(revision);
    store.disable();
    store.disable();
    expect(store.revision).toBe(revision + 1);
  });
});

describe("refusals", () => {
  test("switching on needs the user root with the role root", () => {
    expect(reasonOf(() => store.enable())).toBe("rootUserNotExist");
    addUser("root");
    expect(reasonOf(() => store.enable())).toBe("rootRoleNotExist");
    expect(store.isEnabled).toBe(false);
  });

  test("root stays root while authentication is on", () => {
    setUp();
    expect(reasonOf(() => store.deleteUser("root"))).toBe("invalidAuthManagement");
    expect(reasonOf(() => store.deleteRole("root"))).toBe("invalidAuthManagement");
    expect(reasonOf(() => store.revokeRole({ name: "root", role: "root" }))).toBe("invalidAuthManagement");
  });

  test.each([
    ["no user name", () => addUser(""), "userEmpty"],
    ["no role name", () => store.addRole(""), "roleEmpty"],
    ["a role twice", () => store.addRole("r"), "roleAlreadyExists"],
    ["a role that is not there", () => store.grantRole({ user: "al", role: "x" }), "roleNotFound"],
    ["a user that is not there", () => store.grantRole({ user: "x", role: "r" }), "userNotFound"],
    ["a role not held", () => store.revokeRole({ name: "al", role: "x" }), "roleNotGranted"],
    ["no permission", () => store.grantPermission({ name: "r", perm: undefined }), "permissionNotGiven"],
    ["a range without keys", () => grant("r", "b", "a"), "invalidAuthManagement"],
    ["no key", () => grant("r", "", "\0"), "invalidAuthManagement"],
    [
      "a permission not granted",
      () => store.revokePermission({ role: "r", key: bytes("k"), rangeEnd: bytes("l") }),
      "permissionNotGranted",
    ],
  ])("%s", (_what, action, reason) => {
    setUp();
    expect(reasonOf(action)).toBe(reason);
  });
});

describe("permissions", () => {
  const read = (who: ReturnType<typeof caller>, key: string, end = ""): string =>
    reasonOf(() => store.requireRead(who, bytes(key), bytes(end)));
  const write = (who: ReturnType<typeof caller>, key: string, end = ""): string =>
    reasonOf(() => store.requireWrite(who, bytes(key), bytes(end)));

  test("everything passes while authentication is off", () => {
    expect(read(caller("", 0), "k")).toBe("ok");
    expect(reasonOf(() => store.requireAdmin(caller("")))).toBe("ok");
  });

  test("are by kind and range, and root's are all", () => {
    setUp();
    expect([read(caller("al"), "k"), write(caller("al"), "k")]).toEqual(["permissionDenied", "ok"]);
    expect([read(caller("al"), "p/", "p0"), write(caller("al"), "p/x")]).toEqual(["ok", "permissionDenied"]);
    expect(read(caller("root"), "\0", "\0")).toBe("ok");
  });

  test("need credentials of the current revision, of a user that is there", () => {
    setUp();
    expect(read(caller("", 0), "k")).toBe("userEmpty");
    expect(read(caller("root", store.revision - 1), "k")).toBe("authOldRevision");
    expect(read(caller("nobody"), "k")).toBe("permissionDenied");
    expect(reasonOf(() => store.requireAdmin(caller("nobody")))).toBe("userNotFound");
    expect(reasonOf(() => store.requireAdmin(caller("al")))).toBe("permissionDenied");
  });

  test("change with the roles, at once", () => {
    setUp();
    expect(write(caller("al"), "k")).toBe("ok");
    store.deleteRole("r");
    expect(store.rolesOf("al")).toEqual([]);
    expect(write(caller("al"), "k")).toBe("permissionDenied");
  });

  test("a type without a name opens nothing", () => {
    setUp();
    grant("r", "x", "", 7 as never);
    expect([read(caller("al"), "x"), write(caller("al"), "x")]).toEqual(["permissionDenied", "permissionDenied"]);
  });

  test("are the same after reading the database again", () => {
    setUp();
    const again = open();
    expect([again.isEnabled, again.revision]).toEqual([true, store.revision]);
    again.requireWrite(caller("al"), bytes("k"), empty);
    again.disable();
    store.reload();
    expect([store.isEnabled, store.revision]).toEqual([false, again.revision]);
  });
});

describe("tokens", () => {
  const authenticate = (name: string): string => store.authenticate(name, { prefix: "p", index: 9, isProposer: true });

  test("belong to the user until its password changes, it goes, or authentication is off", () => {
    setUp();
    const token = authenticate("al");
    expect(token).toBe("p.9");
    expect(store.callerOf(token)).toEqual(caller("al"));
    store.changePassword({ name: "al", password: "", hashedPassword });
    expect(reasonOf(() => store.callerOf(token))).toBe("invalidAuthToken");
    authenticate("al");
    store.deleteUser("al");
    expect(reasonOf(() => store.callerOf(token))).toBe("invalidAuthToken");
    authenticate("root");
    store.disable();
    expect(reasonOf(() => store.callerOf(token))).toBe("invalidAuthToken");
    expect(reasonOf(() => authenticate("root"))).toBe("authNotEnabled");
  });

  test("a user without password gets none", () => {
    setUp();
    addUser("cn", { options: { noPassword: true } });
    expect(reasonOf(() => authenticate("cn"))).toBe("authFailed");
    expect(reasonOf(() => store.passwordOf("cn"))).toBe("noPasswordUser");
    expect(reasonOf(() => store.passwordOf("nobody"))).toBe("authFailed");
  });
});

test("no hash, password or key of a permission is logged", () => {
  setUp();
  store.changePassword({ name: "al", password: "", hashedPassword });
  expect(logged.join("\n")).not.toMatch(/\$2a|JDJh|p\/|hash/);
  expect(logged.length).toBeGreaterThan(5);
});

/** Users and roles as plain sets. */
class Model {
  readonly users = new Map<string, Set<string>>();
  readonly roles = new Set<string>();
  revision = 1;

  apply([what, user, role]: Step): void {
    const roles = this.users.get(user);
    if (what === "addUser" && roles === undefined) this.users.set(user, new Set());
    else if (what === "deleteUser" && roles !== undefined) this.users.delete(user);
    else if (what === "addRole" && !this.roles.has(role)) this.roles.add(role);
    else if (what === "deleteRole" && this.roles.delete(role))
      for (const held of this.users.values()) held.delete(role);
    else if (what === "grant" && roles !== undefined && this.roles.has(role) && !roles.has(role)) roles.add(role);
    else if (what !== "revoke" || roles?.delete(role) !== true) return;
    this.revision++;
  }
}

type Step = readonly ["addUser" | "deleteUser" | "addRole" | "deleteRole" | "grant" | "revoke", string, string];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("addUser", "deleteUser", "addRole", "deleteRole", "grant", "revoke"),
  fc.constantFrom("u1", "u2", "u3"),
  fc.constantFrom("r1", "r2", "r3"),
);

const actions: Readonly<Record<Step[0], (user: string, role: string) => void>> = {
  addUser: (user) => addUser(user),
  deleteUser: (user) => store.deleteUser(user),
  addRole: (_user, role) => store.addRole(role),
  deleteRole: (_user, role) => store.deleteRole(role),
  grant: (user, role) => store.grantRole({ user, role }),
  revoke: (user, role) => store.revokeRole({ name: user, role }),
};

test("any sequence of changes leaves what plain sets would hold, and another reading of the database sees the same", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      backend = new MemoryBackend();
      store = open();
      const model = new Model();
      for (const one of steps) {
        reasonOf(() => actions[one[0]](one[1], one[2]));
        model.apply(one);
      }
      for (const each of [store, open()]) {
        expect(each.revision).toBe(model.revision);
        expect(each.roleNames()).toEqual([...model.roles].sort());
        expect(each.userNames()).toEqual([...model.users.keys()].sort());
        for (const [user, roles] of model.users) expect(each.rolesOf(user)).toEqual([...roles].sort());
      }
    }),
  );
});
