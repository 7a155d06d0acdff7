/** Three members under TLS on all sides, by real processes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, removeFolder, temporaryFolder } from "../support/process.ts";
import { clientFlags, etcdctl, fetchPage, memberFiles, TlsMember } from "../support/tls-member.ts";

const title = `a cluster under TLS${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let server: Pair;
  let client: Pair;
  const running: TlsMember[] = [];

  beforeAll(() => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    server = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] });
    client = authority.sign("k8sclient");
  });

  afterEach(async () => {
    for (const member of running.splice(0)) await member.stop();
  });

  afterAll(() => removeFolder(folder));

  test("elects a leader, carries writes to all, loses a member and gets it back; strangers get nowhere", async () => {
    const ports = await freePorts(6);
    const pairOf = (index: number): [number, number] => [ports[2 * index], ports[2 * index + 1]];
    const initialCluster = [0, 1, 2].map((index) => `m${index}=https://127.0.0.1:${pairOf(index)[1]}`).join(",");
    const flags = [...memberFiles(server, authority), "--peer-cert-allowed-cn=server"];
    const launch = (index: number): Promise<TlsMember> =>
      TlsMember.launch({ folder, name: `m${index}`, ports: pairOf(index), peerScheme: "https", initialCluster, flags });
    for (const index of [0, 1, 2]) running.push(await launch(index));
    for (const member of running) await member.ready();
    const all = `--endpoints=${running.map(({ endpoint }) => endpoint).join(",")}`;
    const identity = clientFlags(authority, client);
    expect(etcdctl([all, ...identity, "put", "a", "b"]).stdout).toBe("OK\n");
    for (const { endpoint } of running) {
      expect(etcdctl([`--endpoints=${endpoint}`, ...identity, "get", "a"]).stdout).toBe("a\nb\n");
    }
    await running[2].stop();
    // The leader may be the one that went.
    const deadline = performance.now() + patienceMs;
    while (etcdctl([all, ...identity, "put", "c", "d"]).code !== 0) expect(performance.now()).toBeLessThan(deadline);
    running[2] = await launch(2);
    await running[2].ready();
    expect(etcdctl([`--endpoints=${running[2].endpoint}`, ...identity, "get", "c"]).stdout).toBe("c\nd\n");
    const cluster = etcdctl([`--endpoints=${running[0].endpoint}`, ...identity, "endpoint", "health", "--cluster"]);
    expect(cluster.code, cluster.stderr).toBe(0);

    const page = { port: running[0].peerPort, path: "/version", authority };
    await expect(fetchPage(page)).rejects.toThrow();
    await expect(fetchPage({ ...page, pair: client })).rejects.toThrow(); // not an allowed name
    expect((await fetchPage({ ...page, pair: server })).status).toBe(200);
    expect(await running[0].says("rejected connection on peer endpoint")).toBe(true);
  });

  test("a member whose authority the others do not know is not let in, and does not let them in", async () => {
    const stranger = new CertificateAuthority(folder, "stranger");
    const strange = stranger.sign("server", { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] });
    const ports = await freePorts(4);
    const initialCluster = `m0=https://127.0.0.1:${ports[1]},m1=https://127.0.0.1:${ports[3]}`;
    const common = { folder, peerScheme: "https", initialCluster } as const;
    const [one, other] = [
      await TlsMember.launch({
        ...common,
        name: "m0",
        ports: [ports[0], ports[1]],
        flags: memberFiles(server, authority),
      }),
      await TlsMember.launch({
        ...common,
        name: "m1",
        ports: [ports[2], ports[3]],
        flags: memberFiles(strange, stranger),
      }),
    ];
    running.push(one, other);
    for (const member of [one, other]) {
      expect(await member.says("rejected connection on peer endpoint")).toBe(true);
      expect(await member.says("x509: certificate signed by unknown authority")).toBe(true);
      expect(member.log()).not.toContain("ready to serve client requests");
    }
  });
});
