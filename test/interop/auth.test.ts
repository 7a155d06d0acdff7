/**
 * Users and roles beside Go's etcd: the same requests, generated from a seed, go to both; every answer, the rows of users
 * and roles, and HashKV must be the same. Then each starts on the other's directory.
 *
 * Rows hold bcrypt texts with a random salt, so passwords are set as ready-made hashes, which both store as they come.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Method, methods } from "../../src/client/methods.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { patienceMs, program, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { checkUsersInCluster } from "../support/auth-cluster.ts";
import { TestCluster } from "../support/cluster.ts";
import { call } from "../support/service-member.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

const platform = createNodePlatform({ log: createStderrLogger("fatal") });
const args = ["--bcrypt-cost=4"];
const seed = 20;

/** A request of a kind, its fields, and whose it is; undefined: nobody's. */
type Ask = readonly [what: keyof typeof methods, fields: object, caller?: string | undefined];

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const name = fc.constantFrom("a", "ab", "b", "ba", "c");
const rangeEnd = fc.oneof(name, fc.constantFrom("", "\0", "d"));
// With its end before its key a range holds nothing; whether etcd permits it depends on the shape of its tree.
const range = fc
  .tuple(name, rangeEnd)
  .filter(([key, end]) => end === "" || end === "\0" || end >= key)
  .map(([key, end]) => ({ key: bytes(key), rangeEnd: bytes(end) }));
const role = fc.constantFrom("r1", "r2", "r3", "root");
const user = fc.constantFrom("u1", "u2", "u3", "u4");
const hashedPassword = Buffer.from(`$2a$04$${"a".repeat(53)}`).toString("base64");

const change: fc.Arbitrary<Ask> = fc.oneof(
  user.map((one): Ask => ["userAdd", { name: one, options: { noPassword: true } }]),
  user.map((one): Ask => ["userChangePassword", { name: one, hashedPassword }]),
  user.map((one): Ask => ["userDelete", { name: one }]),
  fc.tuple(user, role).map(([one, held]): Ask => ["userGrantRole", { user: one, role: held }]),
  fc.tuple(user, role).map(([one, held]): Ask => ["userRevokeRole", { name: one, role: held }]),
  role.map((one): Ask => ["roleAdd", { name: one }]),
  role.map((one): Ask => ["roleDelete", { role: one }]),
  fc.tuple(role, range).map(([one, keys]): Ask => ["roleRevokePermission", { role: one, ...keys }]),
  {
    weight: 8,
    arbitrary: fc
      .tuple(role, range, fc.constantFrom(0, 1, 2))
      .map(([one, keys, permType]): Ask => ["roleGrantPermission", { name: one, perm: { permType, ...keys } }]),
  },
  role.map((one): Ask => ["roleGet", { role: one }]),
  user.map((one): Ask => ["userGet", { name: one }]),
);

/** Users with roles that overlap, touch and leave gaps. */
const setUp: readonly Ask[] = [
  ["userAdd", { name: "root", password: "pw" }],
  ["roleAdd", { name: "root" }],
  ["userGrantRole", { user: "root", role: "root" }],
  ["userAdd", { name: "al", password: "pw" }],
  ["userAdd", { name: "bo", password: "pw" }],
  ["roleAdd", { name: "s1" }],
  ["roleAdd", { name: "s2" }],
  ["roleGrantPermission", { name: "s1", perm: { permType: 2, key: bytes("a"), rangeEnd: bytes("b") } }],
  ["roleGrantPermission", { name: "s1", perm: { permType: 0, key: bytes("b"), rangeEnd: bytes("c") } }],
  ["roleGrantPermission", { name: "s2", perm: { permType: 1, key: bytes("b"), rangeEnd: bytes("ba") } }],
  ["roleGrantPermission", { name: "s2", perm: { permType: 2, key: bytes("c"), rangeEnd: bytes("\0") } }],
  ["roleGrantPermission", { name: "s2", perm: { permType: 2, key: bytes("ab"), rangeEnd: bytes("") } }],
  ["userGrantRole", { user: "al", role: "s1" }],
  ["userGrantRole", { user: "al", role: "s2" }],
  ["userGrantRole", { user: "bo", role: "s2" }],
  ["authEnable", {}],
];

const op = fc.oneof(
  range.map((keys) => ({ requestRange: keys })),
  fc.tuple(name, fc.boolean(), fc.constantFrom(0n, 7n)).map(([key, prevKv, lease]) => ({
    requestPut: { key: bytes(key), value: bytes("v"), prevKv, lease },
  })),
  fc.tuple(range, fc.boolean()).map(([keys, prevKv]) => ({ requestDeleteRange: { ...keys, prevKv } })),
);
const compare = range.map((keys) => ({ ...keys, target: 0, version: 0n }));
const txn = fc.record({
  compare: fc.array(compare, { maxLength: 2 }),
  success: fc.array(op, { maxLength: 2 }),
  failure: fc.array(op, { maxLength: 2 }),
});
const who = fc.constantFrom("al", "bo", "root", undefined);

