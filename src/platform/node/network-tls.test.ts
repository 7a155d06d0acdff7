import { createPrivateKey } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectPlainly } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../../../test/support/certificates.ts";
import type { Logger } from "../logger.ts";
import type { Connection, Listener, TlsIdentity } from "../network.ts";
import type { ClientTls, ServerTls } from "../tls.ts";
import { NodeNetwork } from "./network.ts";

const network = new NodeNetwork();
const warnings: string[] = [];
const log = { warn: (message: string) => void warnings.push(message) } as unknown as Logger;

describe.skipIf(certificatesMissing !== undefined)(
  `TLS (skipped only when ${certificatesMissing ?? "openssl is missing"})`,
  () => {
    let folder: string;
    let authority: CertificateAuthority;
    let stranger: CertificateAuthority;
    let server: Pair;
    let client: Pair;
    const rejections: string[] = [];
    const listeners: Listener[] = [];

    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "quorate-tls-"));
      authority = new CertificateAuthority(folder);
      stranger = new CertificateAuthority(folder, "stranger");
      server = authority.sign("server", { usage: ["serverAuth"], names: ["DNS:localhost", "IP:127.0.0.1"] });
      client = authority.sign("client");
    });

    afterAll(async () => {
      for (const listener of listeners) await listener.close();
      rmSync(folder, { recursive: true });
    });

    async function listen(
      changes: Partial<ServerTls> = {},
    ): Promise<{ listener: Listener; identities: TlsIdentity[] }> {
      const identities: TlsIdentity[] = [];
      const tls: ServerTls = {
        certFile: server.cert,
        keyFile: server.key,
        caFile: authority.cert,
        requiresClientCertificate: true,
        offersHttp2: true,
        log,
        rejected: (_remote, error) => void rejections.push(error.message),
        ...changes,
      };
      const echo = (connection: Connection): void => {
        if (connection.tls !== undefined) identities.push(connection.tls);
        connection.setHandlers({
          data: (chunk) => void connection.write(new Uint8Array(chunk)),
          end: () => connection.end(),
          drained() {},
          closed() {},
        });
      };
      const listener = await network.listen({ host: "127.0.0.1", port: 0 }, echo, { tls });
      listeners.push(listener);
      return { listener, identities };
    }

    /** What comes back for a "ping"; the connection's end when nothing does. */
    async function ping(listener: Listener, pair: Pair | undefined, changes: Partial<ClientTls> = {}): Promise<string> {
      const tls: ClientTls = {
        caFile: authority.cert,
        serverName: "localhost",
        verifiesServer: true,
        alpn: ["h2"],
        log,
        ...(pair === undefined ? {} : { certFile: pair.cert, keyFile: pair.key }),
        ...changes,
      };
      const connection = await network.connect(listener.address, { timeoutMs: 20_000, tls });
      return await new Promise((resolve) => {
        connection.setHandlers({
          data(chunk) {
            resolve(Buffer.from(chunk).toString());
            connection.end();
          },
          end: () => connection.end(),
          drained() {},
          closed: (error) => resolve(`closed ${error?.code ?? ""}`),
        });
        connection.write(Buffer.from("ping"));
      });
    }

    /** The server's reason for not letting a client in. */
    async function rejectionOf(listener: Listener, pair: Pair | undefined): Promise<string> {
      rejections.length = 0;
      const answer = await ping(listener, pair).catch((error: Error) => `closed ${error.message}`);
      expect(answer).toMatch(/^closed/);
      await until(() => rejections.length > 0);
      return rejections[0];
    }

    test("both ends know each other: the server sees the client's name, and h2 is agreed on", async () => {
      const { listener, identities } = await listen();
      expect(await ping(listener, client)).toBe("ping");
      expect(identities).toEqual([{ verified: true, commonName: "client", alpn: "h2" }]);
    });

    test("both ends hear when what they wrote has been taken, also when `write` never said that it is too much", async () => {
      const { listener } = await listen();
      const { cert: certFile, key: keyFile } = client;
      const tls = {
        caFile: authority.cert,
        serverName: "localhost",
        verifiesServer: true,
        alpn: ["h2"],
        log,
        certFile,
        keyFile,
      };
      const connection = await network.connect(listener.address, { timeoutMs: 20_000, tls });
      for (let round = 0; round < 3; round++) {
        const emptied = new Promise<number>((resolve) => {
          connection.setHandlers({
            data() {},
            end() {},
            drained() {},
            emptied: () => resolve(connection.waitingBytes),
            closed: () => resolve(-1),
          });
        });
        expect(connection.write(Buffer.from("ping"))).toBe(true);
        expect(connection.waitingBytes).toBeGreaterThan(0);
        expect(await emptied).toBe(0);
      }
      connection.destroy();
    });

    test("who can do both gets HTTP/2, and without an offer there is no agreement", async () => {
      const { listener, identities } = await listen();
      await ping(listener, client, { alpn: ["http/1.1", "h2"] });
      await ping(listener, client, { alpn: ["http/1.1"] });
      await ping(listener, client, { alpn: [] });
      expect(identities.map(({ alpn }) => alpn)).toEqual(["h2", "http/1.1", undefined]);
    });

    test("a server without a CA asks for no certificate", async () => {
      const { listener, identities } = await listen({ caFile: undefined, requiresClientCertificate: false });
      expect(await ping(listener, undefined)).toBe("ping");
      expect(identities[0]).toMatchObject({ verified: false, commonName: undefined });
    });

    test("no certificate, another CA's, an expired one, a server's: refused with the reason", async () => {
      const { listener } = await listen();
      expect(await rejectionOf(listener, undefined)).toBe("tls: client didn't provide a certificate");
      expect(await rejectionOf(listener, stranger.sign("client"))).toBe(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
      );
      expect(await rejectionOf(listener, authority.sign("old", { isExpired: true }))).toContain("has expired");
      expect(await rejectionOf(listener, server)).toContain("incompatible key usage");
    });

    test("a revoked certificate is refused from the moment the list changes, be it DER or PEM", async () => {
      const [first, second] = [authority.sign("first"), authority.sign("second")];
      const crlFile = authority.revoke();
      const { listener } = await listen({ crlFile });
      expect(await ping(listener, first)).toBe("ping");
      authority.revoke(first);
      expect(await rejectionOf(listener, first)).toMatch(/^transport: certificate serial 10.. revoked$/);
      expect(await ping(listener, second)).toBe("ping");
      authority.revoke(second, "pem");
      expect(await rejectionOf(listener, second)).toContain("revoked");
      expect(await ping(listener, client)).toBe("ping");
      writeFileSync(crlFile, "nonsense");
      expect(await rejectionOf(listener, client)).toContain("malformed crl");
    });

    test("only allowed names get in", async () => {
      const byName = await listen({ allowedNames: ["other", "client"] });
      expect(await ping(byName.listener, client)).toBe("ping");
      expect(await rejectionOf(byName.listener, authority.sign("third"))).toBe(
        "client certificate authentication failed",
      );
      const byHost = await listen({ allowedHostnames: ["a.example"] });
      expect(await ping(byHost.listener, authority.sign("host", { names: ["DNS:a.example"] }))).toBe("ping");
      expect(await rejectionOf(byHost.listener, client)).toBe("client certificate authentication failed");
    });

    test("a peer's certificate must name the address it comes from, when it names one at all", async () => {
      const { listener } = await listen({ checksClientAddress: true });
      expect(await ping(listener, client)).toBe("ping");
      expect(await ping(listener, authority.sign("here", { names: ["IP:127.0.0.1"] }))).toBe("ping");
      expect(await ping(listener, authority.sign("local", { names: ["DNS:localhost"] }))).toBe("ping");
      const elsewhere = authority.sign("elsewhere", { names: ["IP:192.0.2.1"] });
      expect(await rejectionOf(listener, elsewhere)).toBe("x509: certificate is valid for 192.0.2.1, not 127.0.0.1");
      const unknown = authority.sign("unknown", { names: ["DNS:unknown.invalid"] });
      expect(await rejectionOf(listener, unknown)).toBe(
        'tls: "127.0.0.1" does not match any of DNSNames ["unknown.invalid"]',
      );
    });

    test("a client refuses a server that it does not know, or that has another name, in Go's words", async () => {
      const { listener } = await listen();
      const prefix = "tls: failed to verify certificate: x509: ";
      await expect(ping(listener, client, { caFile: stranger.cert })).rejects.toThrow(
        `${prefix}certificate signed by unknown authority`,
      );
      await expect(ping(listener, client, { serverName: "example.com" })).rejects.toThrow(
        `${prefix}certificate is valid for localhost, not example.com`,
      );
      await expect(ping(listener, client, { serverName: "127.0.0.2" })).rejects.toThrow(
        `${prefix}certificate is valid for 127.0.0.1, not 127.0.0.2`,
      );
      expect(await ping(listener, client, { serverName: "127.0.0.1" })).toBe("ping");
      expect(await ping(listener, client, { caFile: stranger.cert, verifiesServer: false })).toBe("ping");
    });

    test("new certificate, key and CA files count for the next connection; unusable ones leave the old in use", async () => {
      const [certFile, keyFile, caFile] = ["live.crt", "live.key", "live-ca.crt"].map((name) => join(folder, name));
      copyFileSync(server.cert, certFile);
      copyFileSync(server.key, keyFile);
      copyFileSync(authority.cert, caFile);
      const { listener } = await listen({ certFile, keyFile, caFile });
      expect(await ping(listener, client)).toBe("ping");
      const next = stranger.sign("server", { usage: ["serverAuth"], names: ["DNS:localhost"] });
      warnings.length = 0;
      copyFileSync(next.cert, certFile); // does not fit the key
      expect(await ping(listener, client)).toBe("ping");
      expect(warnings).toEqual(["changed certificate files cannot be used; those read before stay in use"]);
      copyFileSync(next.key, keyFile);
      expect(await ping(listener, client, { caFile: stranger.cert })).toBe("ping");
      copyFileSync(stranger.cert, caFile);
      rejections.length = 0;
      await ping(listener, client, { caFile: stranger.cert }).catch(() => undefined);
      await until(() => rejections.length > 0);
      expect(await ping(listener, stranger.sign("client"), { caFile: stranger.cert })).toBe("ping");
    });

    test("versions and cipher suites are limited as asked", async () => {
      const { listener } = await listen({ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" });
      expect(await ping(listener, client)).toBe("ping");
      await expect(ping(listener, client, { minVersion: "TLSv1.3" })).rejects.toMatchObject({ code: "ETLS" });
      const weak: Partial<ClientTls> = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" };
      await expect(ping(listener, client, weak)).rejects.toMatchObject({ code: "ETLS" });
    });

    test("files that cannot be used stop the listener from starting", async () => {
      await expect(listen({ certFile: "/nowhere/a.crt" })).rejects.toThrow(
        "open /nowhere/a.crt: no such file or directory",
      );
      await expect(listen({ keyFile: client.key })).rejects.toThrow("tls: private key does not match public key");
      await expect(listen({ certFile: client.key, keyFile: client.key })).rejects.toMatchObject({ code: "ETLS" });
      const keyFile = join(folder, "encrypted.key");
      const key = createPrivateKey(readFileSync(server.key));
      writeFileSync(keyFile, key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" }));
      await expect(listen({ keyFile })).rejects.toThrow("tls: failed to parse private key: it is encrypted");
    });

    test("who asks for another protocol than ours is refused, and the log says so in Go's words", async () => {
      const { listener } = await listen();
      rejections.length = 0;
      await expect(ping(listener, client, { alpn: ["smtp"] })).rejects.toMatchObject({ code: "ETLS" });
      await until(() => rejections.length > 0);
      expect(rejections).toEqual(["tls: client requested unsupported application protocols"]);
    });

    test("clients that never begin a handshake are limited in number, and others are told so by a closed connection", async () => {
      const { listener } = await listen();
      const { port } = listener.address as { port: number };
      const idle = Array.from({ length: 1024 }, () => connectPlainly(port, "127.0.0.1").on("error", () => undefined));
      await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
      await expect(ping(listener, client)).rejects.toMatchObject({ name: "NetworkError" });
      for (const socket of idle) socket.destroy();
      await until(async () => (await ping(listener, client).catch(() => "")) === "ping");
    });

    test("a client that speaks plain HTTP is closed", async () => {
      const { listener } = await listen();
      const { port } = listener.address as { port: number };
      rejections.length = 0;
      const socket = connectPlainly(port, "127.0.0.1");
      socket.write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
      socket.on("error", () => undefined);
      await new Promise((resolve) => socket.once("close", resolve).resume());
      await until(() => rejections.length > 0);
      expect(rejections).toEqual(["tls: first record does not look like a TLS handshake"]);
    });
  },
);

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("it did not happen");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
