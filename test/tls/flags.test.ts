/** Every TLS flag of a member, by real processes: what it lets in, and what it turns away. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectSecurely, type PeerCertificate } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";
import { clientFlags, etcdctl, fetchPage, TlsMember, type TlsMemberOptions } from "../support/tls-member.ts";

const title = `TLS flags${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let server: Pair;
  let client: Pair;
  const running: TlsMember[] = [];

  beforeAll(() => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    server = authority.sign("server", {
      usage: ["serverAuth", "clientAuth"],
      names: ["DNS:localhost", "IP:127.0.0.1"],
    });
    client = authority.sign("k8sclient");
  });

  afterEach(async () => {
    for (const member of running.splice(0)) await member.stop();
  });

  afterAll(() => removeFolder(folder));

  async function start(flags: readonly string[], options: Partial<TlsMemberOptions> = {}): Promise<TlsMember> {
    const member = await TlsMember.start({ folder, ...options, flags });
    running.push(member);
    return member;
  }

  const clientFiles = (pair: Pair = server): string[] => [
    `--cert-file=${pair.cert}`,
    `--key-file=${pair.key}`,
    `--trusted-ca-file=${authority.cert}`,
    "--client-cert-auth",
  ];

  const peerFiles = (pair: Pair = server): string[] => [
    `--peer-cert-file=${pair.cert}`,
    `--peer-key-file=${pair.key}`,
    `--peer-trusted-ca-file=${authority.cert}`,
    "--peer-client-cert-auth",
  ];

  /** Whether etcdctl gets in. */
  function getsIn(member: TlsMember, pair: Pair | undefined): boolean {
    const args = [`--endpoints=${member.endpoint}`, ...clientFlags(authority, pair), "--command-timeout=2s"];
    return etcdctl([...args, "put", "a", "b"]).code === 0;
  }

  /** Whether the peers' pages are served. */
  async function peerGetsIn(member: TlsMember, pair: Pair): Promise<boolean> {
    try {
      const { status } = await fetchPage({ port: member.peerPort, path: "/version", authority, pair });
      return status === 200;
    } catch {
      return false;
    }
  }

  test("--client-crl-file: a revoked certificate gets in until it is listed, without a restart", async () => {
    const revoked = authority.sign("revoked");
    const crl = authority.revoke();
    const member = await start([...clientFiles(), `--client-crl-file=${crl}`]);
    expect(getsIn(member, revoked)).toBe(true);
    authority.revoke(revoked);
    expect(getsIn(member, revoked)).toBe(false);
    expect(getsIn(member, client)).toBe(true);
    expect(await member.says(" revoked")).toBe(true);
    expect(member.log()).toMatch(/transport: certificate serial [0-9a-f]+ revoked/);
    writeFileSync(crl, "nonsense");
    expect(getsIn(member, client)).toBe(false);
    expect(await member.says("x509: malformed crl")).toBe(true);
  });

  test("--client-crl-file holds on the HTTP listener of its own too", async () => {
    const revoked = authority.sign("revoked-http");
    const crl = authority.revoke(revoked);
    const [httpPort] = await freePorts(1);
    const http = `--listen-client-http-urls=https://127.0.0.1:${httpPort}`;
    const member = await start([...clientFiles(), `--client-crl-file=${crl}`, http]);
    expect(await member.says("serving client traffic securely")).toBe(true);
    const page = { port: httpPort, path: "/version", authority };
    expect((await fetchPage({ ...page, pair: client })).status).toBe(200);
    await expect(fetchPage({ ...page, pair: revoked })).rejects.toThrow();
    expect(getsIn(member, revoked)).toBe(false);
    expect(getsIn(member, client)).toBe(true);
  });

  test("--client-cert-allowed-hostname: the certificate must be for one of the hosts", async () => {
    const flags = ["--client-cert-allowed-hostname=api.example,192.0.2.9"];
    const member = await start([...clientFiles(), ...flags]);
    expect(getsIn(member, authority.sign("api", { names: ["DNS:api.example"] }))).toBe(true);
    expect(getsIn(member, authority.sign("api-ip", { names: ["IP:192.0.2.9"] }))).toBe(true);
    expect(getsIn(member, client)).toBe(false);
    expect(getsIn(member, authority.sign("api.example"))).toBe(false); // a common name is no host name
    expect(await member.says("client certificate authentication failed")).toBe(true);
  });

  test("--peer-cert-allowed-cn and --peer-crl-file: only named and unrevoked peers", async () => {
    const crl = authority.revoke();
    const flags = [...peerFiles(), "--peer-cert-allowed-cn=server,second", `--peer-crl-file=${crl}`];
    const member = await start(flags, { peerScheme: "https", clientScheme: "http" });
    const second = authority.sign("second");
    expect(await peerGetsIn(member, second)).toBe(true);
    expect(await peerGetsIn(member, authority.sign("third"))).toBe(false);
    expect(await member.says("client certificate authentication failed")).toBe(true);
    authority.revoke(second);
    expect(await peerGetsIn(member, second)).toBe(false);
    expect(await peerGetsIn(member, server)).toBe(true);
    expect(await member.says("rejected connection on peer endpoint")).toBe(true);
  });

  test("--peer-cert-allowed-hostname: only peers whose certificate is for one of the hosts", async () => {
    const flags = [...peerFiles(), "--peer-cert-allowed-hostname=localhost,other.example"];
    const member = await start(flags, { peerScheme: "https", clientScheme: "http" });
    expect(await peerGetsIn(member, server)).toBe(true);
    expect(await peerGetsIn(member, client)).toBe(false);
  });

  test("a peer's certificate must be for the address it comes from", async () => {
    const member = await start(peerFiles(), { peerScheme: "https", clientScheme: "http" });
    expect(await peerGetsIn(member, server)).toBe(true);
    expect(await peerGetsIn(member, client)).toBe(true); // for no host, which is good everywhere, as in etcd
    expect(await peerGetsIn(member, authority.sign("elsewhere", { names: ["IP:192.0.2.1"] }))).toBe(false);
    expect(await member.says("x509: certificate is valid for 192.0.2.1, not 127.0.0.1")).toBe(true);
    expect(await peerGetsIn(member, authority.sign("nobody", { names: ["DNS:nobody.invalid"] }))).toBe(false);
  });

  test.each(["--peer-skip-client-san-verification", "--experimental-peer-skip-client-san-verification"])(
    "%s: unless this is given",
    async (flag) => {
      const member = await start([...peerFiles(), flag], { peerScheme: "https", clientScheme: "http" });
      const elsewhere = authority.sign("elsewhere-too", { names: ["IP:192.0.2.1"] });
      expect(await peerGetsIn(member, elsewhere)).toBe(true);
    },
  );

  /** What the handshake with a client of these abilities agrees on. */
  async function agreed(
    member: TlsMember,
    abilities: { maxVersion?: "TLSv1.2"; minVersion?: "TLSv1.3"; ciphers?: string },
  ): Promise<string> {
    return new Promise((resolve) => {
      const socket = connectSecurely({
        port: member.port,
        host: "127.0.0.1",
        ca: readFileSync(authority.cert),
        cert: readFileSync(client.cert),
        key: readFileSync(client.key),
        ...abilities,
      });
      socket.once("secureConnect", () => {
        resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
        socket.destroy();
      });
      socket.once("error", () => resolve("refused"));
    });
  }

  test("--tls-max-version and --cipher-suites: TLS 1.2 with the suites named and no others", async () => {
    const flags = ["--tls-max-version=TLS1.2", "--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"];
    const member = await start([...clientFiles(), ...flags]);
    expect(await agreed(member, {})).toBe("TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
    expect(await agreed(member, { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" })).toBe("refused");
    expect(await agreed(member, { minVersion: "TLSv1.3" })).toBe("refused");
    expect(await member.says("tls: no cipher suite supported by both client and server")).toBe(true);
    expect(getsIn(member, client)).toBe(true);
  });

  test("--tls-min-version=TLS1.3: nothing older", async () => {
    const member = await start([...clientFiles(), "--tls-min-version=TLS1.3"]);
    expect(await agreed(member, {})).toMatch(/^TLSv1\.3 /);
    expect(await agreed(member, { maxVersion: "TLSv1.2" })).toBe("refused");
  });

  test("suites of TLS 1.3 alone leave none for TLS 1.2, as in Go", async () => {
    const member = await start([...clientFiles(), "--cipher-suites=TLS_AES_128_GCM_SHA256"]);
    expect(await agreed(member, {})).toMatch(/^TLSv1\.3 /);
    expect(await agreed(member, { maxVersion: "TLSv1.2" })).toBe("refused");
  });

  test.each<[readonly string[], string]>([
    [["--cipher-suites=TLS_X"], 'unexpected TLS cipher suite \\"TLS_X\\"'],
    [["--cipher-suites=TLS_RSA_WITH_RC4_128_SHA"], "TLS cipher suite TLS_RSA_WITH_RC4_128_SHA is broken"],
    [
      ["--cipher-suites=TLS_AES_128_GCM_SHA256", "--tls-min-version=TLS1.3"],
      "cipher suites cannot be configured when only TLS1.3 is enabled",
    ],
    [["--tls-min-version=TLS1.1"], 'unexpected TLS version \\"TLS1.1\\" (must be one of: TLS1.2, TLS1.3)'],
    [
      ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
      "min version (TLS1.3) is greater than max version (TLS1.2)",
    ],
    [
      ["--client-cert-file=/nowhere"],
      "ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: /nowhere]",
    ],
    [["--client-cert-file=/nowhere", "--client-key-file=/nowhere"], "open /nowhere: no such file or directory"],
    [
      ["--peer-client-key-file=/nowhere"],
      "ClientKeyFile and ClientCertFile must both be present or both absent: key: /nowhere, cert: ]",
    ],
    [
      ["--peer-client-cert-file=/nowhere", "--peer-client-key-file=/nowhere"],
      "open /nowhere: no such file or directory",
    ],
    [["--peer-trusted-ca-file=/nowhere"], "open /nowhere: no such file or directory"],
    [["--client-crl-file=/nowhere"], "open /nowhere: no such file or directory"],
    [
      ["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b", "--peer-cert-file=x", "--peer-key-file=y"],
      'AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\\"a\\"], hostnames=[\\"b\\"])',
    ],
  ])("%j stops the start", async (flags, text) => {
    const member = await TlsMember.launch({ folder, flags: [...clientFiles(), ...flags] });
    running.push(member);
    expect(await member.end()).toBe(1);
    expect(await member.says(text)).toBe(true);
  });

  test("--client-cert-file and --client-key-file are read when the member starts", async () => {
    const member = await start([
      ...clientFiles(),
      `--client-cert-file=${client.cert}`,
      `--client-key-file=${client.key}`,
    ]);
    expect(getsIn(member, client)).toBe(true);
  });

  test("--peer-client-cert-file and --peer-client-key-file are what a member shows to the others", async () => {
    const only = authority.sign("server-only", { usage: ["serverAuth"], names: ["IP:127.0.0.1"] });
    const own = authority.sign("peer-client");
    const outgoing = [`--peer-client-cert-file=${own.cert}`, `--peer-client-key-file=${own.key}`];
    const flags = [...peerFiles(only), "--peer-cert-allowed-cn=server-only,peer-client"];
    const members = await launchPair((index) => [...flags, ...(index === 0 ? outgoing : [])]);
    // The second one shows its server certificate, which is not for clients.
    expect(await members[0].says("x509: certificate specifies an incompatible key usage")).toBe(true);
    for (const member of running.splice(0)) await member.stop();
    const both = await launchPair(() => [...flags, ...outgoing]);
    for (const member of both) await member.ready();
    expect(etcdctl([`--endpoints=${both[0].endpoint}`, "put", "a", "b"]).stdout).toBe("OK\n");
  });

  /** Two members of one cluster over https peers. */
  async function launchPair(flagsOf: (index: number) => readonly string[]): Promise<[TlsMember, TlsMember]> {
    const ports = await freePorts(4);
    const initialCluster = `m0=https://127.0.0.1:${ports[1]},m1=https://127.0.0.1:${ports[3]}`;
    const members = [];
    for (const index of [0, 1]) {
      const own = { name: `m${index}`, ports: [ports[2 * index], ports[2 * index + 1]] as [number, number] };
      const schemes = { peerScheme: "https", clientScheme: "http" } as const;
      members.push(await TlsMember.launch({ folder, ...own, ...schemes, initialCluster, flags: flagsOf(index) }));
    }
    running.push(...members);
    return members as [TlsMember, TlsMember];
  }

  test("certificates of clients' and peers' sides change without a restart, the authority included", async () => {
    const files = (index: number): { cert: string; key: string; ca: string } => {
      const path = (name: string): string => join(folder, `live-${index}-${name}`);
      return { cert: path("crt"), key: path("key"), ca: path("ca") };
    };
    const next = new CertificateAuthority(folder, "next");
    const names = { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] };
    for (const index of [0, 1]) install(files(index), authority.sign(`live-${index}`, names), [authority]);
    const ports = await freePorts(4);
    const initialCluster = `m0=https://127.0.0.1:${ports[1]},m1=https://127.0.0.1:${ports[3]}`;
    const optionsOf = (index: number): TlsMemberOptions => {
      const { cert, key, ca } = files(index);
      const flags = ["", "peer-"].flatMap((side) => [
        `--${side}cert-file=${cert}`,
        `--${side}key-file=${key}`,
        `--${side}trusted-ca-file=${ca}`,
        `--${side}client-cert-auth`,
      ]);
      const own: [number, number] = [ports[2 * index], ports[2 * index + 1]];
      return { folder, name: `m${index}`, ports: own, peerScheme: "https", initialCluster, flags };
    };
    const members = [await TlsMember.launch(optionsOf(0)), await TlsMember.launch(optionsOf(1))];
    running.push(...members);
    for (const member of members) await member.ready();
    expect(getsIn(members[0], client)).toBe(true);

    // First everybody trusts both authorities, then each gets a certificate of the new one, then the old one goes.
    for (const index of [0, 1]) install(files(index), authority.sign(`live-${index}`, names), [authority, next]);
    for (const index of [0, 1]) install(files(index), next.sign(`live-${index}`, names), [authority, next]);
    for (const index of [0, 1]) install(files(index), next.sign(`live-${index}`, names), [next]);

    expect(getsIn(members[0], client)).toBe(false);
    expect((await servedBy(members[0], next)).issuer.CN).toBe("next");
    // A restarted member knows the new authority alone; the other one has never stopped.
    await members[1].stop();
    const again = await TlsMember.start(optionsOf(1));
    running.push(again);
    const args = [`--endpoints=${again.endpoint}`, ...clientFlags(next, next.sign("k8sclient"))];
    expect(etcdctl([...args, "put", "rotated", "yes"]).stdout).toBe("OK\n");
    expect(etcdctl([...args, `--endpoints=${members[0].endpoint}`, "get", "rotated"]).stdout).toBe("rotated\nyes\n");
  });

  function install(
    to: { cert: string; key: string; ca: string },
    pair: Pair,
    authorities: readonly CertificateAuthority[],
  ): void {
    copyFileSync(pair.cert, to.cert);
    copyFileSync(pair.key, to.key);
    writeFileSync(to.ca, authorities.map(({ cert }) => readFileSync(cert, "utf8")).join(""));
  }

  /** The certificate that a member shows. */
  async function servedBy({ port }: TlsMember, trusted: CertificateAuthority): Promise<PeerCertificate> {
    return new Promise((resolve, reject) => {
      const socket = connectSecurely({ port, host: "127.0.0.1", ca: readFileSync(trusted.cert) });
      socket.once("secureConnect", () => {
        resolve(socket.getPeerCertificate());
        socket.destroy();
      });
      socket.once("error", reject);
    });
  }

  test("who does not finish the handshake in ten seconds is closed", async () => {
    const member = await start(clientFiles());
    const started = performance.now();
    const socket = connect(member.port, "127.0.0.1").on("error", () => undefined);
    await new Promise((resolve) => socket.once("close", resolve).resume());
    expect(performance.now() - started).toBeGreaterThan(9_000);
    expect(await member.says('"error":"i/o timeout"')).toBe(true);
  });

  test("https and http listeners, and an https one for metrics, live side by side", async () => {
    const [clientPort, peerPort, plainPort, metricsPort] = await freePorts(4);
    const urls = `--listen-client-urls=https://127.0.0.1:${clientPort},http://127.0.0.1:${plainPort}`;
    const metrics = `--listen-metrics-urls=https://127.0.0.1:${metricsPort}`;
    const member = await start([...clientFiles(), urls, metrics], { ports: [clientPort, peerPort] });
    expect(getsIn(member, client)).toBe(true);
    expect(etcdctl([`--endpoints=http://127.0.0.1:${plainPort}`, "get", "a"]).stdout).toBe("a\nb\n");
    const page = { port: metricsPort, path: "/metrics", authority };
    expect((await fetchPage({ ...page, pair: client })).text).toContain("etcd_server_has_leader 1");
    await expect(fetchPage(page)).rejects.toThrow();
    expect(await member.says("serving metrics")).toBe(true);
    expect(member.lines("serving client traffic securely")).toHaveLength(1);
    expect(member.lines("serving client traffic insecurely; this is strongly discouraged!")).toHaveLength(1);
    const warned = "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL";
    expect(member.lines(warned)).toHaveLength(1);
  });

  test("a configuration file sets TLS as the flags do", async () => {
    const [clientPort, peerPort] = await freePorts(2);
    const file = join(folder, "etcd.yaml");
    const side = (pair: Pair): string =>
      [
        `  cert-file: ${pair.cert}`,
        `  key-file: ${pair.key}`,
        `  trusted-ca-file: ${authority.cert}`,
        "  client-cert-auth: true",
      ].join("\n");
    const lines = [
      `data-dir: ${join(folder, `data-${clientPort}`)}`,
      `listen-client-urls: https://127.0.0.1:${clientPort}`,
      `advertise-client-urls: https://127.0.0.1:${clientPort}`,
      `listen-peer-urls: https://127.0.0.1:${peerPort}`,
      `initial-advertise-peer-urls: https://127.0.0.1:${peerPort}`,
      `initial-cluster: default=https://127.0.0.1:${peerPort}`,
      "cipher-suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
      "tls-max-version: TLS1.2",
      `client-transport-security:\n${side(server)}`,
      `peer-transport-security:\n${side(server)}`,
    ];
    writeFileSync(file, lines.join("\n"));
    const member = await start([`--config-file=${file}`], { ports: [clientPort, peerPort] });
    expect(await agreed(member, {})).toBe("TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
    expect(getsIn(member, client)).toBe(true);
    expect(getsIn(member, undefined)).toBe(false);
    expect(await peerGetsIn(member, client)).toBe(true);
    expect(await peerGetsIn(member, new CertificateAuthority(folder, "outsider").sign("peer"))).toBe(false);
  });

  test("a key that everybody can read is warned of, once", async () => {
    const key = join(folder, "open.key");
    copyFileSync(server.key, key);
    chmodSync(key, 0o644);
    const [httpPort] = await freePorts(1);
    const flags = [`--key-file=${key}`, `--listen-metrics-urls=https://127.0.0.1:${httpPort}`];
    const member = await start([...clientFiles(), ...flags]);
    const warnings = member.lines("the private key can be read by every user of this machine");
    expect(warnings.map((line) => line["key-file"])).toEqual([key]);
  });

  test("nobody else can read the data directory", async () => {
    const member = await start(["--auto-tls", "--peer-auto-tls"], { peerScheme: "https" });
    const modes = new Map<string, number>([["", statSync(member.dataDir).mode & 0o777]]);
    for (const name of readdirSync(member.dataDir, { recursive: true, encoding: "utf8" })) {
      modes.set(name, statSync(join(member.dataDir, name)).mode & 0o777);
    }
    for (const [name, mode] of modes) {
      const isDirectory = statSync(join(member.dataDir, name)).isDirectory();
      const wanted = isDirectory ? 0o700 : name.endsWith("cert.pem") ? 0o644 : 0o600;
      expect([name, mode.toString(8)]).toEqual([name, wanted.toString(8)]);
    }
    expect(modes.has(join("member", "snap", "db"))).toBe(true);
  });

  describe("--auto-tls and --peer-auto-tls", () => {
    test("the member makes certificates once, for the hosts it listens on", async () => {
      const flags = ["--auto-tls", "--self-signed-cert-validity=2"];
      const member = await start(flags);
      const cert = join(member.dataDir, "fixtures", "client", "cert.pem");
      const made = readFileSync(cert);
      const trusting = [`--endpoints=${member.endpoint}`, `--cacert=${cert}`];
      expect(etcdctl([...trusting, "put", "a", "b"]).stdout).toBe("OK\n");
      expect(etcdctl([`--endpoints=${member.endpoint}`, "--insecure-skip-tls-verify", "get", "a"]).code).toBe(0);
      const text = spawnSync("openssl", ["x509", "-in", cert, "-noout", "-text"], { encoding: "utf8" }).stdout;
      expect(text).toContain("Subject: O = etcd");
      expect(text).toContain("IP Address:127.0.0.1");
      expect(spawnSync("openssl", ["verify", "-CAfile", cert, cert]).status).toBe(0);
      const years = spawnSync("openssl", ["x509", "-in", cert, "-noout", "-checkend", `${700 * 86_400}`]).status;
      expect(years).toBe(0);
      await member.stop();
      const ports: [number, number] = [member.port, member.peerPort];
      const again = await start(flags, { dataDir: member.dataDir, ports });
      expect(readFileSync(cert)).toEqual(made);
      expect(again.lines("automatically generate certificates")).toEqual([]);
      expect(etcdctl([...trusting, "get", "a"]).stdout).toBe("a\nb\n");
    });

    test("a validity of no years stops the start with etcd's words", async () => {
      const member = await TlsMember.launch({ folder, flags: ["--auto-tls", "--self-signed-cert-validity=0"] });
      running.push(member);
      expect(await member.end()).toBe(1);
      expect(await member.says("failed to get client self-signed certs")).toBe(true);
      expect(await member.says("selfSignedCertValidity is invalid,it should be greater than 0")).toBe(true);
    });

    test("given certificates come before self-made ones", async () => {
      const member = await start([...clientFiles(), "--auto-tls"]);
      expect(member.lines("ignoring client auto TLS since certs given")).toHaveLength(1);
      expect((await servedBy(member, authority)).subject.CN).toBe("server");
      expect(readdirSync(member.dataDir)).not.toContain("fixtures");
    });

    test("--client-cert-auth still holds with a self-made certificate", async () => {
      const flags = ["--auto-tls", `--trusted-ca-file=${authority.cert}`, "--client-cert-auth"];
      const member = await start(flags);
      const trusting = [`--endpoints=${member.endpoint}`, "--insecure-skip-tls-verify", "--command-timeout=2s"];
      expect(etcdctl([...trusting, ...clientFlags(undefined, client), "put", "a", "b"]).code).toBe(0);
      expect(etcdctl([...trusting, "put", "a", "b"]).code).toBe(1);
    });

    test("members with self-made certificates make a cluster", async () => {
      const members = await launchPair(() => ["--peer-auto-tls"]);
      for (const member of members) await member.ready();
      expect(etcdctl([`--endpoints=${members[0].endpoint}`, "put", "a", "b"]).stdout).toBe("OK\n");
      expect(etcdctl([`--endpoints=${members[1].endpoint}`, "get", "a"]).stdout).toBe("a\nb\n");
    });
  });

  test("help names every TLS flag", () => {
    const { stdout } = runToEnd(program("etcd"), ["--help"]);
    for (const name of ["--client-crl-file", "--auto-tls", "--peer-auto-tls", "--self-signed-cert-validity"]) {
      expect(stdout).toContain(name);
    }
  });
});
