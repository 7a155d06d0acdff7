/**
 * Ways around users and roles, tried over real sockets: by gRPC and by the JSON gateway, which have different doors to the
 * same handlers. `src/server/services/permissions.test.ts` tries more of them, one layer below.
 *
 * ann may read and write `ann/…`, write `drop`, and read the one key `single`. The rest is root's.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { Permission_Type } from "../../src/wire/gen/authpb/auth.ts";
import { AuthRoleGrantPermissionRequest, TxnRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, connect, get, put, withClient } from "../support/client.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { calls, opening, sayAndListen } from "../process/raw-grpc.ts";
import { removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

const root = { user: "root", password: "root" };
const annCredentials = { user: "ann", password: "ann" };
const options = { timeoutMs: 60_000 };
const denied = "etcdserver: permission denied";
const noUser = "etcdserver: user name is empty";
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const lease = "7777";

let folder: string;
let server: ServerProcess;
let ann: Client;
let admin: Client;
let annToken: string;
let revision: number;

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: `${folder}/data`, args: ["--bcrypt-cost=4"] });
  await withClient(server.endpoint, async (client) => {
    for (const name of ["root", "ann"]) await client.call(methods.userAdd, { name, password: name }, options);
    await client.call(methods.userGrantRole, { user: "root", role: "root" }, options);
    await client.call(methods.roleAdd, { name: "ann" }, options);
    const { READ, WRITE, READWRITE } = Permission_Type;
    for (const [key, rangeEnd, permType] of [
      ["ann/", "ann0", READWRITE],
      ["drop", "", WRITE],
      ["single", "", READ],
    ] as const) {
      const perm = { permType, key: bytes(key), rangeEnd: bytes(rangeEnd) };
      await client.call(
        methods.roleGrantPermission,
        AuthRoleGrantPermissionRequest.create({ name: "ann", perm }),
        options,
      );
    }
    await client.call(methods.userGrantRole, { user: "ann", role: "ann" }, options);
    await put(client, "secret", "for root");
    await put(client, "drop", "dropped");
    await put(client, "single", "one");
    await put(client, "single2", "not for ann");
    await client.call(methods.leaseGrant, { ID: BigInt(lease), TTL: 10_000n }, options);
    await put(client, "leased", "for root", BigInt(lease));
    await client.call(methods.authEnable, {}, options);
  });
  ann = connect(server.endpoint, annCredentials);
  admin = connect(server.endpoint, root);
  annToken = await token("ann");
});

beforeEach(async () => {
  revision = Number((await admin.call(methods.range, { key: bytes("secret") }, options)).header?.revision);
});

afterAll(async () => {
  ann.close();
  admin.close();
  await server.stop();
  removeFolder(folder);
});

async function token(name: string): Promise<string> {
  return ((await post("auth/authenticate", { name, password: name })) as { token: string }).token;
}

async function post(path: string, body: object, authorization?: string): Promise<object> {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  const response = await fetch(`${server.endpoint}/v3/${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  return JSON.parse(await firstLine(response)) as object;
}

/** Streams go on for ever: their first message is enough. */
async function firstLine(response: Response): Promise<string> {
  let text = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? "";
    if (done || text.includes("\n")) break;
  }
  await reader.cancel();
  return text.split("\n")[0];
}

async function nothingChanged(): Promise<void> {
  const now = await admin.call(methods.range, { key: bytes("secret") }, options);
  expect(Number(now.header?.revision)).toBe(revision);
  expect(await get(admin, "secret")).toBe("for root");
}

const requestPut = (key: string, more: object = {}): object => ({
  requestPut: { key: base64(key), value: base64("x"), ...more },
});
const requestRange = (key: string, more: object = {}): object => ({ requestRange: { key: base64(key), ...more } });
const nested = (op: object, depth: number): object =>
  depth === 0 ? op : { requestTxn: { success: [nested(op, depth - 1)] } };

