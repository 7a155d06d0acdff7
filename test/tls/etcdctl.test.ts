/** `etcdctl` (ours) under TLS: what its flags and variables do, and what it says when it is not let in. */
import { spawn } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";
import { clientFlags, etcdctl, TlsMember } from "../support/tls-member.ts";

const title = `etcdctl over TLS${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let stranger: CertificateAuthority;
  let client: Pair;
  let member: TlsMember;
  /** The same member without TLS. */
  let plain: string;

  beforeAll(async () => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    stranger = new CertificateAuthority(folder, "stranger");
    client = authority.sign("k8sclient");
    const server = authority.sign("server", { usage: ["serverAuth"], names: ["DNS:localhost", "IP:127.0.0.1"] });
    const ports = (await freePorts(3)) as [number, number, number];
    plain = `http://127.0.0.1:${ports[2]}`;
    const files = [`--cert-file=${server.cert}`, `--key-file=${server.key}`, `--trusted-ca-file=${authority.cert}`];
    const flags = [...files, "--client-cert-auth", `--listen-client-urls=https://127.0.0.1:${ports[0]},${plain}`];
    member = await TlsMember.start({ folder, ports: [ports[0], ports[1]], flags });
  });

  afterAll(async () => {
    await member.stop();
    removeFolder(folder);
  });

  const address = (): string => `127.0.0.1:${member.port}`;

  test.each([
    ["https://127.0.0.1", (): string[] => [`--endpoints=https://${address()}`]],
    ["an address without a scheme", (): string[] => [`--endpoints=${address()}`]],
    ["a host name", (): string[] => [`--endpoints=https://localhost:${member.port}`]],
    ["https and http together", (): string[] => [`--endpoints=https://${address()},${plain}`]],
    ["http, for which the certificates do not count", (): string[] => [`--endpoints=${plain}`]],
  ])("an endpoint may be %s", (_what, endpoints) => {
    const args = [...endpoints(), ...clientFlags(authority, client)];
    expect(etcdctl([...args, "put", "a", "b"])).toEqual({ code: 0, stdout: "OK\n", stderr: "" });
    const health = etcdctl([...args, "endpoint", "health"]);
    expect(health.code, health.stderr).toBe(0);
  });

  test("https and http endpoints are each reached as they say", () => {
    const args = [`--endpoints=${plain},https://${address()}`, ...clientFlags(authority, client), "-w", "json"];
    const { stdout } = etcdctl([...args, "endpoint", "status"]);
    expect((JSON.parse(stdout) as unknown[]).length).toBe(2);
  });

  test("the environment sets the TLS flags", () => {
    const env = {
      ETCDCTL_ENDPOINTS: `https://${address()}`,
      ETCDCTL_CACERT: authority.cert,
      ETCDCTL_CERT: client.cert,
      ETCDCTL_KEY: client.key,
    };
    expect(runToEnd(program("etcdctl"), ["put", "a", "b"], { env }).stdout).toBe("OK\n");
    const insecure = { ...env, ETCDCTL_CACERT: stranger.cert, ETCDCTL_INSECURE_SKIP_TLS_VERIFY: "true" };
    expect(runToEnd(program("etcdctl"), ["put", "a", "b"], { env: insecure }).stdout).toBe("OK\n");
  });

  test("--insecure-skip-tls-verify takes whoever answers", () => {
    const args = [`--endpoints=https://${address()}`, ...clientFlags(stranger, client)];
    expect(etcdctl([...args, "--insecure-skip-tls-verify", "put", "a", "b"]).stdout).toBe("OK\n");
  });

  test("a snapshot, a watch and a lease go over TLS too", async () => {
    const args = [`--endpoints=https://${address()}`, ...clientFlags(authority, client)];
    const path = join(folder, "snapshot.db");
    expect(etcdctl([...args, "snapshot", "save", path]).code).toBe(0);
    expect(etcdctl([...args, "lease", "grant", "60"]).stdout).toMatch(/^lease [0-9a-f]+ granted with TTL\(60s\)\n$/);
    expect(etcdctl([...args, "put", "watched", "yes"]).code).toBe(0);
    const watch = spawn(program("etcdctl"), [...args, "watch", "--rev=1", "watched"]);
    const first = await new Promise((resolve) => watch.stdout.once("data", (text: Buffer) => resolve(text.toString())));
    expect(first).toBe("PUT\nwatched\nyes\n");
    watch.kill();
  });

  const handshake = "transport: authentication handshake failed: tls: failed to verify certificate: x509: ";

  test.each<[string, () => readonly string[], string]>([
    [
      "without a certificate",
      () => clientFlags(authority, undefined),
      "error reading server preface: remote error: tls: certificate required",
    ],
    [
      "with another authority's certificate",
      () => clientFlags(authority, stranger.sign("k8sclient")),
      "error reading server preface: EOF",
    ],
    [
      "trusting another authority",
      () => clientFlags(stranger, client),
      `${handshake}certificate signed by unknown authority`,
    ],
    [
      "trusting the system's authorities",
      () => clientFlags(undefined, client),
      `${handshake}certificate signed by unknown authority`,
    ],
    [
      "trusting the system's authorities because of --insecure-transport=false",
      () => ["--insecure-transport=false"],
      `${handshake}certificate signed by unknown authority`,
    ],
  ])("%s the deadline passes, and the log says why", (_who, identity, reason) => {
    const args = [`--endpoints=https://${address()}`, ...identity(), "--command-timeout=1500ms", "put", "never", "b"];
    const { code, stderr, stdout } = runToEnd(program("etcdctl"), args);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^Error: context deadline exceeded$/m);
    expect(stderr).toContain(reason);
    expect(code).toBe(1);
  });

  test("a server whose certificate is for somebody else is not talked to", async () => {
    const other = authority.sign("other", { usage: ["serverAuth"], names: ["DNS:other.example", "IP:192.0.2.7"] });
    const flags = [`--cert-file=${other.cert}`, `--key-file=${other.key}`];
    const elsewhere = await TlsMember.start({ folder, flags });
    try {
      for (const [host, reason] of [
        ["127.0.0.1", "certificate is valid for 192.0.2.7, not 127.0.0.1"],
        ["localhost", "certificate is valid for other.example, not localhost"],
      ]) {
        const args = [`--endpoints=https://${host}:${elsewhere.port}`, ...clientFlags(authority, undefined)];
        const { code, stderr } = etcdctl([...args, "--command-timeout=1500ms", "put", "a", "b"]);
        expect(stderr).toContain(handshake + reason);
        expect(code).toBe(1);
      }
    } finally {
      await elsewhere.stop();
    }
  });

  test("an endpoint without a scheme is not given a password in plain text behind an https one", () => {
    const endpoints = `--endpoints=https://127.0.0.1:1,${plain.slice("http://".length)}`;
    const { code, stderr } = etcdctl([endpoints, "--command-timeout=1500ms", "--user=root:secret", "put", "a", "b"]);
    expect(stderr).toContain("context deadline exceeded");
    expect(code).not.toBe(0);
  });

  test.each<[string, (files: Files) => readonly string[], (files: Files) => string]>([
    ["an empty --cacert", () => ["--cacert="], () => "empty string is passed to --cacert option"],
    ["an empty --cert", () => ["--cert="], () => "empty string is passed to --cert option"],
    ["an empty --key", () => ["--key="], () => "empty string is passed to --key option"],
    [
      "a certificate without its key",
      ({ cert }) => [`--cert=${cert}`],
      ({ cert }) => `KeyFile and CertFile must both be present[key: , cert: ${cert}]`,
    ],
    [
      "a key without its certificate",
      ({ key }) => [`--key=${key}`],
      ({ key }) => `KeyFile and CertFile must both be present[key: ${key}, cert: ]`,
    ],
    [
      "a file that is not there",
      ({ key }) => ["--cert=/nowhere", `--key=${key}`],
      () => "open /nowhere: no such file or directory",
    ],
    ["an authority that is not there", () => ["--cacert=/nowhere"], () => "open /nowhere: no such file or directory"],
    ["an authority of nonsense", ({ broken }) => [`--cacert=${broken}`], () => "x509: malformed certificate"],
    [
      "a certificate of nonsense",
      ({ broken, key }) => [`--cert=${broken}`, `--key=${key}`],
      () => "x509: malformed certificate",
    ],
    [
      "no certificate at all",
      ({ text, key }) => [`--cert=${text}`, `--key=${key}`],
      () => "tls: failed to find any PEM data in certificate input",
    ],
    [
      "certificate and key exchanged",
      ({ cert, key }) => [`--cert=${key}`, `--key=${cert}`],
      () =>
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
    ],
    [
      "a certificate in place of the key",
      ({ cert }) => [`--cert=${cert}`, `--key=${cert}`],
      () => "tls: found a certificate rather than a key in the PEM for the private key",
    ],
    [
      "a key of somebody else",
      ({ cert, otherKey }) => [`--cert=${cert}`, `--key=${otherKey}`],
      () => "tls: private key does not match public key",
    ],
  ])("%s is refused with etcd's words before anything is sent", (_what, args, text) => {
    const files = sampleFiles();
    const { code, stderr } = etcdctl([`--endpoints=${plain}`, ...args(files), "put", "never", "b"]);
    expect(stderr.split("\n").filter((line) => !line.startsWith("{"))).toEqual([`Error: ${text(files)}`, ""]);
    expect(code).toBe(128);
  });

  interface Files {
    readonly cert: string;
    readonly key: string;
    readonly otherKey: string;
    /** A certificate that cannot be read. */
    readonly broken: string;
    /** Not PEM. */
    readonly text: string;
  }

  let files: Files | undefined;

  function sampleFiles(): Files {
    if (files !== undefined) return files;
    const [broken, text] = ["broken.crt", "text.crt"].map((name) => join(folder, name));
    writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    writeFileSync(text, "hello\n");
    files = { cert: client.cert, key: client.key, otherKey: stranger.sign("someone").key, broken, text };
    return files;
  }

  test("make-mirror carries keys to a cluster under TLS by its --dest- flags", async () => {
    const [certFile, keyFile] = ["dest.crt", "dest.key"].map((name) => join(folder, name));
    const server = authority.sign("mirror", { usage: ["serverAuth"], names: ["IP:127.0.0.1"] });
    copyFileSync(server.cert, certFile);
    copyFileSync(server.key, keyFile);
    const flags = [`--cert-file=${certFile}`, `--key-file=${keyFile}`, `--trusted-ca-file=${authority.cert}`];
    const destination = await TlsMember.start({ folder, flags });
    try {
      expect(etcdctl([`--endpoints=${plain}`, "put", "mirrored", "yes"]).stdout).toBe("OK\n");
      const to = clientFlags(authority, client).map((flag) => flag.replace("--", "--dest-"));
      const command = [program("etcdctl"), `--endpoints=${plain}`, "make-mirror", ...to, destination.endpoint];
      const get = [`--endpoints=${destination.endpoint}`, ...clientFlags(authority, client), "get", "mirrored"];
      const script = `${command.join(" ")} & trap "kill $!" EXIT
        for i in $(seq 200); do
          out=$(${program("etcdctl")} ${get.join(" ")}) && [ -n "$out" ] && echo "$out" && exit 0
          sleep 0.05
        done`;
      expect(runToEnd("bash", ["-c", script]).stdout).toBe("mirrored\nyes\n");
      const refused = etcdctl([`--endpoints=${plain}`, "make-mirror", "--dest-cert=/nowhere", "--dest-key=/x", "a:1"]);
      expect(refused).toEqual({ code: 128, stdout: "", stderr: "Error: open /nowhere: no such file or directory\n" });
    } finally {
      await destination.stop();
    }
  });

  test("quorate backup and quorate defrag reach members over TLS", () => {
    const args = [`--endpoints=https://${address()}`, ...clientFlags(authority, client)];
    const backup = runToEnd(program("quorate"), ["backup", "save", `--dir=${join(folder, "kept")}`, ...args]);
    expect(backup.code, backup.stderr).toBe(0);
    const defrag = runToEnd(program("quorate"), ["defrag", ...args]);
    expect(defrag.code, defrag.stderr).toBe(0);
  });
});
