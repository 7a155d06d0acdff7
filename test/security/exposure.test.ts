/** What a member shows to the machine and to the network when nobody asked it to show anything. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "../support/client.ts";
import { freePorts, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";

let folder: string;
let server: ServerProcess | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
  removeFolder(folder);
});

/** A program that starts ours with another umask. */
function withUmask(umask: string): string {
  const path = join(folder, `etcd-${umask}`);
  writeFileSync(path, `#!/bin/sh\numask ${umask}\nexec "${program("etcd")}" "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

function modesBelow(path: string): [string, string][] {
  const mode = (at: string): string => (statSync(at).mode & 0o777).toString(8);
  return [
    [path, mode(path)],
    ...readdirSync(path, { withFileTypes: true }).flatMap((entry): [string, string][] => {
      const below = join(path, entry.name);
      return entry.isDirectory() ? modesBelow(below) : [[below, mode(below)]];
    }),
  ];
}

describe("files", () => {
  test.each(["022", "000"])("directories are 0700 and files 0600 under umask %s, snapshots included", async (umask) => {
    const dataDir = join(folder, "data");
    server = await ServerProcess.start({ command: withUmask(umask), dataDir, args: ["--snapshot-count=10"] });
    await withClient(server.endpoint, async (client) => {
      for (let n = 0; n < 30; n++) await put(client, "a", `${n}`);
      await client.call(methods.defragment, {}, { timeoutMs: 60_000 });
      for (let n = 0; n < 30; n++) await put(client, "a", `${n}`);
    });
    await server.waitForLine("saved snapshot");
    const modes = modesBelow(dataDir);
    expect(modes.some(([path]) => path.endsWith(".snap"))).toBe(true);
    expect(modes.some(([path]) => path.endsWith(".wal"))).toBe(true);
    for (const [path, mode] of modes)
      expect([path, mode]).toEqual([path, statSync(path).isDirectory() ? "700" : "600"]);
  });

  test("a backup that etcdctl and etcdutl write is 0600", async () => {
    server = await ServerProcess.start({ dataDir: join(folder, "data") });
    const saved = join(folder, "backup.db");
    const sh = `umask 000; exec "${program("etcdctl")}" --endpoints=${server.endpoint} snapshot save "${saved}"`;
    expect(spawnSync("sh", ["-c", sh], { env: { PATH: process.env["PATH"] ?? "" } }).status).toBe(0);
    expect((statSync(saved).mode & 0o777).toString(8)).toBe("600");
    const restored = join(folder, "restored");
    const restore = `umask 000; exec "${program("etcdutl")}" snapshot restore "${saved}" --data-dir "${restored}"`;
    expect(spawnSync("sh", ["-c", restore], { env: { PATH: process.env["PATH"] ?? "" } }).status).toBe(0);
    for (const [path, mode] of modesBelow(restored)) {
      expect([path, mode]).toEqual([path, statSync(path).isDirectory() ? "700" : "600"]);
    }
  });

  test("a data directory that others can look into is told of", async () => {
    const dataDir = join(folder, "data");
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o755);
    server = await ServerProcess.start({ dataDir });
    const warning = server.lines.find((line) => line.includes("check file permission")) ?? "";
    expect(warning).toContain(`${dataDir}\\" exist, but the permission is 755. The recommended permission is 700`);
  });

  test("a key for tokens that every user can read is told of, and is used", async () => {
    const key = join(folder, "key.pem");
    const made = runToEnd("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key]);
    expect(made.code).toBe(0);
    chmodSync(key, 0o644);
    const args = [`--auth-token=jwt,priv-key=${key},sign-method=EdDSA`];
    server = await ServerProcess.start({ dataDir: join(folder, "data"), args });
    const warnings = (): string[] => server?.lines.filter((line) => line.includes("the private key can be read")) ?? [];
    expect(warnings().map((line) => JSON.parse(line) as object)).toMatchObject([{ level: "warn", "key-file": key }]);
    await server.stop();
    chmodSync(key, 0o600);
    server = await ServerProcess.start({ dataDir: join(folder, "data"), args });
    expect(warnings()).toEqual([]);
  });
});

