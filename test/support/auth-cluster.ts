/** Users and roles in a cluster of any programs: what one member was told, and the tokens it gave, hold at every other. */
import { expect } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { eventually, type ClusterMember, type TestCluster } from "./cluster.ts";
import { patienceMs } from "./process.ts";
import { call, TypedStream } from "./service-member.ts";

const platform = createNodePlatform({ log: createStderrLogger("fatal") });
const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const within = { timeoutMs: patienceMs };

async function connect({ ports }: ClusterMember): Promise<GrpcClient> {
  const connection = await platform.network.connect({ host: "127.0.0.1", port: ports.client });
  return new GrpcClient(connection, { clock: platform.clock, authority: "127.0.0.1" });
}

/**
 * Sets users up through the members in turn, then uses each one's tokens at all the others without waiting, but for Go's.
 */
export async function checkUsersInCluster(cluster: TestCluster, isGo: readonly boolean[] = []): Promise<void> {
  const clients = await Promise.all(cluster.members.map(connect));
  try {
    await setUp(clients);
    for (const from of clients) {
      const { token } = await call(from, methods.authenticate, { name: "al", password: "al" }, within);
      for (const [place, at] of clients.entries()) {
        // Go's waits for the entry before the one that it needs.
        if (isGo[place]) await eventually("the token is known", () => readWith(at, token));
        await useToken(at, token);
      }
    }
    // Asked at Go's, this very transaction makes its members drift apart: the proposer alone does not write.
    await agree(clients, clients[Math.max(0, isGo.indexOf(false))]);
  } finally {
    for (const client of clients) client.close();
  }
}

function readWith(client: GrpcClient, token: string): Promise<unknown> {
  return call(client, methods.range, { key: bytes("al/k") }, { ...within, metadata: { token } });
}

async function setUp(clients: readonly GrpcClient[]): Promise<void> {
  const [first, second, third] = clients;
  await call(first, methods.userAdd, { name: "root", password: "root" }, within);
  await call(second, methods.userGrantRole, { user: "root", role: "root" }, within);
  await call(third, methods.userAdd, { name: "al", password: "al" }, within);
  await call(first, methods.roleAdd, { name: "r" }, within);
  const perm = { permType: 2, key: bytes("al/"), rangeEnd: bytes("al0") } as const;
  await call(second, methods.roleGrantPermission, { name: "r", perm }, within);
  await call(third, methods.userGrantRole, { user: "al", role: "r" }, within);
  await call(first, methods.authEnable, {}, within);
}

/** The first call and the first messages of two streams: none may come before the member knows the token. */
async function useToken(client: GrpcClient, token: string): Promise<void> {
  const options = { ...within, metadata: { token } };
  const put = call(client, methods.put, { key: bytes("al/k"), value: bytes("v") }, options);
  const watch = new TypedStream(client, methods.watch, options);
  watch.send({ createRequest: { key: bytes("al/k") } });
  const keepAlive = new TypedStream(client, methods.leaseKeepAlive, options);
  keepAlive.send({ ID: 1n });
  expect(await put).toBeTypeOf("object");
  expect(await watch.next()).toMatchObject({ created: true, canceled: false });
  expect(await keepAlive.next()).toMatchObject({ TTL: 0n });
  watch.stream.cancel();
  keepAlive.stream.cancel();
  const denied = call(client, methods.put, { key: bytes("x") }, options);
  await expect(denied).rejects.toThrow("etcdserver: permission denied");
}

/** A refused transaction with a range at its top is refused everywhere: no member may have written. */
async function agree(clients: readonly GrpcClient[], ours: GrpcClient): Promise<void> {
  const { token: alToken } = await call(clients[1], methods.authenticate, { name: "al", password: "al" }, within);
  const mixed = { success: [{ requestRange: { key: bytes("x") } }, { requestPut: { key: bytes("al/never") } }] };
  await eventually("the token is known", () => readWith(ours, alToken));
  const refused = call(ours, methods.txn, mixed, { ...within, metadata: { token: alToken } });
  await expect(refused).rejects.toThrow("etcdserver: permission denied");
  const { token } = await call(clients[0], methods.authenticate, { name: "root", password: "root" }, within);
  const asRoot = { ...within, metadata: { token } };
  const hashes = await eventually("all members have applied everything", async () => {
    const all = await Promise.all(clients.map((client) => call(client, methods.hashKv, {}, asRoot)));
    for (const { header } of all) expect(header?.revision).toBe(all[0].header?.revision);
    return all.map(({ hash }) => hash);
  });
  for (const hash of hashes) expect(hash).toBe(hashes[0]);
}
