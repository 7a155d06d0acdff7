/** Members of ours that are not told who founds the cluster with them. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytes, get, put, withClient } from "../support/client.ts";
import { methods } from "../../src/client/methods.ts";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { Discovered, mayServeDns, namesAt, zoneOfThree } from "../support/discovery.ts";
import { freePorts, program, runBeside, ServerProcess } from "../support/process.ts";
import { V2Service } from "../support/v2-service.ts";

let found: Discovered;
beforeEach(() => {
  found = new Discovered();
});
afterEach(() => found.close());

async function allReady(): Promise<void> {
  for (const member of found.members) {
    if (!(await member.becomesReady())) throw new Error(`a member did not become ready:\n${member.lines.join("\n")}`);
  }
}

test("members that register at another cluster found one, and later ones are refused", async () => {
  await found.openRegistry(undefined, "blue", "3");
  const [m1] = await Promise.all(["m1", "m2", "m3"].map((name) => found.register(name, "blue")));
  await allReady();
  expect(await namesAt(m1.endpoint)).toEqual(["m1", "m2", "m3"]);
  expect(m1.lines.some((line) => line.includes("discovery joined cluster successfully"))).toBe(true);

  const late = await found.register("m4", "blue");
  expect(await late.exit()).toBe(1);
  expect(late.lines.join("\n")).toContain("failed to join discovery cluster (discovery: cluster is full)");

  // The registry is of no use any more once a member has data.
  await found.registry?.kill();
  await m1.stop();
  const again = await found.register("m1", "blue", undefined, [
    `--listen-peer-urls=${m1.peerUrl}`,
    `--initial-advertise-peer-urls=${m1.peerUrl}`,
  ]);
  expect(await again.becomesReady()).toBe(true);
  expect(again.lines.join("\n")).toContain("discovery token is ignored since cluster already initialized");
});

test.each([
  ["3x", "discovery: size key is bad"],
  ["0", "discovery: size key is bad"],
  ["-1", "discovery: size key is bad"],
])("a registry whose size is %j refuses", async (size, text) => {
  await found.openRegistry(undefined, "bad", size);
  const member = await found.register("m1", "bad");
  expect(await member.exit()).toBe(1);
  expect(member.lines.join("\n")).toContain(`failed to join discovery cluster (${text})`);
});

test("a token that the registry does not know is refused, and a registry that is away is tried again", async () => {
  await found.openRegistry(undefined, "known", "1");
  const unknown = await found.register("m1", "unknown");
  expect(await unknown.exit()).toBe(1);
  expect(unknown.lines.join("\n")).toContain("(discovery: size key not found)");
  expect(unknown.lines.join("\n")).toContain("discovery token was already used");

  found.registry?.signal("SIGSTOP");
  const member = await found.register("m2", "known", undefined, ["--discovery-request-timeout=100ms"]);
  expect(await member.waitForLine("retry connecting to discovery service")).toBe(true);
  found.registry?.signal("SIGCONT");
  expect(await member.becomesReady()).toBe(true);
});

test("two members of one name do not found a cluster", async () => {
  await found.openRegistry(undefined, "twins", "2");
  const twins = await Promise.all([found.register("m1", "twins"), found.register("m1", "twins")]);
  // They share the directory too, which only one of them can have: stop it there.
  expect(await Promise.race(twins.map((twin) => twin.exit()))).toBe(1);
});

test("a registry with users lets in who knows the password", async () => {
  await found.openRegistry(undefined, "closed", "1");
  const registry = found.registry!;
  await withClient(registry.endpoint, async (client) => {
    await client.call(methods.userAdd, { name: "root", password: "secret" });
    await client.call(methods.userGrantRole, { user: "root", role: "root" });
    await client.call(methods.authEnable, {});
  });
  const member = await found.register("m1", "closed", undefined, [
    "--discovery-user=root",
    "--discovery-password=secret",
  ]);
  expect(await member.becomesReady()).toBe(true);
  const refused = await found.register("m2", "closed", undefined, ["--discovery-user=root", "--discovery-password=x"]);
  expect(await refused.exit()).toBe(1);
  expect(refused.lines.join("\n")).toContain("authentication failed");
});

test.skipIf(certificatesMissing !== undefined)("a registry under TLS is trusted by its authority alone", async () => {
  const authority = new CertificateAuthority(found.folder);
  const pair = authority.sign("registry", { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] });
  const [client, peer] = await freePorts(2);
  const url = `https://127.0.0.1:${client}`;
  found.registry = await ServerProcess.start({
    dataDir: `${found.folder}/registry`,
    ports: { client, peer },
    args: [
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--cert-file=${pair.cert}`,
      `--key-file=${pair.key}`,
      `--trusted-ca-file=${authority.cert}`,
    ],
  });
  const files = [`--cert=${pair.cert}`, `--key=${pair.key}`, `--cacert=${authority.cert}`];
  const put = ["put", "/_etcd/registry/secret/_config/size", "1"];
  expect(await runBeside(program("etcdctl"), [`--endpoints=${url}`, ...files, ...put])).toMatchObject({ code: 0 });
  const start = (name: string, more: readonly string[]): Promise<ServerProcess> =>
    ServerProcess.launch({
      dataDir: `${found.folder}/${name}`,
      founding: ["--discovery-token=secret", `--discovery-endpoints=${url}`],
      args: ["--discovery-request-timeout=200ms", ...more],
    });
  const stranger = await start("m1", []);
  found.members.push(stranger);
  expect(await stranger.waitForLine("retry connecting to discovery service")).toBe(true);
  expect(stranger.lines.join("\n")).toMatch(/x509|certificate/);
  const known = await start(
    "m2",
    files.map((flag) => flag.replace("--", "--discovery-")),
  );
  found.members.push(known);
  expect(await known.becomesReady()).toBe(true);
});

test.skipIf(!mayServeDns()).each([[""], ["blue"]])(
  "members found a cluster by SRV records of service name %j, and etcdctl finds it by them",
  async (serviceName) => {
    const { ports, zone } = await zoneOfThree(serviceName === "" ? "" : `-${serviceName}`);
    await found.openDns(zone);
    await Promise.all(ports.map((each, index) => found.startBySrv(`m${index + 1}`, each, { serviceName })));
    await allReady();
    expect(await namesAt(found.members[0].endpoint)).toEqual(["m1", "m2", "m3"]);
    await withClient(found.members[1].endpoint, (client) => put(client, "k", "found"));
    expect(await withClient(found.members[2].endpoint, (client) => get(client, "k"))).toBe("found");

    const etcdctl = found.withDns(program("etcdctl"));
    const flags = ["--discovery-srv=quorate.test", `--discovery-srv-name=${serviceName}`];
    expect(await runBeside(etcdctl, [...flags, "get", "k"])).toMatchObject({ code: 0, stdout: "k\nfound\n" });
    const strict = await runBeside(etcdctl, [
      ...flags,
      "--insecure-discovery=false",
      "--command-timeout=100ms",
      "get",
      "k",
    ]);
    expect(strict.stderr).toContain(
      `ignoring discovered insecure endpoint "http://m1.quorate.test.:${ports[0].client}"`,
    );
  },
);

test.skipIf(!mayServeDns())("SRV records without this member are refused", async () => {
  const { ports, zone } = await zoneOfThree();
  await found.openDns({ ...zone, addresses: { ...zone.addresses, "other.quorate.test": ["127.0.0.9"] } });
  const member = await found.startBySrv("m1", ports[0], { host: "other.quorate.test" });
  expect(await member.exit()).toBe(1);
  expect(member.lines.join("\n")).toContain('cannot find local etcd member \\"m1\\" in SRV records');
});

test.skipIf(!mayServeDns())("a member named by its host joins a cluster that knows it by its address", async () => {
  const { ports, zone } = await zoneOfThree();
  await found.openDns(zone);
  const one = await ServerProcess.start({ dataDir: `${found.folder}/one` });
  found.members.push(one);
  const url = (host: string): string => `http://${host}:${ports[0].peer}`;
  await withClient(one.endpoint, (client) => client.call(methods.memberAdd, { peerURLs: [url("127.0.0.1")] }));
  const two = await ServerProcess.launch({
    dataDir: `${found.folder}/two`,
    ports: ports[0],
    command: found.withDns(program("etcd")),
    founding: [`--initial-cluster=default=${one.peerUrl},two=${url("m1.quorate.test")}`],
    args: ["--name=two", "--initial-cluster-state=existing", `--initial-advertise-peer-urls=${url("m1.quorate.test")}`],
  });
  found.members.push(two);
  expect(await two.becomesReady()).toBe(true);
  await withClient(two.endpoint, (client) => client.call(methods.range, { key: bytes("k") }, { timeoutMs: 60_000 }));
});

describe("a v2 service", () => {
  let service: V2Service;
  beforeEach(async () => {
    service = await V2Service.start();
    service.set("/token/_config/size", "2");
  });
  afterEach(() => service.close());

  test("members that register there found a cluster, and later ones are refused", async () => {
    const [m1] = await Promise.all(["m1", "m2"].map((name) => found.registerAtV2(name, `${service.url}/token`)));
    await allReady();
    expect(await namesAt(m1.endpoint)).toEqual(["m1", "m2"]);
    const late = await found.registerAtV2("m3", `${service.url}/token`);
    expect(await late.exit()).toBe(1);
    expect(late.lines.join("\n")).toContain("failed to join discovery cluster (discovery: cluster is full)");
  });

  test("it is asked through a proxy, tried again when it fails, and followed to where it went", async () => {
    const refused = new Set<string>();
    service.interrupt = ({ url = "" }, response) => {
      const [path] = url.split("?");
      if (path.endsWith("/size") && !refused.has(path)) {
        refused.add(path);
        response.writeHead(503).end();
        return true;
      }
      if (!path.includes("/moved")) return false;
      response.writeHead(307, { Location: url.replace("/moved", "/token") }).end();
      return true;
    };
    service.set("/token/_config/size", "1");
    const proxy = `--discovery-proxy=${service.url.replace("http://", "")}`;
    // The service itself is nowhere: only the proxy is.
    await found.registerAtV2("m1", "http://discovery.invalid/moved", undefined, [proxy]);
    await allReady();
    expect(service.targets[0]).toBe(
      "GET http://discovery.invalid/moved/_config/size?quorum=false&recursive=false&sorted=false",
    );
    expect(found.members[0].lines.join("\n")).toContain("retry connecting to discovery service");
  });
});
