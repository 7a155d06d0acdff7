import * as http from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { testPlatform } from "../../test/support/member.ts";
import { listLogger } from "../../test/support/peer-cluster.ts";
import type { Member } from "../membership/member.ts";
import type { Connection, Listener } from "../platform/network.ts";
import { EtcdError } from "../wire/errors.ts";
import { PeerAnswerError, PeerClient } from "./client.ts";
import { leaseRequestBytesMax } from "./limits.ts";
import { registerPages, type PeerServices } from "./pages.ts";
import { PeerServer } from "./server.ts";

const platform = testPlatform();
let client: PeerClient;
const timeoutMs = 10_000;
let server: PeerServer;
let accepted: Connection[];
let listener: Listener;
let port: number;
let url: string;

const members: readonly Member[] = [
  {
    id: 0xffff_ffff_ffff_fffen,
    peerUrls: ["http://a:2380"],
    isLearner: false,
    name: "a<b",
    clientUrls: ["http://a:2379"],
  },
  { id: 12n, peerUrls: ["http://c:2380"], isLearner: true, name: "", clientUrls: [] },
];

const services: PeerServices = {
  clusterId: 0xabcn,
  log: listLogger([]),
  members: () => members,
  versions: () => ({ server: "3.6.14", cluster: "not_decided", storage: "unknown" }),
  promoteMember(id, token) {
    if (id === 1n) return Promise.reject(new EtcdError("memberNotFound"));
    if (id === 2n) return Promise.reject(new EtcdError("memberNotLearner"));
    if (id === 3n) return Promise.reject(new EtcdError("learnerNotReady"));
    if (id === 4n && token !== "secret") return Promise.reject(new EtcdError("permissionDenied"));
    return Promise.resolve(members);
  },
  renewLease(id) {
    if (id === 1n) return Promise.reject(new EtcdError("leaseNotFound"));
    if (id === 2n) return Promise.reject(new EtcdError("timeoutWaitAppliedIndex"));
    if (id === 3n) return Promise.reject(new Error("lost the lead"));
    return Promise.resolve(60);
  },
  leaseTimeToLive(id, withKeys) {
    if (id === 1n) return Promise.reject(new EtcdError("leaseNotFound"));
    if (id === 3n) return Promise.reject(new Error("lost the lead"));
    const keys = withKeys ? [Buffer.from("k1"), Buffer.from("k2")] : [];
    return Promise.resolve({ ttlSeconds: 17, grantedTtlSeconds: 60, keys });
  },
  hashKv(revision) {
    if (revision === 1) return Promise.reject(new EtcdError("compacted"));
    if (revision === 9) return Promise.reject(new EtcdError("futureRevision"));
    return Promise.resolve({ currentRevision: 5, hash: 4_000_000_000, compactRevision: -1, hashRevision: revision });
  },
  downgradeEnabled: () => Promise.resolve(true),
};

beforeEach(async () => {
  client = new PeerClient({ platform, dialTimeoutMs: 2000 });
  server = new PeerServer(platform);
  registerPages(server, services);
  accepted = [];
  listener = await platform.network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    accepted.push(connection);
    server.handleConnection(connection);
  });
  ({ port } = listener.address as { port: number });
  url = `http://127.0.0.1:${port}`;
});

