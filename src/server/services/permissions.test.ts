/**
 * What each user may do, asked over gRPC; above all the holes that etcd has had: each test here is an attack that worked
 * on some etcd, and must not work here.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { call, ServiceMember, TypedStream } from "../../../test/support/service-member.ts";
import { type Method, methods } from "../../client/methods.ts";
import type { GrpcClient } from "../../grpc/client.ts";
import { GrpcError } from "../../grpc/status.ts";
import { Permission_Type as PermissionType } from "../../wire/gen/authpb/auth.ts";
import { InternalAuthenticateRequest } from "../../wire/gen/etcdserverpb/raft_internal.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import * as election from "../../wire/gen/v3electionpb/v3election.ts";
import * as lock from "../../wire/gen/v3lockpb/v3lock.ts";
import type { RequestKind } from "../../wire/hot/raft-request.ts";
import type { ApplyResult } from "../apply/result.ts";
import { permissionFor } from "./method-permissions.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const hashedPassword = Buffer.from("no hash at all").toString("base64");

let running: ServiceMember;
let client: GrpcClient;
/** User → metadata with its token. */
let as: Record<"root" | "al" | "bo" | "stranger" | "nobody", { metadata: Record<string, string> }>;

/** al: reads and writes `al/`, writes `drop`; bo: reads the single key `bo`. */
beforeEach(async () => {
  running = await ServiceMember.start();
  ({ client } = running.connect());
  await allow("root", "root");
  await allow("al", "al", ["al/", "al0", PermissionType.READWRITE], ["drop", "", PermissionType.WRITE]);
  await allow("bo", "bo", ["bo", "", PermissionType.READ]);
  await apply("put", rpc.PutRequest.encode({ ...noPut, key: bytes("secret"), value: bytes("s") }).finish());
  await apply("put", rpc.PutRequest.encode({ ...noPut, key: bytes("drop"), value: bytes("d") }).finish());
  await apply("leaseGrant", rpc.LeaseGrantRequest.encode({ ID: 7n, TTL: 1000n }).finish());
  await apply("put", rpc.PutRequest.encode({ ...noPut, key: bytes("leased"), lease: 7n }).finish());
  await apply("authEnable", new Uint8Array(0));
  as = {
    root: await authenticate("root"),
    al: await authenticate("al"),
    bo: await authenticate("bo"),
    stranger: { metadata: { token: "aaaaaaaaaaaaaaaa.1" } },
    nobody: { metadata: {} },
  };
});

afterEach(() => running.run(running.member.stop()));

const noPut = { value: bytes(""), lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };

function apply(kind: RequestKind, request: Uint8Array): Promise<ApplyResult> {
  const applied = new Promise<ApplyResult>((resolve, reject) => {
    running.member.propose(kind, request, (error, result) => (error === undefined ? resolve(result!) : reject(error)));
  });
  return running.run(applied);
}

async function allow(
  name: string,
  role: string,
  ...granted: (readonly [string, string, PermissionType])[]
): Promise<void> {
  const user = { name, password: "", options: undefined, hashedPassword };
  await apply("authUserAdd", rpc.AuthUserAddRequest.encode(user).finish());
  await apply("authRoleAdd", rpc.AuthRoleAddRequest.encode({ name: role }).finish());
  await apply("authUserGrantRole", rpc.AuthUserGrantRoleRequest.encode({ user: name, role }).finish());
  for (const [key, rangeEnd, permType] of granted) {
    const perm = { permType, key: bytes(key), rangeEnd: bytes(rangeEnd) };
    await apply("authRoleGrantPermission", rpc.AuthRoleGrantPermissionRequest.encode({ name: role, perm }).finish());
  }
}

async function authenticate(name: string): Promise<{ metadata: Record<string, string> }> {
  const request = { name, password: "", simpleToken: "abcdefghijklmnop" };
  const result = await apply("authenticate", InternalAuthenticateRequest.encode(request).finish());
  return { metadata: { token: result.kind === "authenticate" ? result.token : "" } };
}

type Who = keyof typeof as;