describe("transactions, by the gateway", () => {
  test.each<[string, object]>([
    ["a put inside a nested transaction (CVE-2026-33343)", { success: [nested(requestPut("secret"), 1)] }],
    ["the same, ten deep", { success: [nested(requestPut("secret"), 10)] }],
    ["in the branch that is not taken", { failure: [nested(requestPut("secret"), 2)] }],
    ["a range inside a nested transaction", { success: [nested(requestRange("secret"), 1)] }],
    [
      "a compare inside a nested transaction",
      { success: [{ requestTxn: { compare: [{ key: base64("secret"), target: "VALUE", value: base64("a") }] } }] },
    ],
    ["a guess at a value by compares", { compare: [{ key: base64("secret"), target: "VALUE", value: base64("a") }] }],
    [
      "a delete inside a nested transaction",
      { success: [nested({ requestDeleteRange: { key: base64("secret") } }, 1)] },
    ],
    ["the former value of a put (CVE-2026-44283)", { success: [requestPut("drop", { prevKv: true })] }],
    ["the former value of a nested put", { success: [nested(requestPut("drop", { prevKv: true }), 3)] }],
    ["the former value of a delete", { success: [{ requestDeleteRange: { key: base64("drop"), prevKv: true } }] }],
    ["a lease with keys of others (CVE-2026-44283)", { success: [requestPut("ann/1", { lease })] }],
    ["a lease with keys of others, nested", { success: [nested(requestPut("ann/1", { lease }), 2)] }],
    ["a range that begins within what is permitted", { success: [requestRange("ann/", { rangeEnd: base64("z") })] }],
    ["a range to the end of the keys", { success: [requestRange("single", { rangeEnd: "AA==" })] }],
  ])("%s is refused", async (_what, txn) => {
    expect(await post("kv/txn", txn, annToken)).toMatchObject({ message: denied, code: 7 });
    await nothingChanged();
  });

  test("a transaction of more operations than allowed is refused, nested ones counted together", async () => {
    const many = (count: number): object[] => Array.from({ length: count }, () => requestPut("ann/1"));
    const tooMany = { message: "etcdserver: too many operations in txn request", code: 3 };
    expect(await post("kv/txn", { success: many(129) }, annToken)).toMatchObject(tooMany);
    expect(await post("kv/txn", { success: [{ requestTxn: { success: many(128) } }] }, annToken)).toMatchObject(
      tooMany,
    );
    expect(await post("kv/txn", { success: [nested(requestPut("ann/1"), 600)] }, annToken)).toMatchObject({ code: 3 });
    await nothingChanged();
  });
});

describe("the same holes, by gRPC", () => {
  test.each<[string, object]>([
    ["nested put", { success: [{ requestTxn: { success: [{ requestPut: { key: bytes("secret") } }] } }] }],
    ["former value", { success: [{ requestPut: { key: bytes("drop"), prevKv: true } }] }],
    ["lease", { success: [{ requestPut: { key: bytes("ann/1"), lease: BigInt(lease) } }] }],
    ["nested range", { failure: [{ requestTxn: { failure: [{ requestRange: { key: bytes("secret") } }] } }] }],
  ])("%s in a transaction is refused", async (_what, txn) => {
    await expect(ann.call(methods.txn, TxnRequest.fromPartial(txn), options)).rejects.toThrow(denied);
    await nothingChanged();
  });
});

describe("watches", () => {
  test.each([
    ["from the one permitted key to the end of all (GHSA-xg4h-6gfc-h4m8)", "single", "AA=="],
    ["from the one permitted key on", "single", base64("single3")],
    ["everything", "", "AA=="],
    ["another key", "secret", ""],
  ])("%s: cancelled before the first event", async (_what, key, rangeEnd) => {
    const create = { create_request: { key: base64(key), range_end: rangeEnd, start_revision: "1" } };
    expect(await post("watch", create, annToken)).toMatchObject({
      result: {
        canceled: true,
        created: true,
        watch_id: "-1",
        cancel_reason: expect.stringContaining(denied) as string,
      },
    });
    expect(await post("watch", create)).toMatchObject({
      result: { canceled: true, cancel_reason: expect.stringContaining(noUser) as string },
    });
  });

  test("the one permitted key is watched", async () => {
    const create = { create_request: { key: base64("single"), start_revision: "1" } };
    expect(await post("watch", create, annToken)).toMatchObject({ result: { created: true } });
  });
});

describe("leases", () => {
  test("the keys of a lease are for who may read them, as is the list of leases (PR 15814)", async () => {
    const keys = { ID: lease, keys: true };
    expect(await post("lease/timetolive", keys, annToken)).toMatchObject({ message: denied });
    expect(await post("kv/lease/timetolive", keys, annToken)).toMatchObject({ message: denied });
    expect(await post("lease/timetolive", keys)).toMatchObject({ message: noUser });
    expect(await post("lease/timetolive", { ID: lease }, annToken)).toMatchObject({ grantedTTL: "10000" });
    expect(await post("lease/leases", {}, annToken)).toMatchObject({ message: denied });
    expect(await post("lease/leases", {})).toMatchObject({ message: noUser });
  });

  test("revoking or renewing a lease with keys of others is refused", async () => {
    for (const path of ["lease/revoke", "kv/lease/revoke"]) {
      expect(await post(path, { ID: lease }, annToken)).toMatchObject({ message: denied });
      expect(await post(path, { ID: lease })).toMatchObject({ message: noUser });
    }
    expect(await post("lease/keepalive", { ID: lease }, annToken)).toMatchObject({ error: { message: denied } });
    await nothingChanged();
  });
});

