/** `etcd grpc-proxy` before a member: what clients see through it, what it saves the member, and what it refuses. */
import { spawn, type ChildProcess } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import type { Client } from "../../src/client/client.ts";
import { WatchCreateRequest, type WatchResponse } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { connect, get, put, withClient } from "../support/client.ts";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { eventually, TestCluster } from "../support/cluster.ts";
import {
  freePorts,
  patienceMs,
  peer,
  program,
  removeFolder,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";

const within = { timeoutMs: patienceMs };
const key = (text: string): Uint8Array => Buffer.from(text);
const goEtcd = peer("etcd36");
const goCtl = peer("etcdctl36");
const ctls = [
  ["ours", program("etcdctl")],
  ["Go's", goCtl ?? ""],
] as const;

let folder: string;
let member: ServerProcess;
let running: ServerProcess[];
let children: ChildProcess[];

beforeEach(async () => {
  folder = temporaryFolder();
  running = [];
  children = [];
  member = await ServerProcess.start({ dataDir: `${folder}/data` });
  running.push(member);
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(running.map((server) => server.kill()));
  removeFolder(folder);
});

async function startProxy(args: readonly string[] = [], endpoints = member.endpoint): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    const [port] = await freePorts(1);
    const own = `127.0.0.1:${port}`;
    const flags = [
      "grpc-proxy",
      "start",
      `--endpoints=${endpoints}`,
      `--listen-addr=${own}`,
      `--advertise-client-url=${own}`,
      ...args,
    ];
    const proxy = ServerProcess.spawn({ command: program("etcd"), flags, env: {}, port, peerUrl: "" });
    running.push(proxy);
    if (await proxy.waitForLine("started gRPC proxy")) return proxy;
    if (attempt === 3) throw new Error(proxy.lines.join("\n"));
  }
}

async function page(server: ServerProcess, path: string): Promise<string> {
  return (await fetch(server.endpoint + path)).text();
}

