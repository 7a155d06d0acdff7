/**
 * The set-up of the operation guide with real certificates, sockets and processes: who gets in, who does not, and members
 * that talk to each other under TLS. Go's etcdctl and etcd take part where they are there.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { get } from "node:https";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, peer, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";

const title = `TLS${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;
const goEtcdctl = peer("etcdctl36");
const goEtcd = peer("etcd36");

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let stranger: CertificateAuthority;
  let server: Pair;
  let client: Pair;
  const running: Member[] = [];

  beforeAll(() => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    stranger = new CertificateAuthority(folder, "stranger");
    const names = ["DNS:localhost", "IP:127.0.0.1"];
    server = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names });
    client = authority.sign("k8sclient");
  });

  afterEach(async () => {
    for (const member of running.splice(0)) await member.stop();
  });

  afterAll(() => removeFolder(folder));

  async function start(changes: readonly string[] = [], command = program("etcd")): Promise<Member> {
    const [clientPort, peerPort] = await freePorts(2);
    const flags = [
      `--data-dir=${join(folder, `data-${clientPort}`)}`,
      `--listen-client-urls=https://127.0.0.1:${clientPort}`,
      `--advertise-client-urls=https://127.0.0.1:${clientPort}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
      `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
      `--cert-file=${server.cert}`,
      `--key-file=${server.key}`,
      `--trusted-ca-file=${authority.cert}`,
      "--client-cert-auth",
      ...changes,
    ];
    const member = new Member(command, flags, clientPort);
    running.push(member);
    expect(await member.says("ready to serve client requests"), member.log()).toBe(true);
    return member;
  }

  /** Go's etcdctl puts a key. */
  function put(etcdctl: string, member: Member, pair: Pair | undefined): { code: number | null; text: string } {
    const own = pair === undefined ? [] : [`--cert=${pair.cert}`, `--key=${pair.key}`];
    const common = [`--endpoints=https://127.0.0.1:${member.port}`, `--cacert=${authority.cert}`];
    const { code, stdout, stderr } = runToEnd(etcdctl, [...common, ...own, "--command-timeout=3s", "put", "a", "b"]);
    return { code, text: stdout + stderr };
  }

  test.skipIf(goEtcdctl === undefined)(
    "Go's etcdctl: k8sclient gets in; nobody without, with a strange, expired or revoked certificate does",
    async () => {
      const etcdctl = goEtcdctl ?? "";
      const revoked = authority.sign("revoked");
      const crl = authority.revoke();
      const member = await start([`--client-crl-file=${crl}`]);
      expect(await member.says("serving client traffic securely")).toBe(true);
      expect(put(etcdctl, member, client)).toEqual({ code: 0, text: "OK\n" });
      expect(put(etcdctl, member, revoked).code).toBe(0);
      authority.revoke(revoked);
      for (const pair of [undefined, stranger.sign("k8sclient"), authority.sign("old", { isExpired: true }), revoked]) {
        expect(put(etcdctl, member, pair).code).not.toBe(0);
      }
      expect(put(etcdctl, member, client).code).toBe(0);
      expect(await member.says("rejected connection on client endpoint")).toBe(true);
    },
  );

  test("the pages are there over https, and the metrics listener is guarded too", async () => {
    const [metricsPort] = await freePorts(1);
    const member = await start([`--listen-metrics-urls=https://127.0.0.1:${metricsPort}`]);
    const identity = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
    const ca = readFileSync(authority.cert);
    for (const port of [member.port, metricsPort]) {
      expect(await fetchText({ port, path: "/health", ca, ...identity })).toContain('"health":"true"');
      await expect(fetchText({ port, path: "/health", ca })).rejects.toThrow();
    }
  });

  test.each([
    [
      ["--cert-file=", "--key-file="],
      "TLS key/cert (--cert-file, --key-file) must be provided for client url https://",
    ],
    [["--key-file="], "KeyFile and CertFile must both be present[key: , cert: "],
    [["--cipher-suites=TLS_X"], 'unexpected TLS cipher suite \\"TLS_X\\"'],
    [["--cert-file=/nowhere"], "open /nowhere: no such file or directory"],
  ])("%j stops the start with etcd's words", async (changes, text) => {
    const [port, peerPort] = await freePorts(2);
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const { code, stderr } = runToEnd(program("etcd"), [
      `--data-dir=${join(folder, "never")}`,
      `--listen-client-urls=https://127.0.0.1:${port}`,
      `--advertise-client-urls=https://127.0.0.1:${port}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      `--cert-file=${server.cert}`,
      `--key-file=${server.key}`,
      ...changes,
    ]);
    expect(stderr).toContain(text);
    expect(code).toBe(1);
  });

  describe.each([
    ["three of ours", 0],
    ["two of ours and Go's 3.6", 1],
  ])("peers under TLS: %s", (_name, goCount) => {
    test.skipIf(goCount > 0 && goEtcd === undefined)("elect a leader and carry a write to all", async () => {
      const ports = await freePorts(6);
      const urls = ports.slice(3).map((port) => `https://127.0.0.1:${port}`);
      const cluster = urls.map((url, index) => `m${index}=${url}`).join(",");
      const members = ports.slice(0, 3).map((port, index) => {
        const flags = [
          `--name=m${index}`,
          `--data-dir=${join(folder, `cluster-${port}`)}`,
          `--listen-client-urls=http://127.0.0.1:${port}`,
          `--advertise-client-urls=http://127.0.0.1:${port}`,
          `--listen-peer-urls=${urls[index]}`,
          `--initial-advertise-peer-urls=${urls[index]}`,
          `--initial-cluster=${cluster}`,
          `--peer-cert-file=${server.cert}`,
          `--peer-key-file=${server.key}`,
          `--peer-trusted-ca-file=${authority.cert}`,
          "--peer-client-cert-auth",
          "--peer-cert-allowed-cn=server",
        ];
        return new Member(index < goCount ? (goEtcd ?? "") : program("etcd"), flags, port);
      });
      running.push(...members);
      for (const member of members) {
        expect(await member.says("ready to serve client requests"), member.log()).toBe(true);
      }
      const at = (member: Member): string => `--endpoints=http://127.0.0.1:${member.port}`;
      expect(runToEnd(program("etcdctl"), [at(members[0]), "put", "a", "b"]).stdout).toBe("OK\n");
      for (const member of members) {
        expect(runToEnd(program("etcdctl"), [at(member), "get", "a"]).stdout).toBe("a\nb\n");
      }
      const ca = readFileSync(authority.cert);
      await expect(fetchText({ port: ports[5], path: "/version", ca })).rejects.toThrow();
      const wrongName = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
      await expect(fetchText({ port: ports[5], path: "/version", ca, ...wrongName })).rejects.toThrow();
      expect(await members[2].says("rejected connection on peer endpoint")).toBe(true);
    });
  });
});

class Member {
  readonly port: number;
  readonly #child: ChildProcess;
  #log = "";

  constructor(command: string, flags: readonly string[], port: number) {
    this.port = port;
    this.#child = spawn(command, flags, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
  }

  log(): string {
    return this.#log;
  }

  /** False when the process ended before it said so. */
  async says(text: string): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (!this.#log.includes(text)) {
      if (this.#child.exitCode !== null || performance.now() > deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return true;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

function fetchText(options: { port: number; path: string; ca: Buffer; cert?: Buffer; key?: Buffer }): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", agent: false, ...options }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}