describe("calls that nobody signed for (CVE-2026-33413)", () => {
  const forRoot: [string, object][] = [
    ["maintenance/defragment", {}],
    ["maintenance/hash", {}],
    ["maintenance/hashkv", {}],
    ["maintenance/transfer-leadership", { targetID: "1" }],
    ["maintenance/downgrade", { action: "VALIDATE", version: "3.5.0" }],
    ["maintenance/alarm", { action: "ACTIVATE", memberID: "1", alarm: "NOSPACE" }],
    ["maintenance/alarm", { action: "DEACTIVATE", memberID: "1", alarm: "NOSPACE" }],
    ["kv/compaction", { revision: "2" }],
    ["cluster/member/add", { peerURLs: ["http://127.0.0.1:1"] }],
    ["cluster/member/remove", { ID: "1" }],
    ["cluster/member/update", { ID: "1", peerURLs: ["http://127.0.0.1:1"] }],
    ["cluster/member/promote", { ID: "1" }],
    ["auth/disable", {}],
    ["auth/user/add", { name: "eve", options: { no_password: true } }],
    ["auth/user/delete", { name: "root" }],
    ["auth/user/changepw", { name: "root", password: "mine" }],
    ["auth/user/grant", { user: "ann", role: "root" }],
    ["auth/user/list", {}],
    ["auth/user/get", { name: "root" }],
    ["auth/role/add", { role: "eve" }],
    ["auth/role/list", {}],
    ["auth/role/grant", { name: "ann", perm: { permType: "READWRITE", key: "AA==", range_end: "AA==" } }],
  ];

  test.each(forRoot)("%s %j is root's", async (path, body) => {
    expect(await post(path, body)).toMatchObject({ message: noUser });
    expect(await post(path, body, "forged.1")).toMatchObject({ message: "etcdserver: invalid auth token", code: 16 });
    expect(await post(path, body, annToken)).toMatchObject({ message: denied });
    await nothingChanged();
  });

  test("a snapshot, which holds everything, is root's", async () => {
    expect(await post("maintenance/snapshot", {})).toMatchObject({ error: { message: noUser } });
    expect(await post("maintenance/snapshot", {}, annToken)).toMatchObject({ error: { message: denied } });
    expect(await post("maintenance/snapshot", {}, await token("root"))).toHaveProperty("result");
  });

  test.each([
    ["maintenance/status", {}],
    ["maintenance/alarm", { action: "GET" }],
    ["cluster/member/list", {}],
    ["lease/grant", { TTL: "60" }],
  ])("%s is for anybody known, and for nobody else", async (path, body) => {
    expect(await post(path, body)).toMatchObject({ message: noUser });
    expect(await post(path, body, annToken)).toHaveProperty("header");
  });

  test("a lock or an election without credentials leaves nothing behind", async () => {
    expect(await post("lock/lock", { name: base64("ann/lock") })).toMatchObject({ message: noUser });
    expect(await post("lock/lock", { name: base64("secret") }, annToken)).toMatchObject({ message: denied });
    expect(await post("election/campaign", { name: base64("secret"), value: "eA==" }, annToken)).toMatchObject({
      message: denied,
    });
    await nothingChanged();
  });

  test("what the gateway must not pass on as metadata of its own does not make anybody root", async () => {
    const response = await fetch(`${server.endpoint}/v3/kv/range`, {
      method: "POST",
      headers: { "grpc-metadata-token": annToken, "grpc-metadata-authorization": "root", username: "root" },
      body: JSON.stringify({ key: base64("secret") }),
    });
    expect(await response.json()).toMatchObject({ code: expect.toBeOneOf([7, 3, 16]) as number });
  });

  test.each([
    "etcdserverpb.KV/Range",
    "//etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Range/",
    "/etcdserverpb.kv/range",
    "/./etcdserverpb.KV/Range",
  ])("a path that is nearly one, %s, reaches no handler and no rule for it (CVE-2026-33186)", async (path) => {
    const body = Uint8Array.of(10, 6, ...Buffer.from("secret"));
    const said = Buffer.concat([opening, calls({ id: 1, path, body })]);
    const heard = await sayAndListen(server.port, said, (frames) => frames.some(({ id }) => id === 1));
    expect(heard.filter(({ type, id }) => type === FrameType.data && id === 1)).toEqual([]);
    expect(Buffer.concat(heard.map(({ payload }) => payload)).toString("latin1")).not.toContain("for root");
  });
});