const use: fc.Arbitrary<Ask> = fc.oneof(
  fc.tuple(range, who).map(([keys, caller]): Ask => ["range", keys, caller]),
  fc.tuple(range, who, fc.boolean()).map(([keys, caller, prevKv]): Ask => ["deleteRange", { ...keys, prevKv }, caller]),
  fc
    .tuple(name, who, fc.boolean(), fc.constantFrom(0n, 7n))
    .map(([key, caller, prevKv, lease]): Ask => ["put", { key: bytes(key), value: bytes("v"), prevKv, lease }, caller]),
  fc.tuple(txn, who).map(([request, caller]): Ask => ["txn", request, caller]),
  fc.tuple(txn, who).map(([inner, caller]): Ask => ["txn", { success: [{ requestTxn: inner }] }, caller]),
  who.map((caller): Ask => ["leaseTimeToLive", { ID: 7n, keys: true }, caller]),
  who.map((caller): Ask => ["leaseList", {}, caller]),
  who.map((caller): Ask => ["userList", {}, caller]),
);

let folder: string;
const running: ServerProcess[] = [];

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  for (const server of running.splice(0)) await server.kill();
  removeFolder(folder);
});

interface Side {
  readonly server: ServerProcess;
  readonly client: GrpcClient;
  readonly tokens: Map<string, string>;
}

async function start(command: string, directory: string): Promise<Side> {
  const server = await ServerProcess.start({ command, dataDir: `${folder}/${directory}`, args });
  running.push(server);
  const connection = await platform.network.connect({ host: "127.0.0.1", port: server.port });
  const client = new GrpcClient(connection, { clock: platform.clock, authority: "127.0.0.1" });
  return { server, client, tokens: new Map() };
}

async function stop({ server, client }: Side): Promise<void> {
  client.close();
  await server.stop();
}

/** The answer without what differs between any two servers, or the refusal. */
async function answer({ client, tokens }: Side, [what, fields, caller]: Ask): Promise<unknown> {
  const token = caller === undefined ? undefined : tokens.get(caller);
  const options = { timeoutMs: patienceMs, ...(token === undefined ? {} : { metadata: { token } }) };
  try {
    const response = await call(client, methods[what] as Method<object, object>, fields, options);
    const { header, keys, ...rest } = response as { header?: { revision: bigint }; keys?: Uint8Array[] };
    // Go's gives the keys of a lease in any order.
    const sorted = keys?.map((key) => Buffer.from(key).toString("hex")).sort();
    return { ...rest, keys: sorted, TTL: undefined, revision: header?.revision };
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    return { code: error.code, message: error.message };
  }
}

async function logIn(side: Side): Promise<void> {
  for (const one of ["root", "al", "bo"]) {
    const { token } = await call(side.client, methods.authenticate, { name: one, password: "pw" });
    side.tokens.set(one, token);
  }
}

/** Rows of users and roles; the hashes of generated passwords are left out. */
function rows(directory: string): string[] {
  const db = BoltDb.open(platform.disk, `${folder}/${directory}/member/snap/db`, { readOnly: true });
  const tx = db.begin(false);
  const found: string[] = [];
  for (const bucket of ["auth", "authRoles", "authUsers"]) {
    const cursor = tx.bucket(bytes(bucket))!.cursor();
    for (let more = cursor.first(); more; more = cursor.next()) {
      const [key, row] = [cursor.key, cursor.value].map((part) => Buffer.from(part).toString("hex"));
      found.push(`${bucket} ${key} ${row.replace(/24326124303424(?!6161).{106}/, "(hash)")}`);
    }
  }
  tx.rollback();
  db.close();
  return found;
}

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "users and roles"), { timeout: 10 * patienceMs }, () => {
  test("the same requests leave the same users, roles, answers and keys", async () => {
    const go = await start(theGoEtcd("3.6").etcd, "go");
    const ours = await start(program("etcd"), "ours");
    const both = async (ask: Ask): Promise<void> => {
      expect(await answer(ours, ask), JSON.stringify(ask, printable)).toEqual(await answer(go, ask));
    };
    for (const ask of fc.sample(change, { numRuns: 600, seed })) await both(ask);
    for (const ask of setUp) await both(ask);
    for (const side of [go, ours]) await logIn(side);
    await both(["leaseGrant", { ID: 7n, TTL: 1000n }, "root"]);
    for (const ask of fc.sample(use, { numRuns: 1500, seed })) await both(ask);
    await both(["hashKv", {}, "root"]);
    await stop(go);
    await stop(ours);
    expect(rows("ours")).toEqual(rows("go"));

    // Each takes the other's directory over: passwords, permissions and the switch are what they were.
    const [goOnOurs, oursOnGo] = [await start(theGoEtcd("3.6").etcd, "ours"), await start(program("etcd"), "go")];
    for (const side of [goOnOurs, oursOnGo]) await logIn(side);
    for (const ask of fc.sample(use, { numRuns: 200, seed: seed + 1 })) {
      expect(await answer(oursOnGo, ask), JSON.stringify(ask, printable)).toEqual(await answer(goOnOurs, ask));
    }
  });

  test("hold in a cluster of both, whichever member is asked", async () => {
    const { etcd } = theGoEtcd("3.6");
    for (const commands of [
      [undefined, etcd, undefined],
      [etcd, undefined, etcd],
    ]) {
      const cluster = await TestCluster.found(commands, args);
      try {
        await checkUsersInCluster(
          cluster,
          commands.map((command) => command === etcd),
        );
      } finally {
        await cluster.close();
      }
    }
  });
});

function printable(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