afterEach(async () => {
  client.close();
  server.close();
  await listener.close();
});

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Asks with Node's own client: ours must not only understand itself. */
function ask(method: string, path: string, body?: Uint8Array, headers: object = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { port, path, method, headers: { ...headers, "Content-Length": body?.length ?? 0 } },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

test("/members lists members as etcd does, ids of 64 bits exact", async () => {
  const { status, headers, body } = await ask("GET", "/members");
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("application/json");
  expect(headers["x-etcd-cluster-id"]).toBe("abc");
  expect(body).toBe(
    '[{"id":18446744073709551614,"peerURLs":["http://a:2380"],"name":"a\\u003cb","clientURLs":["http://a:2379"]},' +
      '{"id":12,"peerURLs":["http://c:2380"],"isLearner":true}]\n',
  );
  expect(await client.members(url, timeoutMs)).toEqual({ clusterId: 0xabcn, members });
});

test("/version answers without a newline", async () => {
  expect((await ask("GET", "/version")).body).toBe(
    '{"etcdserver":"3.6.14","etcdcluster":"not_decided","storage":"unknown"}',
  );
  expect(await client.versions(url, timeoutMs)).toEqual(services.versions());
});

test("only the method that etcd knows is served", async () => {
  for (const path of ["/members", "/version", "/members/hashkv", "/downgrade/enabled"]) {
    const { status, headers, body } = await ask("PUT", path);
    expect([status, headers["allow"], body]).toEqual([405, "GET", "Method Not Allowed\n"]);
  }
  expect((await ask("GET", "/members/promote/1")).headers["allow"]).toBe("POST");
  expect((await ask("GET", "/leases")).status).toBe(405);
  expect(await ask("GET", "/nowhere")).toMatchObject({ status: 404, body: "404 page not found\n" });
});

test("promotions answer with the members, or with the text by which the caller knows the reason", async () => {
  expect(await client.promoteMember(url, 5n, undefined, timeoutMs)).toEqual(members);
  expect(await client.promoteMember(url, 4n, "secret", timeoutMs)).toEqual(members);
  await expect(client.promoteMember(url, 1n, undefined, timeoutMs)).rejects.toMatchObject({ reason: "memberNotFound" });
  await expect(client.promoteMember(url, 2n, undefined, timeoutMs)).rejects.toMatchObject({
    reason: "memberNotLearner",
  });
  await expect(client.promoteMember(url, 3n, undefined, timeoutMs)).rejects.toMatchObject({
    reason: "learnerNotReady",
  });
  await expect(client.promoteMember(url, 4n, undefined, timeoutMs)).rejects.toThrow(PeerAnswerError);
  expect(await ask("POST", "/members/promote/1")).toMatchObject({ status: 404, body: "membership: ID not found\n" });
  expect(await ask("POST", "/members/promote/2")).toMatchObject({
    status: 412,
    body: "membership: can only promote a learner member\n",
  });
  expect(await ask("POST", "/members/promote/abc")).toMatchObject({
    status: 404,
    body: "member abc not found in cluster\n",
  });
  expect(await ask("POST", "/members/promote/4")).toMatchObject({
    status: 500,
    body: '{"message":"Internal Server Error"}',
  });
});

test("leases are renewed and looked up through a peer, or refused with its reason", async () => {
  expect(await client.renewLease(url, 77n, timeoutMs)).toBe(60);
  await expect(client.renewLease(url, 1n, timeoutMs)).rejects.toMatchObject({ reason: "leaseNotFound" });
  await expect(client.renewLease(url, 2n, timeoutMs)).rejects.toMatchObject({ reason: "timeoutWaitAppliedIndex" });
  await expect(client.renewLease(url, 3n, timeoutMs)).rejects.toThrow("lease: unknown error(not a primary lessor");
  const lease = await client.leaseTimeToLive(url, 77n, true, timeoutMs);
  expect(lease).toMatchObject({ ttlSeconds: 17, grantedTtlSeconds: 60 });
  expect(lease.keys.map((key) => Buffer.from(key).toString())).toEqual(["k1", "k2"]);
  await expect(client.leaseTimeToLive(url, 3n, false, timeoutMs)).rejects.toThrow(PeerAnswerError);
});

test("forwarded lease requests that are none are refused", async () => {
  expect(await ask("POST", "/leases", Buffer.from([0xff]))).toMatchObject({
    status: 400,
    body: "error unmarshalling request\n",
  });
  const large = await ask("POST", "/leases", Buffer.alloc(leaseRequestBytesMax + 1));
  expect(large).toMatchObject({ status: 413, body: "request body too large\n" });
});

test("the renewal's bytes are etcd's: no header", async () => {
  const { body, headers } = await ask("POST", "/leases", Buffer.from([0x08, 0x4d]));
  expect(headers["content-type"]).toBe("application/protobuf");
  expect(Buffer.from(body, "latin1").toString("hex")).toBe("104d183c");
  const inner = await ask("POST", "/leases/internal", Buffer.from([0x0a, 0x02, 0x08, 0x4d]));
  expect(Buffer.from(inner.body, "latin1").toString("hex")).toBe("0a080a00104d1811203c");
});

test("hashes are asked with a body in a GET, and refused with the store's text", async () => {
  expect(await client.hashKv(url, 0xabcn, 4, timeoutMs)).toEqual({
    currentRevision: 5,
    hash: 4_000_000_000,
    compactRevision: -1,
    hashRevision: 4,
  });
  await expect(client.hashKv(url, 0xabcn, 1, timeoutMs)).rejects.toMatchObject({ reason: "compacted" });
  await expect(client.hashKv(url, 0xabcn, 9, timeoutMs)).rejects.toMatchObject({ reason: "futureRevision" });
  await expect(client.hashKv(url, 0xddn, 4, timeoutMs)).rejects.toThrow("cluster ID mismatch");
  expect((await ask("GET", "/members/hashkv", Buffer.from('{"revision":4}'))).body).toBe(
    '{"header":{"revision":5},"hash":4000000000,"compact_revision":-1,"hash_revision":4}',
  );
  for (const body of ["{", "[]", "4"]) {
    expect(await ask("GET", "/members/hashkv", Buffer.from(body))).toMatchObject({
      status: 400,
      body: "error unmarshalling request\n",
    });
  }
});

test("/downgrade/enabled answers with a bare word", async () => {
  expect((await ask("GET", "/downgrade/enabled")).body).toBe("true");
  expect(await client.downgradeEnabled(url, timeoutMs)).toBe(true);
});

test.each([
  ["/members/promote", "/members/promote/"],
  ["//members?a=<1>", "/members?a=<1>"],
  ["/members/../version", "/version"],
])("%s is sent to %s, as Go's router does", async (path, location) => {
  const read = await ask("GET", path);
  expect([read.status, read.headers.location]).toEqual([307, location]);
  const escaped = location.replace("<", "&lt;").replace(">", "&gt;");
  expect(read.body).toBe(`<a href="${escaped}">Temporary Redirect</a>.\n\n`);
  expect(await ask("POST", path)).toMatchObject({ status: 307, body: "" });
});

test("one connection serves requests one after the other, also when they come ahead", async () => {
  const connection = await platform.network.connect(listener.address);
  let text = "";
  const closed = new Promise<void>((resolve) => {
    connection.setHandlers({
      data: (chunk) => (text += Buffer.from(chunk).toString("latin1")),
      end: () => connection.end(),
      drained: () => undefined,
      closed: () => resolve(),
    });
  });
  const get = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
  connection.write(Buffer.from(get("/downgrade/enabled") + get("/version") + get("/nowhere", "Connection: close\r\n")));
  await closed;
  const order = ["true", '"etcdserver"', "404 page not found"].map((part) => text.indexOf(part));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(order[0]).toBeGreaterThan(0);
});

test("what is not HTTP is answered with 400 and closed", async () => {
  for (const garbage of [
    "nonsense\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nbad line\r\n\r\n",
  ]) {
    const connection = await platform.network.connect(listener.address);
    let text = "";
    const closed = new Promise<void>((resolve) => {
      connection.setHandlers({
        data: (chunk) => (text += Buffer.from(chunk).toString("latin1")),
        end: () => connection.end(),
        drained: () => undefined,
        closed: () => resolve(),
      });
    });
    connection.write(Buffer.from(garbage));
    await closed;
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  }
});

test("an answer that is none, or too late, is an error and not a crash", async () => {
  await listener.close();
  const answers = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}!",
    "HTTP/1.1 200 OK\r\n\r\nnot json",
    "rubbish\r\n\r\n",
    "",
  ];
  listener = await platform.network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    const answer = answers.shift() ?? "";
    connection.setHandlers({
      data() {
        if (answer === "") return;
        connection.write(Buffer.from(answer));
        connection.end();
      },
      end: () => connection.end(),
      drained: () => undefined,
      closed: () => undefined,
    });
  });
  const other = `http://127.0.0.1:${(listener.address as { port: number }).port}`;
  await expect(client.members(other, timeoutMs)).rejects.toThrow(PeerAnswerError);
  await expect(client.versions(other, timeoutMs)).rejects.toThrow(PeerAnswerError);
  await expect(client.versions(other, timeoutMs)).rejects.toThrow("malformed HTTP response");
  await expect(client.versions(other, 100)).rejects.toThrow("context deadline exceeded");
  await listener.close();
  await expect(client.members(other, timeoutMs)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("lease requests to one member go over the same connection, as many as are under way at a time", async () => {
  for (let count = 0; count < 3; count++) expect(await client.renewLease(url, 77n, timeoutMs)).toBe(60);
  await expect(client.renewLease(url, 1n, timeoutMs)).rejects.toMatchObject({ reason: "leaseNotFound" });
  await client.leaseTimeToLive(url, 77n, true, timeoutMs);
  expect(accepted).toHaveLength(1);
  await Promise.all([1, 2, 3].map(() => client.renewLease(url, 77n, timeoutMs)));
  await Promise.all([1, 2, 3].map(() => client.renewLease(url, 77n, timeoutMs)));
  expect(accepted).toHaveLength(3);
  await client.versions(url, timeoutMs);
  expect(accepted).toHaveLength(4);
});

test("a connection that the other side has dropped is not used again", async () => {
  await client.renewLease(url, 77n, timeoutMs);
  accepted[0].destroy();
  // The news may still be on its way; then the request fails, and whoever sent it tries again.
  const answer = await client.renewLease(url, 77n, timeoutMs).catch(() => client.renewLease(url, 77n, timeoutMs));
  expect(answer).toBe(60);
  expect(accepted.length).toBeGreaterThan(1);
});