/** The answer, or the text of the refusal. */
async function ask<Request extends object, Response>(
  who: Who,
  method: Method<Request, Response>,
  fields: object = {},
): Promise<Response | string> {
  try {
    return await running.run(call(client, method, fields, as[who]));
  } catch (error) {
    if (error instanceof GrpcError) return error.message;
    throw error;
  }
}

const denied = "etcdserver: permission denied";
const noUser = "etcdserver: user name is empty";
const badToken = "etcdserver: invalid auth token";
const current = (): number => running.member.store.currentRevision;

const put = (key: string, changes: object = {}): object => ({ key: bytes(key), value: bytes("v"), ...changes });
const toTheEnd = { rangeEnd: bytes("\0") };

describe("holes of etcd", () => {
  test("a transaction inside a transaction is looked into, both branches of it", async () => {
    const { requestPut } = { requestPut: put("secret") };
    const inner = { success: [{ requestPut }] };
    expect(await ask("al", methods.txn, { success: [{ requestTxn: inner }] })).toBe(denied);
    expect(await ask("al", methods.txn, { failure: [{ requestTxn: { failure: [{ requestPut }] } }] })).toBe(denied);
    const compare = [{ key: bytes("secret"), target: 3, value: bytes("s") }];
    expect(await ask("al", methods.txn, { success: [{ requestTxn: { compare } }] })).toBe(denied);
    const range = { requestRange: { key: bytes("secret") } };
    expect(await ask("al", methods.txn, { success: [{ requestTxn: { success: [range] } }] })).toBe(denied);
  });

  test("compares need read permission, whether they hold or not", async () => {
    const compare = (text: string): object[] => [{ key: bytes("secret"), target: 3, value: bytes(text) }];
    expect(await ask("al", methods.txn, { compare: compare("s") })).toBe(denied);
    expect(await ask("al", methods.txn, { compare: compare("x") })).toBe(denied);
    expect(await ask("al", methods.txn, { compare: [{ key: bytes("\0"), ...toTheEnd }] })).toBe(denied);
  });

  test("the former value is for who may read the key, also in transactions and deletes", async () => {
    expect(await ask("al", methods.put, put("drop", { prevKv: true }))).toBe(denied);
    expect(await ask("al", methods.txn, { success: [{ requestPut: put("drop", { prevKv: true }) }] })).toBe(denied);
    const remove = { key: bytes("drop"), prevKv: true };
    expect(await ask("al", methods.deleteRange, remove)).toBe(denied);
    expect(await ask("al", methods.txn, { success: [{ requestDeleteRange: remove }] })).toBe(denied);
    expect(await ask("al", methods.put, put("drop"))).toMatchObject({ prevKv: undefined });
  });

  test("a lease with a key of others takes no further key, and can neither be revoked nor kept alive", async () => {
    expect(await ask("al", methods.put, put("al/1", { lease: 7n }))).toBe(denied);
    expect(await ask("al", methods.txn, { success: [{ requestPut: put("al/1", { lease: 7n }) }] })).toBe(denied);
    expect(await ask("al", methods.leaseRevoke, { ID: 7n })).toBe(denied);
    const stream = new TypedStream(client, methods.leaseKeepAlive, as.al);
    stream.send({ ID: 7n });
    await expect(running.run(stream.next())).rejects.toThrow(denied);
    expect(running.member.lessor.keysOf(7n).map((key) => Buffer.from(key).toString())).toEqual(["leased"]);
  });

  test("the keys of a lease are told only to who may read them all", async () => {
    expect(await ask("al", methods.leaseTimeToLive, { ID: 7n, keys: true })).toBe(denied);
    expect(await ask("al", methods.leaseTimeToLive, { ID: 7n })).toMatchObject({ grantedTTL: 1000n, keys: [] });
    expect(await ask("nobody", methods.leaseTimeToLive, { ID: 7n })).toBe(noUser);
    expect(await ask("al", methods.leaseList)).toBe(denied);
    expect(await ask("root", methods.leaseTimeToLive, { ID: 7n, keys: true })).toMatchObject({
      keys: [new Uint8Array(bytes("leased"))],
    });
  });

  test.each([
    ["to the end of the keys", "bo", "\0"],
    ["beyond the key", "bo", "c"],
    ["everything", "\0", "\0"],
    ["everything, with no key at all", "", "\0"],
    ["another key", "secret", ""],
  ])("a permission on one key gives no watch on more: %s", async (_what, key, end) => {
    const stream = new TypedStream(client, methods.watch, as.bo);
    stream.send({ createRequest: { key: bytes(key), rangeEnd: bytes(end) } });
    expect(await running.run(stream.next())).toMatchObject({
      watchId: -1n,
      created: true,
      canceled: true,
      cancelReason: `rpc error: code = PermissionDenied desc = ${denied}`,
    });
    stream.send({ createRequest: { key: bytes("bo") } });
    expect(await running.run(stream.next())).toMatchObject({ created: true, canceled: false });
    stream.stream.cancel();
  });

  test("a watch without credentials, or with bad ones, is cancelled with etcd's words", async () => {
    for (const [who, reason] of [
      ["nobody", `rpc error: code = InvalidArgument desc = ${noUser}`],
      ["stranger", `rpc error: code = Unauthenticated desc = ${badToken}`],
    ] as const) {
      const stream = new TypedStream(client, methods.watch, as[who]);
      stream.send({ createRequest: { key: bytes("bo") } });
      expect(await running.run(stream.next())).toMatchObject({ canceled: true, cancelReason: reason });
      stream.stream.cancel();
    }
  });

  const forAdmins = [
    ["defragment", methods.defragment],
    ["hash of keys", methods.hashKv],
    ["moving the leader", methods.moveLeader],
    ["downgrade", methods.downgrade],
    ["disarming alarms", methods.alarm, { action: 2, memberID: 1n, alarm: 1 }],
    ["raising alarms", methods.alarm, { action: 1, memberID: 1n, alarm: 1 }],
    ["compaction", methods.compact, { revision: 2n }],
    ["adding a member", methods.memberAdd, { peerURLs: ["http://127.0.0.1:1"] }],
    ["removing a member", methods.memberRemove],
    ["changing a member", methods.memberUpdate],
    ["promoting a member", methods.memberPromote],
    ["adding a user", methods.userAdd, { name: "x", options: { noPassword: true } }],
    ["switching authentication off", methods.authDisable],
    ["listing users", methods.userList],
    ["another user's roles", methods.userGet, { name: "root" }],
    ["another's role", methods.roleGet, { role: "bo" }],
    ["granting oneself a role", methods.userGrantRole, { user: "al", role: "root" }],
  ] as unknown as [string, Method<object, unknown>, object | undefined][];

  test.each(forAdmins)("%s is for root alone", async (_what, method, fields = {}) => {
    const before = current();
    expect(await ask("nobody", method, fields)).toBe(noUser);
    expect(await ask("stranger", method, fields)).toBe(badToken);
    expect(await ask("al", method, fields)).toBe(denied);
    expect(current()).toBe(before);
    expect(running.member.alarms.list()).toEqual([]);
  });

  test("a snapshot is for root alone", async () => {
    for (const [who, text] of [
      ["nobody", noUser],
      ["stranger", badToken],
      ["al", denied],
    ] as const) {
      const stream = new TypedStream(client, methods.snapshot, as[who]);
      stream.send({});
      stream.stream.halfClose();
      await expect(running.run(stream.next())).rejects.toThrow(text);
    }
  });

  test.each([
    ["status", methods.status],
    ["the list of alarms", methods.alarm],
    ["the list of members", methods.memberList],
    ["a lease", methods.leaseGrant],
  ] as unknown as [string, Method<object, unknown>][])("%s is for anybody known", async (_what, method) => {
    expect(await ask("nobody", method, { TTL: 10n })).toBe(noUser);
    expect(await ask("stranger", method, { TTL: 10n })).toBe(badToken);
    expect(await ask("al", method, { TTL: 10n })).toBeTypeOf("object");
  });

  test("a transaction may not cost more than etcd allows, nested ones together", async () => {
    const op = { requestRange: { key: bytes("al/1") } };
    const tooMany = "etcdserver: too many operations in txn request";
    expect(await ask("al", methods.txn, { success: Array.from({ length: 129 }, () => op) })).toBe(tooMany);
    const inner = { success: Array.from({ length: 128 }, () => op) };
    expect(await ask("al", methods.txn, { success: [{ requestTxn: inner }] })).toBe(tooMany);
  });

  test("a range at the top of a transaction that is not permitted keeps its writes away, from the log as well", async () => {
    const ops = [{ requestRange: { key: bytes("secret") } }, { requestPut: put("al/1") }];
    const { commitIndex } = running.member.raft;
    const before = current();
    expect(await ask("al", methods.txn, { success: ops })).toBe(denied);
    expect([current(), running.member.raft.commitIndex]).toEqual([before, commitIndex]);
  });

  test("locks and elections are held in the name of the caller", async () => {
    const lockMethod = { path: "/v3lockpb.Lock/Lock", request: lock.LockRequest, response: lock.LockResponse } as never;
    const unlockMethod = {
      path: "/v3lockpb.Lock/Unlock",
      request: lock.UnlockRequest,
      response: lock.UnlockResponse,
    } as never;
    const leader = {
      path: "/v3electionpb.Election/Leader",
      request: election.LeaderRequest,
      response: election.LeaderResponse,
    } as never;
    expect(await ask("nobody", lockMethod, { name: bytes("al") })).toBe(noUser);
    expect(await ask("al", lockMethod, { name: bytes("secret") })).toBe(denied);
    expect(await ask("al", unlockMethod, { key: bytes("secret") })).toBe(denied);
    expect(await ask("bo", leader, { name: bytes("al") })).toBe(denied);
    expect(await ask("al", lockMethod, { name: bytes("al") })).toBeTypeOf("object");
  });
});

