/**
 * A load balancer that ends TLS on both sides and offers h2 and http/1.1 by ALPN, as haproxy, envoy and nginx do: calls and
 * pages go through it on the same port.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { eventually } from "../support/cluster.ts";
import { freePorts, patienceMs, peer, program, removeFolder, temporaryFolder } from "../support/process.ts";
import { clientFlags, etcdctl, fetchPage, TlsMember } from "../support/tls-member.ts";

const haproxy = peer("haproxy");
const missing =
  certificatesMissing ?? (haproxy === undefined ? "node scripts/fetch-peers.mjs haproxy brings it" : undefined);
const title = `behind a load balancer that ends TLS${missing === undefined ? "" : ` (skipped: ${missing})`}`;

describe.skipIf(missing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let member: TlsMember;
  let balancer: ChildProcess;
  let port: number;
  let endpoint: readonly string[];

  beforeAll(async () => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    const names = ["DNS:localhost", "IP:127.0.0.1"];
    const pair = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names });
    const both = join(folder, "balancer.pem");
    writeFileSync(both, Buffer.concat([readFileSync(pair.cert), readFileSync(pair.key)]));
    member = await TlsMember.start({ folder, flags: [`--cert-file=${pair.cert}`, `--key-file=${pair.key}`] });
    [port] = await freePorts(1);
    const file = join(folder, "haproxy.cfg");
    const lines = [
      "defaults",
      "  mode http",
      "  timeout connect 5s",
      "  timeout client 60s",
      "  timeout server 60s",
      "listen etcd",
      `  bind 127.0.0.1:${port} ssl crt ${both} alpn h2,http/1.1`,
      `  server m 127.0.0.1:${member.port} ssl verify required ca-file ${authority.cert} alpn h2,http/1.1`,
      "",
    ];
    writeFileSync(file, lines.join("\n"));
    balancer = spawn(haproxy!, ["-db", "-f", file], { stdio: "ignore" });
    endpoint = [`--endpoints=https://127.0.0.1:${port}`, ...clientFlags(authority, undefined)];
    await eventually("the balancer serves", async () => {
      expect(await fetchPage({ port, path: "/health", authority })).toMatchObject({ status: 200 });
    });
  }, 3 * patienceMs);

  afterAll(async () => {
    balancer.kill("SIGKILL");
    await member.stop();
    removeFolder(folder);
  });

  test.each([
    ["ours", program("etcdctl")],
    ["Go's 3.6", peer("etcdctl36")],
  ])("etcdctl, %s", (_name, tool) => {
    if (tool === undefined) return;
    expect(etcdctl([...endpoint, "put", "a", "1"], tool)).toMatchObject({ code: 0, stdout: "OK\n" });
    expect(etcdctl([...endpoint, "get", "a"], tool)).toMatchObject({ code: 0, stdout: "a\n1\n" });
  });

  test("the gateway's pages", async () => {
    const body = JSON.stringify({ key: Buffer.from("b").toString("base64"), value: "Mg==" });
    expect(await fetchPage({ port, path: "/v3/kv/put", body, authority })).toMatchObject({ status: 200 });
    expect((await fetchPage({ port, path: "/version", authority })).text).toContain('"etcdserver":"3.6.14"');
  });
});
