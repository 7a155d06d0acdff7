/** `etcd gateway`: many connections through it, members that die and come back, and what it refuses. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { get, put, withClient } from "../support/client.ts";
import { eventually, TestCluster } from "../support/cluster.ts";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { Discovered, mayServeDns } from "../support/discovery.ts";
import {
  freePorts,
  peer,
  program,
  removeFolder,
  runBeside,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";

let folder: string;
let running: ServerProcess[];

beforeEach(() => {
  folder = temporaryFolder();
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((server) => server.kill()));
  removeFolder(folder);
});

async function startGateway(args: readonly string[], command = program("etcd")): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    const [port] = await freePorts(1);
    const flags = ["gateway", "start", `--listen-addr=127.0.0.1:${port}`, ...args];
    const gateway = ServerProcess.spawn({ command, flags, env: {}, port, peerUrl: "" });
    running.push(gateway);
    if (await gateway.waitForLine("ready to proxy client requests")) return gateway;
    if (attempt === 3) throw new Error(gateway.lines.join("\n"));
  }
}

describe("three members behind it", () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.found([undefined, undefined, undefined]);
  });
  afterEach(() => cluster.close());

  test("fifty clients work through it at once, while one member dies and comes back", async () => {
    const endpoints = cluster.members.map(({ ports }) => `127.0.0.1:${ports.client}`);
    const gateway = await startGateway([`--endpoints=${endpoints.join(",")}`, "--retry-delay=200ms"]);
    const numbers = Array.from({ length: 50 }, (_, index) => index);
    const work = (round: string) =>
      Promise.all(
        numbers.map((index) =>
          withClient(gateway.endpoint, async (client) => {
            await put(client, `k${index}`, `${round}-${index}`);
            return get(client, `k${index}`);
          }),
        ),
      );
    expect(await work("whole")).toEqual(numbers.map((index) => `whole-${index}`));
    const [victim] = cluster.members;
    await victim.kill();
    await eventually("the others serve", async () => {
      expect(await work("wounded")).toEqual(numbers.map((index) => `wounded-${index}`));
    });
    expect(await gateway.waitForLine('"msg":"deactivated endpoint"')).toBe(true);
    expect(await gateway.waitForLine('"msg":"failed to activate endpoint')).toBe(true);
    await cluster.start(victim);
    expect(await gateway.waitForLine('"msg":"activated"')).toBe(true);
    expect(await work("healed")).toEqual(numbers.map((index) => `healed-${index}`));
    expect(await gateway.stop()).toBe(0);
  });
});

const help = "Usage:\n  etcd gateway start [flags]\n\nFlags:\n      --discovery-srv string        DNS domain";

test.each([
  [["--endpoints=foo"], 'error parsing endpoint "foo"', ""],
  [["--listen-addr=foo"], "failed to validate listen address: foo\n", ""],
  [["--listen-addr=nohost.invalid:1"], "failed to resolve listen host: nohost.invalid\n", ""],
  [["--endpoints=nohost.invalid:2379"], "failed to resolve endpoint host: nohost.invalid\n", ""],
  [["--listen-addr=127.0.0.1:99999"], "", "listen tcp: address 99999: invalid port\n"],
  [["--listen-addr"], "", "Error: flag needs an argument: --listen-addr\n"],
  [["--nope"], "", "\n\nunknown flag: --nope"],
  [["--nope"], "", help],
])("%j ends with status 1 and etcd's words", (args, stdout, stderr) => {
  const mine = runToEnd(program("etcd"), ["gateway", "start", ...args]);
  expect(mine).toMatchObject({ code: 1, stdout });
  expect(mine.stderr).toContain(stderr);
  const goEtcd = peer("etcd36");
  if (goEtcd === undefined) return;
  const theirs = runToEnd(goEtcd, ["gateway", "start", ...args]);
  const withoutLog = (text: string): string => text.replace(/^\{.*\}\n/gm, "");
  expect({ ...mine, stderr: withoutLog(mine.stderr) }).toEqual({ ...theirs, stderr: withoutLog(theirs.stderr) });
});

test.each(["gateway", "gateway --help", "gateway start --help", "gateway foo"])(
  "etcd %s helps as etcd's does",
  (line) => {
    const args = line.split(" ");
    const mine = runToEnd(program("etcd"), args);
    expect(mine).toMatchObject({ code: 0, stderr: "" });
    expect(mine.stdout).toMatch(/^(gateway related command|start the gateway)\n\nUsage:\n {2}etcd gateway/);
    const goEtcd = peer("etcd36");
    if (goEtcd !== undefined) expect(mine).toEqual(runToEnd(goEtcd, args));
  },
);

test("it does not take itself for an endpoint, whatever name leads there (CVE-2020-15114)", async () => {
  for (const endpoint of ["127.0.0.1:23790", "http://localhost:23790"]) {
    const { code, stdout } = runToEnd(program("etcd"), ["gateway", "start", `--endpoints=${endpoint}`]);
    const host = endpoint.replace(/^http:\/\//, "");
    expect(code).toBe(1);
    expect(stdout).toBe(
      `SRV or endpoint (${host}->127.0.0.1:23790) should not resolve to the gateway listen addr (127.0.0.1:23790)\n`,
    );
  }
  // Where it listens on every interface nothing can be told from the texts: the connection tells.
  const [port] = await freePorts(1);
  const flags = ["gateway", "start", `--listen-addr=0.0.0.0:${port}`, `--endpoints=127.0.0.1:${port}`];
  const gateway = ServerProcess.spawn({ command: program("etcd"), flags, env: {}, port, peerUrl: "" });
  running.push(gateway);
  expect(await gateway.waitForLine("ready to proxy client requests")).toBe(true);
  await expect(
    withClient(gateway.endpoint, (client) =>
      client.call(methods.range, { key: Uint8Array.of(1) }, { timeoutMs: 2000 }),
    ),
  ).rejects.toThrow();
  expect(await gateway.waitForLine("the endpoint leads back to the gateway itself")).toBe(true);
  expect(await gateway.stop()).toBe(0);
});

describe.skipIf(!mayServeDns())("endpoints by DNS", () => {
  let found: Discovered;
  beforeEach(() => {
    found = new Discovered();
  });
  afterEach(() => found.close());

  test("the best priority is used, and the next when nobody is there", async () => {
    const [nobody] = await freePorts(1);
    const member = await ServerProcess.start({ dataDir: `${folder}/data` });
    running.push(member);
    await found.openDns({
      addresses: { "m1.quorate.test": ["127.0.0.1"], "m2.quorate.test": ["127.0.0.1"] },
      services: {
        "_etcd-client._tcp.quorate.test": [
          { target: "m1.quorate.test", port: nobody, priority: 0 },
          { target: "m2.quorate.test", port: member.port, priority: 10 },
        ],
      },
    });
    const command = found.withDns(program("etcd"));
    const gateway = await startGateway(["--discovery-srv=quorate.test", "--insecure-discovery"], command);
    await withClient(gateway.endpoint, (client) => put(client, "k", "by name"));
    expect(await withClient(member.endpoint, (client) => get(client, "k"))).toBe("by name");
    expect(gateway.lines.join("\n")).toContain(`"deactivated endpoint","address":"m1.quorate.test:${nobody}"`);
  });

  test.skipIf(certificatesMissing !== undefined)(
    "of secure ones those count that prove to be of the domain",
    async () => {
      const authority = new CertificateAuthority(folder);
      const ours = authority.sign("ours", { usage: ["serverAuth"], names: ["DNS:quorate.test", "IP:127.0.0.1"] });
      const foreign = authority.sign("foreign", { usage: ["serverAuth"], names: ["DNS:elsewhere.test"] });
      const start = async (name: string, pair: { cert: string; key: string }): Promise<ServerProcess> => {
        const [client, peerPort] = await freePorts(2);
        const url = `https://127.0.0.1:${client}`;
        const peerUrl = `http://127.0.0.1:${peerPort}`;
        const flags = [
          `--data-dir=${folder}/${name}`,
          `--listen-client-urls=${url}`,
          `--advertise-client-urls=${url}`,
          `--listen-peer-urls=${peerUrl}`,
          `--initial-advertise-peer-urls=${peerUrl}`,
          `--initial-cluster=default=${peerUrl}`,
          `--cert-file=${pair.cert}`,
          `--key-file=${pair.key}`,
        ];
        const member = ServerProcess.spawn({ command: program("etcd"), flags, env: {}, port: client, peerUrl });
        running.push(member);
        expect(await member.becomesReady()).toBe(true);
        return member;
      };
      const [good, bad] = await Promise.all([start("good", ours), start("bad", foreign)]);
      const target = "m1.quorate.test";
      await found.openDns({
        addresses: { [target]: ["127.0.0.1"] },
        services: {
          "_etcd-client-ssl._tcp.quorate.test": [
            { target, port: bad.port },
            { target, port: good.port },
          ],
        },
      });
      const gateway = await startGateway(
        ["--discovery-srv=quorate.test", `--trusted-ca-file=${authority.cert}`, "--retry-delay=100ms"],
        found.withDns(program("etcd")),
      );
      const log = gateway.lines.join("\n");
      expect(log).toContain("failed to validate discovered endpoints");
      expect(log).toContain(`"ready to proxy client requests","endpoints":["${target}:${good.port}"]`);
      const ctl = [`--endpoints=https://127.0.0.1:${gateway.port}`, `--cacert=${authority.cert}`];
      expect(await runBeside(program("etcdctl"), [...ctl, "put", "k", "v"])).toMatchObject({ code: 0, stdout: "OK\n" });
      // What was proved once is not believed for ever.
      writeFileSync(ours.cert, readFileSync(foreign.cert));
      writeFileSync(ours.key, readFileSync(foreign.key));
      expect(await gateway.waitForLine('"deactivated endpoint"')).toBe(true);
      expect(gateway.lines.join("\n")).toMatch(/"deactivated endpoint".*certificate is valid for elsewhere.test/);
    },
  );
});