/** Metrics of the proxy, or of the member, by name. */
async function metric(server: ServerProcess, name: string, path = "/proxy/metrics"): Promise<number> {
  const text = await page(server, path);
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (.*)$`, "m").exec(text)?.[1]);
}

/** What a watch is given, until it is cancelled. */
class Seen {
  readonly responses: WatchResponse[] = [];
  readonly client: Client;
  cancel: () => void = () => undefined;

  constructor(client: Client) {
    this.client = client;
  }

  static async start(endpoint: string, request: Partial<WatchCreateRequest>, count = 1): Promise<Seen> {
    const seen = new Seen(connect(endpoint));
    const stream = await seen.client.open(methods.watch);
    seen.cancel = () => {
      stream.cancel();
      seen.client.close();
    };
    for (let index = 0; index < count; index++) {
      await stream.send({ createRequest: WatchCreateRequest.create(request) });
    }
    void (async () => {
      try {
        for await (const response of stream) seen.responses.push(response);
      } catch {
        // Cancelled by the test.
      }
    })();
    await eventually("the watches are created", async () => {
      expect(seen.responses.filter(({ created }) => created)).toHaveLength(count);
    });
    return seen;
  }

  /** `watch:key=value` of each event. */
  get events(): string[] {
    return this.responses.flatMap(({ watchId, events }) =>
      events.map(({ kv }) => `${watchId}:${Buffer.from(kv!.key).toString()}=${Buffer.from(kv!.value).toString()}`),
    );
  }
}

describe.each(ctls)("etcdctl, %s", (_, etcdctl) => {
  const ctl = (proxy: ServerProcess, ...args: string[]) =>
    runToEnd(etcdctl, [`--endpoints=${proxy.endpoint}`, ...args]);

  test.skipIf(etcdctl === "")("does through the proxy what it does without", async () => {
    const proxy = await startProxy();
    expect(ctl(proxy, "put", "a", "1")).toMatchObject({ code: 0, stdout: "OK\n" });
    expect(ctl(proxy, "get", "a")).toMatchObject({ stdout: "a\n1\n" });
    expect(runToEnd(etcdctl, [`--endpoints=${member.endpoint}`, "get", "a"])).toMatchObject({ stdout: "a\n1\n" });
    expect(ctl(proxy, "get", "", "--from-key", "--count-only", "--write-out=fields").stdout).toContain('"Count" : 1');
    expect(ctl(proxy, "del", "a", "--prev-kv")).toMatchObject({ stdout: "1\na\n1\n" });
    const lease = /lease ([0-9a-f]+) granted/.exec(ctl(proxy, "lease", "grant", "60").stdout)?.[1] ?? "";
    expect(ctl(proxy, "put", "leased", "v", `--lease=${lease}`).code).toBe(0);
    expect(ctl(proxy, "lease", "timetolive", lease, "--keys").stdout).toContain("attached keys([leased])");
    expect(ctl(proxy, "lease", "keep-alive", "--once", lease).stdout).toBe(`lease ${lease} keepalived with TTL(60)\n`);
    expect(ctl(proxy, "lease", "list").stdout).toContain(lease);
    expect(ctl(proxy, "lease", "revoke", lease).stdout).toBe(`lease ${lease} revoked\n`);
    expect(ctl(proxy, "get", "leased").stdout).toBe("");
    expect(ctl(proxy, "compact", "3").stdout).toBe("compacted revision 3\n");
    expect(ctl(proxy, "get", "a", "--rev=2")).toMatchObject({ code: 1 });
    expect(ctl(proxy, "get", "a", "--rev=2").stderr).toContain("required revision has been compacted");
    expect(ctl(proxy, "lock", "l", "echo", "held").stdout).toBe("held\n");
    expect(ctl(proxy, "endpoint", "status").stdout).toMatch(/, 3\.\d+\.\d+, /);
    expect(ctl(proxy, "endpoint", "hashkv").code).toBe(0);
    expect(ctl(proxy, "defrag").code).toBe(0);
    expect(ctl(proxy, "alarm", "list").code).toBe(0);
    expect(ctl(proxy, "snapshot", "save", `${folder}/copy.db`).code).toBe(0);
    expect(runToEnd(program("etcdutl"), ["snapshot", "status", `${folder}/copy.db`]).code).toBe(0);
    expect(ctl(proxy, "member", "list").stdout).toContain(`127.0.0.1:${proxy.port}`);
    expect(await proxy.stop()).toBe(0);
  });

  test.skipIf(etcdctl === "")("sees no key outside the namespace, and cannot write one", async () => {
    const proxy = await startProxy(["--namespace=mine/"]);
    for (const name of ["mine", "mine.", "mine0", "other"])
      await withClient(member.endpoint, (c) => put(c, name, "hidden"));
    await withClient(member.endpoint, (c) => put(c, "mine/old", "seen"));
    expect(ctl(proxy, "get", "", "--from-key").stdout).toBe("old\nseen\n");
    expect(ctl(proxy, "get", "", "--prefix").stdout).toBe("old\nseen\n");
    expect(ctl(proxy, "put", "k", "1").stdout).toBe("OK\n");
    expect(await withClient(member.endpoint, (c) => get(c, "mine/k"))).toBe("1");
    const watch = spawn(etcdctl, [`--endpoints=${proxy.endpoint}`, "watch", "", "--prefix", "--rev=1", "--prev-kv"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    children.push(watch);
    let watched = "";
    watch.stdout.on("data", (chunk: Buffer) => (watched += chunk.toString()));
    expect(
      runToEnd(etcdctl, [`--endpoints=${proxy.endpoint}`, "txn"], {
        input: 'value("k") = "1"\n\nput k 2\nget k\nget other\n\nput k no\n\n',
      }).stdout,
    ).toBe("SUCCESS\n\nOK\n\nk\n2\n\n");
    expect(ctl(proxy, "del", "", "--from-key").stdout).toBe("2\n");
    expect(ctl(proxy, "get", "", "--from-key").stdout).toBe("");
    for (const name of ["mine", "mine.", "mine0", "other"]) {
      expect(await withClient(member.endpoint, (c) => get(c, name))).toBe("hidden");
    }
    await eventually("the watch is told of all", async () => {
      expect(watched).toBe("PUT\nold\nseen\nPUT\nk\n1\nPUT\nk\n1\nk\n2\nDELETE\nk\n2\nk\n\nDELETE\nold\nseen\nold\n\n");
    });
    expect(ctl(proxy, "lock", "l", "env").stdout).toMatch(/^ETCD_LOCK_KEY=l\/[0-9a-f]+$/m);
    expect(ctl(proxy, "put", "", "v").stderr).toContain("etcdserver: key is not provided");
  });

  test.skipIf(etcdctl === "")("is known by its own password at the members", async () => {
    const direct = (...args: string[]) => runToEnd(etcdctl, [`--endpoints=${member.endpoint}`, ...args]);
    for (const words of ["user add root:r", "user add reader:p", "role add read", "user grant-role root root"]) {
      expect(direct(...words.split(" ")).code).toBe(0);
    }
    for (const words of ["user grant-role reader read", "role grant-permission read read open", "auth enable"]) {
      expect(direct(...words.split(" ")).code).toBe(0);
    }
    const proxy = await startProxy();
    expect(ctl(proxy, "get", "open").code).toBe(1);
    expect(ctl(proxy, "--user=root:r", "put", "open", "v").code).toBe(0);
    expect(ctl(proxy, "--user=root:r", "put", "secret", "v").code).toBe(0);
    // What the cache holds for one user is not another's to see.
    expect(ctl(proxy, "--user=root:r", "get", "secret", "--consistency=s").stdout).toBe("secret\nv\n");
    expect(ctl(proxy, "--user=reader:p", "get", "secret", "--consistency=s")).toMatchObject({ code: 1, stdout: "" });
    expect(ctl(proxy, "--user=reader:p", "get", "open", "--consistency=s").stdout).toBe("open\nv\n");
    expect(ctl(proxy, "--user=reader:p", "get", "secret").stderr).toContain("etcdserver: permission denied");
    expect(ctl(proxy, "--user=reader:p", "watch", "secret").stderr).toContain("permission denied");
    expect(ctl(proxy, "--user=reader:wrong", "get", "open").stderr).toContain("authentication failed");
    expect(ctl(proxy, "--user=root:r", "user", "list").stdout).toBe("reader\nroot\n");
  });
});

test("serializable reads come from the cache until a write through the proxy touches them", async () => {
  const proxy = await startProxy();
  await withClient(proxy.endpoint, async (client) => {
    const read = async (): Promise<string> => {
      const { kvs } = await client.call(methods.range, { key: key("k"), serializable: true }, within);
      return Buffer.from(kvs[0].value).toString();
    };
    await put(client, "k", "1");
    expect(await read()).toBe("1");
    expect([await read(), await read()]).toEqual(["1", "1"]);
    expect(await metric(proxy, "etcd_grpc_proxy_cache_hits_total")).toBe(2);
    await put(client, "k", "2");
    expect(await read()).toBe("2");
    await client.call(methods.deleteRange, { key: key("a"), rangeEnd: key("z") }, within);
    expect((await client.call(methods.range, { key: key("k"), serializable: true }, within)).kvs).toEqual([]);
    await client.call(
      methods.txn,
      {
        success: [
          {
            requestPut: {
              key: key("k"),
              value: key("3"),
              lease: 0n,
              prevKv: false,
              ignoreLease: false,
              ignoreValue: false,
            },
          },
        ],
      },
      within,
    );
    expect(await read()).toBe("3");
    // Written past the proxy: seen once the answer is too old.
    await withClient(member.endpoint, (other) => put(other, "k", "4"));
    await eventually("the cache forgets", async () => expect(await read()).toBe("4"));
    expect(await get(client, "k")).toBe("4");
  });
});

test("a hundred watches of one range become one at the member, and each sees every event once", async () => {
  const proxy = await startProxy();
  const all: Seen[] = [];
  for (let index = 0; index < 20; index++) {
    all.push(await Seen.start(proxy.endpoint, { key: key("k"), rangeEnd: key("l") }, 5));
  }
  const old = await Seen.start(proxy.endpoint, { key: key("k"), rangeEnd: key("l"), startRevision: 1n });
  await withClient(member.endpoint, async (client) => {
    for (let index = 0; index < 50; index++) await put(client, `k${index}`, String(index));
    const expected = Array.from({ length: 50 }, (_, index) => `k${index}=${index}`);
    await eventually("all are told of all", async () => {
      for (const { events } of all) expect(events).toHaveLength(250);
    });
    for (const { events } of all) {
      for (const id of [0, 1, 2, 3, 4]) {
        expect(events.filter((text) => text.startsWith(`${id}:`))).toEqual(expected.map((text) => `${id}:${text}`));
      }
    }
    await eventually("the old one too", async () => expect(old.events).toEqual(expected.map((text) => `0:${text}`)));
  });
  expect(await metric(proxy, "etcd_grpc_proxy_watchers_coalescing_total")).toBeGreaterThan(80);
  expect(await metric(proxy, "etcd_grpc_proxy_events_coalescing_total")).toBeGreaterThan(50 * 80);
  expect(await metric(member, "etcd_debugging_mvcc_watcher_total", "/metrics")).toBeLessThan(21);
  for (const seen of [...all, old]) seen.cancel();
  await eventually("no watch is left", async () => {
    expect(await metric(member, "etcd_debugging_mvcc_watcher_total", "/metrics")).toBe(0);
  });
});

test("watches: filters, previous values, progress on request, cancelling, compacted and impossible ranges", async () => {
  const proxy = await startProxy();
  await withClient(proxy.endpoint, async (client) => {
    await put(client, "k", "1");
    const stream = await client.open(methods.watch);
    const answers = stream[Symbol.asyncIterator]();
    const next = async (): Promise<WatchResponse> => (await answers.next()).value as WatchResponse;
    const create = (request: Partial<WatchCreateRequest>) =>
      stream.send({ createRequest: WatchCreateRequest.create({ key: key("k"), ...request }) });
    await create({ prevKv: true });
    expect(await next()).toMatchObject({ watchId: 0n, created: true });
    await create({ filters: [0] });
    expect(await next()).toMatchObject({ watchId: 1n, created: true });
    await create({ watchId: 7n });
    expect(await next()).toMatchObject({ watchId: 7n, created: true });
    await create({ watchId: 7n });
    expect(await next()).toMatchObject({ watchId: -1n, canceled: true });
    await create({ rangeEnd: key("a") });
    expect(await next()).toMatchObject({ watchId: -1n, created: true, canceled: true });
    const revision = BigInt(await put(client, "k", "2"));
    const [one, two] = [await next(), await next()].sort((a, b) => Number(a.watchId - b.watchId));
    expect(one).toMatchObject({
      watchId: 0n,
      events: [{ kv: { value: Uint8Array.of(0x32) }, prevKv: { value: Uint8Array.of(0x31) } }],
    });
    expect(two).toMatchObject({ watchId: 7n, events: [{ prevKv: undefined }] });
    await stream.send({ progressRequest: {} });
    const progress = await next();
    expect(progress).toMatchObject({ watchId: -1n, events: [], canceled: false });
    expect(progress.header?.revision).toBeGreaterThanOrEqual(revision);
    await stream.send({ cancelRequest: { watchId: 0n } });
    expect(await next()).toMatchObject({ watchId: 0n, canceled: true });
    await client.call(methods.deleteRange, { key: key("k") }, within);
    const gone = [await next(), await next()].sort((a, b) => Number(a.watchId - b.watchId));
    expect(gone).toMatchObject([
      { watchId: 1n, events: [{ type: 1 }] },
      { watchId: 7n, events: [{ type: 1 }] },
    ]);
    await client.call(methods.compact, { revision }, within);
    await create({ startRevision: 1n });
    expect(await next()).toMatchObject({ created: true });
    expect(await next()).toMatchObject({ canceled: true, compactRevision: revision });
    stream.cancel();
  });
});

test("watches live through the death of the member that they are at, and miss nothing", async () => {
  const cluster = await TestCluster.found([undefined, undefined, goEtcd]);
  try {
    const proxy = await startProxy([], cluster.members.map(({ endpoint }) => endpoint).join(","));
    const seen = await Promise.all(
      [1, 2, 3].map(() => Seen.start(proxy.endpoint, { key: key("k"), rangeEnd: key("l") })),
    );
    const expected: string[] = [];
    const write = async (client: Client): Promise<void> => {
      for (let index = 0; index < 20; index++) {
        const name = `k${expected.length}`;
        await eventually("a write succeeds", () => put(client, name, "v"));
        expected.push(`0:${name}=v`);
      }
    };
    await withClient(proxy.endpoint, write);
    for (const member of cluster.members) {
      await member.kill();
      await withClient(proxy.endpoint, write);
      await cluster.start(member, member === cluster.members[2] ? goEtcd : undefined);
    }
    await eventually("all events have come", async () => {
      for (const { events } of seen) expect([...new Set(events)]).toEqual(expected);
    });
    for (const each of seen) each.cancel();
  } finally {
    await cluster.close();
  }
});

test("leases are kept alive for many clients, each asked for once at a time", async () => {
  const proxy = await startProxy();
  await withClient(proxy.endpoint, async (client) => {
    const { ID } = await client.call(methods.leaseGrant, { TTL: 60n }, within);
    const renewals = Array.from({ length: 20 }, async () => {
      const stream = await client.open(methods.leaseKeepAlive);
      await stream.send({ ID });
      stream.halfClose();
      const answers: bigint[] = [];
      for await (const { TTL } of stream) answers.push(TTL);
      return answers;
    });
    expect(await Promise.all(renewals)).toEqual(renewals.map(() => [60n]));
    const stream = await client.open(methods.leaseKeepAlive);
    await stream.send({ ID: 12_345n });
    expect((await stream[Symbol.asyncIterator]().next()).value).toMatchObject({ ID: 12_345n, TTL: 0n });
    stream.cancel();
  });
});

test("pages: a member's metrics and health, and the proxy's own", async () => {
  const [metricsPort] = await freePorts(1);
  const proxy = await startProxy([`--metrics-addr=http://127.0.0.1:${metricsPort}`]);
  expect(await page(proxy, "/metrics")).toContain("etcd_server_has_leader 1");
  expect(await page(proxy, "/health")).toBe('{"health":"true","reason":""}');
  expect(await page(proxy, "/proxy/health")).toBe('{"health":"true","reason":""}');
  expect(await page(proxy, "/proxy/metrics")).toContain("# TYPE etcd_grpc_proxy_events_coalescing_total counter");
  expect(await page(proxy, "/")).toBe("404 page not found\n");
  const apart = await fetch(`http://127.0.0.1:${metricsPort}/proxy/metrics`);
  expect(await apart.text()).toContain("etcd_grpc_proxy_cache_keys_total");
  await member.kill();
  const ill = await fetch(`${proxy.endpoint}/health`);
  expect(ill.status).toBe(503);
  expect(await ill.text()).toMatch(/^\{"health":"false","reason":"GET ERROR:/);
  expect((await fetch(`${proxy.endpoint}/metrics`)).status).toBe(500);
});

test("proxies of one prefix list each other, and leave the list when they stop", async () => {
  const shared = ["--resolver-prefix=___grpc_proxy", "--resolver-ttl=5"];
  const [one, two] = await Promise.all([startProxy(shared), startProxy(shared)]);
  const listed = async (proxy: ServerProcess): Promise<string[]> =>
    withClient(proxy.endpoint, async (client) => {
      const { members } = await client.call(methods.memberList, { linearizable: true }, within);
      return members.flatMap(({ clientURLs }) => clientURLs).sort();
    });
  const both = [one, two].map(({ port }) => `127.0.0.1:${port}`).sort();
  await eventually("both are known to both", async () => {
    expect(await listed(one)).toEqual(both);
    expect(await listed(two)).toEqual(both);
  });
  const stored = await withClient(member.endpoint, (client) => get(client, `___grpc_proxy/127.0.0.1:${one.port}`));
  expect(JSON.parse(stored ?? "")).toMatchObject({ Op: 0, Addr: `127.0.0.1:${one.port}` });
  expect(await two.stop()).toBe(0);
  await eventually("one is left", async () => expect(await listed(one)).toEqual([`127.0.0.1:${one.port}`]));
});

test.skipIf(certificatesMissing !== undefined)(
  "TLS on both sides, and no certificate with a common name towards members",
  async () => {
    const authority = new CertificateAuthority(folder);
    const names = ["IP:127.0.0.1"];
    const server = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names });
    const nameless = authority.sign("nameless", { usage: ["clientAuth"], subject: "organization" });
    const client = authority.sign("client");
    const [port, peerPort] = await freePorts(2);
    const url = `https://127.0.0.1:${port}`;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const secure = ServerProcess.spawn({
      command: program("etcd"),
      flags: [
        `--data-dir=${folder}/secure`,
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
        `--cert-file=${server.cert}`,
        `--key-file=${server.key}`,
        `--trusted-ca-file=${authority.cert}`,
        "--client-cert-auth",
      ],
      env: {},
      port,
      peerUrl,
    });
    running.push(secure);
    expect(await secure.becomesReady()).toBe(true);
    const towards = (pair: { cert: string; key: string }) => [
      `--cert=${pair.cert}`,
      `--key=${pair.key}`,
      `--cacert=${authority.cert}`,
    ];
    const refused = runToEnd(program("etcd"), ["grpc-proxy", "start", "--listen-addr=127.0.0.1:0", ...towards(client)]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`cert has non empty Common Name (client): ${client.cert}\n`);
    const proxy = await startProxy(
      [
        ...towards(nameless),
        `--cert-file=${server.cert}`,
        `--key-file=${server.key}`,
        `--trusted-ca-file=${authority.cert}`,
      ],
      url,
    );
    for (const [, etcdctl] of ctls) {
      if (etcdctl === "") continue;
      const through = [`--endpoints=https://127.0.0.1:${proxy.port}`, ...towards(client)];
      expect(runToEnd(etcdctl, [...through, "put", "k", "v"])).toMatchObject({ code: 0, stdout: "OK\n" });
      expect(runToEnd(etcdctl, [...through.slice(0, 1), through[3], "--command-timeout=2s", "get", "k"]).code).toBe(1);
    }
    const curl = runToEnd("curl", [
      "-s",
      "--cacert",
      authority.cert,
      "--cert",
      client.cert,
      "--key",
      client.key,
      `https://127.0.0.1:${proxy.port}/metrics`,
    ]);
    expect(curl.stdout).toContain("etcd_server_has_leader 1");
  },
);

