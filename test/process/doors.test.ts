/** Every door of a member: several client URLs, a Unix socket, HTTP apart from gRPC, metrics, peers; and what is behind each. */
import { request } from "node:http";
import { connect as dial } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { get, put, withClient } from "../support/client.ts";
import { freePorts, patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function ask(url: string, method = "GET", headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          type: response.headers["content-type"],
          headers: response.headers,
          body: Buffer.concat(parts).toString(),
        }),
      );
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("one port for gRPC and HTTP", () => {
  let folder: string;
  let server: ServerProcess;
  let metricsUrl: string;
  let otherUrl: string;

  beforeAll(async () => {
    folder = temporaryFolder();
    const [metrics, other] = await freePorts(2);
    metricsUrl = `http://127.0.0.1:${metrics}`;
    otherUrl = `http://127.0.0.1:${other}`;
    server = await ServerProcess.start({
      dataDir: `${folder}/data`,
      args: [
        `--listen-metrics-urls=${metricsUrl}`,
        `--listen-client-urls=${otherUrl},unix://${folder}/etcd.sock`,
        `--advertise-client-urls=${otherUrl}`,
      ],
    });
  });

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  test("/version", async () => {
    const { status, type } = await ask(`${otherUrl}/version`);
    expect({ status, type }).toEqual({ status: 200, type: "application/json" });
    // The member of a fresh cluster decides on the cluster's version right after it is ready.
    await expect
      .poll(async () => (await ask(`${otherUrl}/version`)).body, { timeout: patienceMs })
      .toMatch(/^\{"etcdserver":"3\.6\.\d+","etcdcluster":"3\.6\.0","storage":"3\.6\.0"\}$/);
    expect(await ask(`${otherUrl}/version`, "POST")).toMatchObject({
      status: 405,
      body: "Method Not Allowed\n",
      headers: { allow: "GET" },
    });
  });

  test.each([
    ["/health", '{"health":"true","reason":""}'],
    ["/health?serializable=true", '{"health":"true","reason":""}'],
    ["/health?exclude=NOSPACE", '{"health":"true","reason":""}'],
    ["/livez", "ok\n"],
    ["/readyz", "ok\n"],
    ["/livez/serializable_read", "ok\n"],
    ["/readyz/linearizable_read", "ok\n"],
    ["/readyz/non_learner", "ok\n"],
    ["/readyz/data_corruption", "ok\n"],
    ["/livez?verbose", "[+]serializable_read ok\nok\n"],
  ])("%s", async (path, body) => {
    const answer = await ask(`${otherUrl}${path}`);
    expect(answer).toMatchObject({ status: 200, type: "text/plain; charset=utf-8", body });
    expect(await ask(`${metricsUrl}${path}`)).toMatchObject({ status: 200, body });
    expect(await ask(`${otherUrl}${path}`, "PUT")).toMatchObject({ status: 405, headers: { allow: "GET" } });
  });

  test("/readyz?verbose names its four checks", async () => {
    const { body } = await ask(`${otherUrl}/readyz?verbose`);
    const names = ["data_corruption", "linearizable_read", "non_learner", "serializable_read"];
    expect(body.split("\n").sort()).toEqual([...names.map((name) => `[+]${name} ok`), "ok", ""].sort());
  });

  test("unknown pages", async () => {
    for (const path of ["/", "/nothing", "/v2/keys", "/readyz/bogus"]) {
      expect(await ask(`${otherUrl}${path}`), path).toMatchObject({ status: 404, body: "404 page not found\n" });
    }
    expect(await ask(`${metricsUrl}/version`)).toMatchObject({ status: 404, body: "404 page not found\n" });
  });

  test("/metrics on both ports", async () => {
    for (const url of [otherUrl, metricsUrl]) {
      const { status, type, body } = await ask(`${url}/metrics`);
      expect({ status, type }).toMatchObject({
        status: 200,
        type: expect.stringMatching(/^text\/plain; version=0.0.4/) as string,
      });
      for (const name of ["etcd_server_has_leader 1", "go_goroutines ", "process_resident_memory_bytes "]) {
        expect(body).toContain(`\n${name}`);
      }
    }
  });

  test("CORS and OPTIONS", async () => {
    expect(await ask(`${otherUrl}/version`, "OPTIONS", { origin: "http://example.org" })).toMatchObject({
      status: 200,
      body: "",
      headers: { "access-control-allow-origin": "*" },
    });
  });

  test("the peer port has its own pages", async () => {
    expect((await ask(`${server.peerUrl}/version`)).body).toContain('"etcdserver":"3.6.');
    const { status, body, headers } = await ask(`${server.peerUrl}/members`);
    expect(status).toBe(200);
    expect(headers["x-etcd-cluster-id"]).toMatch(/^[0-9a-f]+$/);
    expect(body).toMatch(
      /^\[\{"id":\d+,"peerURLs":\["http:[^\]]*\],"name":"default","clientURLs":\["http:[^\]]*\]\}\]\n$/,
    );
    expect((await ask(`${server.peerUrl}/health`)).status).toBe(404);
  });

  test("clients come by TCP and by Unix socket", async () => {
    await withClient(`unix://${folder}/etcd.sock`, (client) => put(client, "by", "socket"));
    await withClient(otherUrl, async (client) => expect(await get(client, "by")).toBe("socket"));
  });
});

describe("--listen-client-http-urls", () => {
  let folder: string;
  let server: ServerProcess;
  let httpUrl: string;

  beforeAll(async () => {
    folder = temporaryFolder();
    const [port] = await freePorts(1);
    httpUrl = `http://127.0.0.1:${port}`;
    server = await ServerProcess.start({
      dataDir: `${folder}/data`,
      args: [`--listen-client-http-urls=${httpUrl}`, "--host-whitelist=127.0.0.1,good.example"],
    });
  });

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  test("HTTP is served there, and no longer beside gRPC", async () => {
    expect((await ask(`${httpUrl}/version`)).status).toBe(200);
    await expect(ask(`${server.endpoint}/version`)).rejects.toThrow();
    await withClient(server.endpoint, (client) => put(client, "a", "b"));
  });

  test("gRPC is not served on the HTTP port", async () => {
    const socket = dial(Number(new URL(httpUrl).port), "127.0.0.1");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const bytes = await new Promise<number>((resolve) => {
      socket.on("error", () => resolve(socket.bytesRead));
      socket.on("close", () => resolve(socket.bytesRead));
      socket.resume();
    });
    expect(bytes).toBe(0);
  });

  test("a host that is not on the whitelist is refused", async () => {
    const refused = await ask(`${httpUrl}/version`, "GET", { host: "evil.example" });
    expect(refused.status).toBe(421);
    expect(refused.body).toContain('--host-whitelist "evil.example"');
    expect((await ask(`${httpUrl}/version`, "GET", { host: "good.example" })).status).toBe(200);
  });
});
