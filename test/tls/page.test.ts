/**
 * "Securing etcd clusters" of the Kubernetes operation guide, with the files and flags that it names: who gets in, who
 * does not. With our etcdctl, and with Go's where it is there.
 */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import {
  type Finished,
  patienceMs,
  peer,
  program,
  removeFolder,
  runToEnd,
  temporaryFolder,
} from "../support/process.ts";
import { fetchPage, TlsMember } from "../support/tls-member.ts";

const title = `the guide's set-up${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;
const tools = [
  ["ours", program("etcdctl")],
  ["Go's 3.6", peer("etcdctl36")],
  ["Go's 3.5", peer("etcdctl35")],
] as const;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let stranger: CertificateAuthority;
  let member: TlsMember;
  let crl: string;

  /** In the folder, under the guide's names. */
  function place(pair: Pair, name: string): void {
    copyFileSync(pair.cert, join(folder, `${name}.cert`));
    copyFileSync(pair.key, join(folder, `${name}.key`));
  }

  beforeAll(async () => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    stranger = new CertificateAuthority(folder, "stranger");
    copyFileSync(authority.cert, join(folder, "etcd.ca"));
    const both = { usage: ["serverAuth", "clientAuth"], names: ["DNS:localhost", "IP:127.0.0.1"] };
    place(authority.sign("k8sclient", both), "k8sclient");
    place(authority.sign("peer", both), "peer");
    crl = authority.revoke();
    const flags = [
      "--peer-key-file=peer.key",
      "--peer-cert-file=peer.cert",
      "--peer-client-cert-auth",
      "--peer-trusted-ca-file=etcd.ca",
      "--key-file=k8sclient.key",
      "--cert-file=k8sclient.cert",
      "--client-cert-auth=true",
      "--trusted-ca-file=etcd.ca",
      `--client-crl-file=${crl}`,
    ];
    member = await TlsMember.start({ folder, cwd: folder, peerScheme: "https", flags });
  });

  afterAll(async () => {
    await member.stop();
    removeFolder(folder);
  });

  describe.each(tools)("etcdctl: %s", (_whose, tool) => {
    function etcdctl(...args: readonly string[]): Finished {
      return runToEnd(tool ?? "", ["--dial-timeout=3s", "--command-timeout=3s", ...args], {
        cwd: folder,
        env: { ETCDCTL_API: "3" },
      });
    }

    const identity = ["--cert=k8sclient.cert", "--key=k8sclient.key", "--cacert=etcd.ca"];

    test.skipIf(tool === undefined)("the guide's commands work", () => {
      const list = etcdctl("--endpoints", `127.0.0.1:${member.port}`, ...identity, "member", "list");
      expect(list.stdout).toMatch(
        /^[0-9a-f]+, started, default, https:\/\/127\.0\.0\.1:\d+, https:\/\/127\.0\.0\.1:\d+, false\n$/,
      );
      const endpoint = `--endpoints=https://127.0.0.1:${member.port}`;
      expect(etcdctl(endpoint, ...identity, "put", "a", "b").stdout).toBe("OK\n");
      const saved = etcdctl(endpoint, ...identity, "snapshot", "save", "snapshotdb");
      expect(saved.code, saved.stderr).toBe(0);
    });

    test.skipIf(tool === undefined)(
      "nobody without, with a strange, an expired or a revoked certificate gets in",
      () => {
        const endpoint = `--endpoints=https://127.0.0.1:${member.port}`;
        const revoked = authority.sign("revoked");
        const put = (pair: Pair | undefined): number | null => {
          const own = pair === undefined ? [] : [`--cert=${pair.cert}`, `--key=${pair.key}`];
          return etcdctl(endpoint, "--cacert=etcd.ca", ...own, "put", "a", "b").code;
        };
        expect(put(revoked)).toBe(0);
        authority.revoke(revoked);
        for (const pair of [
          undefined,
          stranger.sign("k8sclient"),
          authority.sign("old", { isExpired: true }),
          revoked,
        ]) {
          expect(put(pair)).toBe(1);
        }
        expect(etcdctl(endpoint, ...identity, "put", "a", "b").code).toBe(0);
        expect(etcdctl(`--endpoints=http://127.0.0.1:${member.port}`, "put", "a", "b").code).toBe(1);
      },
    );
  });

  test("the log says who was turned away, and why", async () => {
    for (const reason of [
      "tls: client didn't provide a certificate",
      "tls: failed to verify certificate: x509: certificate signed by unknown authority",
      "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
      "tls: first record does not look like a TLS handshake",
      " revoked",
    ]) {
      expect(await member.says(reason), reason).toBe(true);
    }
  });

  test("the pages are guarded like the rest", async () => {
    const pair = { cert: join(folder, "k8sclient.cert"), key: join(folder, "k8sclient.key") };
    const page = { port: member.port, path: "/health", authority };
    expect((await fetchPage({ ...page, pair })).text).toContain('"health":"true"');
    await expect(fetchPage(page)).rejects.toThrow();
    await expect(fetchPage({ ...page, port: member.peerPort, path: "/version" })).rejects.toThrow();
    expect((await fetchPage({ ...page, port: member.peerPort, path: "/version", pair })).status).toBe(200);
  });
});