function statusOf(url: string, host?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    const sent = request(url, { headers, agent: false }, (response) => {
      let body = "";
      response.on("data", (part: Buffer) => (body += part.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("pages", () => {
  test("profiles are not there, on no port, and cannot be switched on by mistake", async () => {
    const [metrics] = await freePorts(1);
    const metricsUrl = `http://127.0.0.1:${metrics}`;
    server = await ServerProcess.start({
      dataDir: join(folder, "data"),
      args: [`--listen-metrics-urls=${metricsUrl}`],
    });
    const paths = ["", "profile", "heap", "goroutine", "cmdline", "symbol", "trace"].map(
      (name) => `/debug/pprof/${name}`,
    );
    for (const base of [server.endpoint, metricsUrl, server.peerUrl]) {
      for (const path of [...paths, "/debug/requests", "/debug/events"]) {
        expect([path, (await statusOf(base + path)).status]).toEqual([path, 404]);
      }
    }
    // Variables and keys' pages are for the client port alone.
    for (const base of [metricsUrl, server.peerUrl]) {
      for (const path of ["/debug/vars", "/v3/kv/range"]) expect((await statusOf(base + path)).status).toBe(404);
    }
  });

  test("DNS rebinding: a page of another site that reaches the member by a name of its own is refused (CVE-2018-5702)", async () => {
    server = await ServerProcess.start({
      dataDir: join(folder, "data"),
      args: ["--host-whitelist=127.0.0.1,etcd.example"],
    });
    for (const path of ["/version", "/health", "/metrics", "/debug/vars", "/v3/kv/range", "/nothing"]) {
      expect((await statusOf(server.endpoint + path, "evil.example:2379")).status).toBe(421);
      expect((await statusOf(server.endpoint + path, "etcd.example:2379")).status).not.toBe(421);
    }
    const refused = await fetch(`${server.endpoint}/v3/kv/put`, {
      method: "POST",
      body: '{"key":"YQ==","value":"YQ=="}',
    });
    expect(refused.status).toBe(200);
    const { status, body } = await statusOf(`${server.endpoint}/v3/kv/range`, "evil.example");
    expect({ status, hint: body.includes("CVE-2018-5702") }).toEqual({ status: 421, hint: true });
  });
});

test("clients that only connect do not use up the files that the log needs", async () => {
  const limit = 400;
  const path = join(folder, "etcd-few-files");
  writeFileSync(path, `#!/bin/sh\nulimit -n ${limit}\nexec "${program("etcd")}" "$@"\n`);
  chmodSync(path, 0o755);
  server = await ServerProcess.start({ command: path, dataDir: join(folder, "data"), args: ["--snapshot-count=20"] });
  const { connect } = await import("node:net");
  const sockets: ReturnType<typeof connect>[] = [];
  const refused = new Set<unknown>();
  await withClient(server.endpoint, async (client) => {
    await put(client, "a", "first");
    const { port } = new URL(server?.endpoint ?? "");
    await Promise.all(
      Array.from({ length: limit }, () => {
        const socket = connect(Number(port), "127.0.0.1");
        sockets.push(socket);
        socket.on("error", () => refused.add(socket));
        socket.on("close", () => refused.add(socket));
        return new Promise((resolve) => {
          socket.once("connect", resolve);
          socket.once("error", resolve);
        });
      }),
    );
    // New snapshots and log segments are opened meanwhile.
    for (let n = 0; n < 100; n++) await put(client, "a", `${n}`);
    await expect.poll(() => refused.size, { timeout: 60_000 }).toBeGreaterThan(limit - 210);
    expect(refused.size).toBeLessThan(limit - 100);
    expect(server?.lines.filter((line) => line.includes("too many connections of clients"))).toHaveLength(1);
  });
  for (const socket of sockets) socket.destroy();
  const endpoint = server.endpoint;
  await expect
    .poll(
      () =>
        withClient(endpoint, (client) => put(client, "a", "again")).then(
          () => true,
          () => false,
        ),
      { timeout: 60_000 },
    )
    .toBe(true);
});