test.each([
  ["--resolver-prefix=x", "invalid resolver-ttl 0\n"],
  ["--resolver-ttl=3", 'invalid resolver-prefix ""\n'],
  [
    "--tls-min-version=foo",
    'tls-min-version is invalid: unexpected TLS version "foo" (must be one of: TLS1.2, TLS1.3)\n',
  ],
  ["--tls-min-version=TLS1.3 --tls-max-version=TLS1.2", "min version (TLS1.3) is greater than max version (TLS1.2)\n"],
  ["--auto-tls --self-signed-cert-validity=0", "selfSignedCertValidity is invalid,it should be greater than 0\n"],
  ["--listen-addr=127.0.0.1:99999", "listen tcp: address 99999: invalid port\n"],
  ["--listen-addr=127.0.0.1:0 --cert=nofile", "KeyFile and CertFile must both be present[key: , cert: nofile]\n"],
  ["--listen-addr=127.0.0.1:0 --cert=nofile --key=nofile", "open nofile: no such file or directory\n"],
  ["--help", ""],
])("etcd grpc-proxy start %s ends in etcd's words", (line, stderr) => {
  const args = ["grpc-proxy", "start", ...line.split(" ")];
  const withoutLog = (text: string): string => text.replace(/^\{.*\}\n/gm, "");
  const mine = runToEnd(program("etcd"), args);
  expect(withoutLog(mine.stderr)).toBe(stderr);
  if (goEtcd === undefined) return;
  const theirs = runToEnd(goEtcd, args);
  expect({ ...mine, stderr: withoutLog(mine.stderr) }).toEqual({ ...theirs, stderr: withoutLog(theirs.stderr) });
});

test("--experimental-leasing-prefix is refused, as it cannot be kept", () => {
  const { code, stderr } = runToEnd(program("etcd"), ["grpc-proxy", "start", "--experimental-leasing-prefix=l/"]);
  expect(code).toBe(1);
  expect(stderr).toContain("--experimental-leasing-prefix cannot be used");
});
