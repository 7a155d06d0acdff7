/**
 * Ways around certificates, tried against a running member: revoked ones at each listener, the common name by way of the
 * gateway, handshakes that never end.
 */
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { preface, settings } from "../support/raw-http2.ts";

const title = `ways around certificates${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 3 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let good: Pair;
  let named: Pair;
  let revoked: Pair;
  let server: ServerProcess;
  let grpcPort: number;
  let httpPort: number;
  let metricsPort: number;
  let bothPort: number;

  beforeAll(async () => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    const names = ["DNS:localhost", "IP:127.0.0.1"];
    const own = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names });
    good = authority.sign("ann");
    named = authority.sign("root");
    revoked = authority.sign("revoked");
    const crl = authority.revoke(revoked);
    let peerPort: number;
    [grpcPort, httpPort, metricsPort, bothPort, peerPort] = await freePorts(5);
    server = await ServerProcess.start({
      dataDir: `${folder}/data`,
      ports: { client: bothPort, peer: peerPort },
      args: [
        `--listen-client-urls=https://127.0.0.1:${grpcPort}`,
        `--advertise-client-urls=https://127.0.0.1:${grpcPort}`,
        `--listen-client-http-urls=https://127.0.0.1:${httpPort}`,
        `--listen-metrics-urls=https://127.0.0.1:${metricsPort}`,
        `--cert-file=${own.cert}`,
        `--key-file=${own.key}`,
        `--trusted-ca-file=${authority.cert}`,
        "--client-cert-auth",
        `--client-crl-file=${crl}`,
        "--bcrypt-cost=4",
      ],
    });
  });

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  const identity = (pair: Pair | undefined): object =>
    pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) };

  /** What the port answers to the beginning of HTTP/2; nothing when it closes. */
  function greet(port: number, pair: Pair | undefined): Promise<number> {
    return new Promise((resolve) => {
      const ca = readFileSync(authority.cert);
      const socket = connectTls({ host: "127.0.0.1", port, ca, ALPNProtocols: ["h2"], ...identity(pair) }, () => {
        socket.write(Buffer.concat([preface, settings()]));
      });
      let heard = 0;
      socket.on("data", (bytes: Buffer) => {
        heard += bytes.length;
        socket.destroy();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(heard));
    });
  }

  interface Answer {
    readonly status: number;
    readonly body: string;
  }

  /** Undefined when the connection is closed instead. */
  function ask(
    port: number,
    pair: Pair | undefined,
    path: string,
    body?: object,
    headers: object = {},
  ): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const ca = readFileSync(authority.cert);
      const method = body === undefined ? "GET" : "POST";
      const sent = request(
        { host: "127.0.0.1", port, path, method, ca, agent: false, headers: { ...headers }, ...identity(pair) },
        (response) => {
          let text = "";
          response.on("data", (chunk: Buffer) => (text += chunk.toString()));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
          response.on("error", () => resolve(undefined));
        },
      );
      sent.on("error", () => resolve(undefined));
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  test("a revoked certificate opens neither the gRPC listener nor the HTTP one beside it nor metrics (GHSA-3wh4-j44w-pg92)", async () => {
    expect(await greet(grpcPort, good)).toBeGreaterThan(0);
    expect(await ask(httpPort, good, "/version")).toMatchObject({ status: 200 });
    expect(await ask(metricsPort, good, "/health")).toMatchObject({ status: 200 });
    for (const pair of [revoked, undefined]) {
      expect(await greet(grpcPort, pair)).toBe(0);
      expect(await ask(httpPort, pair, "/version")).toBeUndefined();
      expect(await ask(httpPort, pair, "/v3/kv/range", { key: "YQ==" })).toBeUndefined();
      expect(await ask(metricsPort, pair, "/health")).toBeUndefined();
    }
    expect(await server.waitForLine("rejected connection")).toBe(true);
  });

  function statusOverHttp2(port: number, pair: Pair, path: string, headers: object): Promise<number> {
    const ca = readFileSync(authority.cert);
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca, ...identity(pair) });
    return new Promise<number>((resolve, reject) => {
      session.on("error", reject);
      const stream = session.request({ ":method": "POST", ":path": path, ...headers });
      stream.on("error", reject);
      stream.on("response", (fields) => resolve(fields[":status"] ?? 0));
      stream.end("{}");
    }).finally(() => session.destroy());
  }

  test("a certificate named root makes nobody root by the gateway (CVE-2018-16886)", async () => {
    const change = (path: string, body: object): Promise<Answer | undefined> =>
      ask(httpPort, good, `/v3/${path}`, body);
    for (const name of ["root", "ann"]) await change("auth/user/add", { name, password: name });
    await change("auth/user/grant", { user: "root", role: "root" });
    await change("kv/put", { key: "YQ==", value: "c2VjcmV0" });
    expect(await change("auth/enable", {})).toMatchObject({ status: 200 });
    for (const headers of [{}, { "grpc-metadata-grpcgateway-accept": "" }, { authorization: "" }]) {
      const answer = await ask(httpPort, named, "/v3/kv/range", { key: "YQ==" }, headers);
      expect(answer?.status).not.toBe(200);
      expect(answer?.body).not.toContain("c2VjcmV0");
      expect((await ask(httpPort, named, "/v3/auth/disable", {}, headers))?.status).not.toBe(200);
      expect(await statusOverHttp2(httpPort, named, "/v3/auth/disable", headers)).toBe(400);
    }
  });

  test("a handshake that never ends, silent or dripping, is cut off at every listener (GHSA-6vch-q96h-7gc3)", async () => {
    const drip = (port: number, first: Uint8Array): Promise<void> =>
      new Promise((resolve) => {
        const socket = connectPlain(port, "127.0.0.1", () => socket.write(first));
        const dripping = setInterval(() => socket.write(Uint8Array.of(0)), 500);
        if (first.length === 0) clearInterval(dripping);
        socket.on("error", () => undefined);
        socket.on("close", () => {
          clearInterval(dripping);
          resolve();
        });
      });
    // A handshake record of 512 bytes, a ClientHello, of which one byte comes now and then.
    const hello = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3);
    const began = performance.now();
    await Promise.all(
      [grpcPort, httpPort, metricsPort].flatMap((port) => [drip(port, new Uint8Array(0)), drip(port, hello)]),
    );
    expect(performance.now() - began).toBeLessThan(patienceMs);
  });
});