test("a method that the table does not name is for admins", () => {
  expect(permissionFor("/etcdserverpb.Maintenance/Unheard")).toBe("admin");
});

test("what is permitted is served", async () => {
  expect(await ask("al", methods.put, put("al/1", { prevKv: true }))).toBeTypeOf("object");
  expect(await ask("al", methods.range, { key: bytes("al/"), rangeEnd: bytes("al0") })).toMatchObject({ count: 1n });
  expect(await ask("al", methods.range, { key: bytes("al/"), ...toTheEnd })).toBe(denied);
  expect(await ask("bo", methods.range, { key: bytes("bo"), serializable: true })).toMatchObject({ count: 0n });
  expect(await ask("bo", methods.range, { key: bytes("bo\0"), serializable: true })).toBe(denied);
  expect(await ask("al", methods.roleGet, { role: "al" })).toBeTypeOf("object");
  expect(await ask("al", methods.userGet, { name: "al" })).toMatchObject({ roles: ["al"] });
  expect(await ask("root", methods.range, { key: bytes("\0"), ...toTheEnd })).toMatchObject({ count: 4n });
});

test("a token may stand in `authorization`, behind one `Bearer`", async () => {
  const { token } = as.al.metadata;
  as.nobody = { metadata: { authorization: token } };
  expect(await ask("nobody", methods.put, put("al/1"))).toBeTypeOf("object");
  as.nobody = { metadata: { authorization: `Bearer ${token}` } };
  expect(await ask("nobody", methods.put, put("al/1"))).toBeTypeOf("object");
  as.nobody = { metadata: { authorization: `Bearer Bearer ${token}` } };
  expect(await ask("nobody", methods.put, put("al/1"))).toBe(badToken);
});

test("leases that run out are revoked whoever made them", async () => {
  await apply("leaseGrant", rpc.LeaseGrantRequest.encode({ ID: 8n, TTL: 1n }).finish());
  expect(await ask("al", methods.put, put("al/leased", { lease: 8n }))).toBeTypeOf("object");
  const gone = new Promise<void>((resolve) => {
    const look = (): void => {
      if (running.member.lessor.lookup(8n) === undefined) resolve();
      else running.platform.clock.setTimer(look, 100);
    };
    look();
  });
  await running.run(gone);
  expect(running.member.store.keyValueAt(bytes("al/leased"), current())).toBeUndefined();
});
