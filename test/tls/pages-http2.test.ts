/**
 * Pages and calls on one HTTP/2 connection under TLS. What is expected was compared with Go's etcd 3.6.14 by `curl --http2`:
 * status, fields and bodies, but for what its gateway adds (docs/differences.md).
 */
import { connect, type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { freePorts, patienceMs, removeFolder, temporaryFolder } from "../support/process.ts";
import { TlsMember } from "../support/tls-member.ts";

const title = `pages over HTTP/2${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const cors = {
  "access-control-allow-headers": "accept, content-type, authorization",
  "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
  "access-control-allow-origin": "*",
};
const text = { "content-type": "text/plain; charset=utf-8" };
const error = { ...text, "x-content-type-options": "nosniff" };
const json = { "content-type": "application/json" };
const range = JSON.stringify({ key: Buffer.from("foo").toString("base64") });

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let member: TlsMember;
  let ca: Buffer;
  let pagesPort: number;
  let metricsPort: number;
  const sessions: ClientHttp2Session[] = [];

  function open(port: number): ClientHttp2Session {
    const session = connect(`https://127.0.0.1:${port}`, { ca });
    sessions.push(session);
    return session;
  }

  function ask(
    session: ClientHttp2Session,
    path: string,
    { body, ...headers }: OutgoingHttpHeaders & { body?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const method = body === undefined ? "GET" : "POST";
      const stream = session.request({ ":method": method, ":path": path, ...headers }, { endStream: false });
      let answer: IncomingHttpHeaders = {};
      let received = "";
      stream.on("response", (fields) => (answer = fields));
      stream.on("data", (chunk: Buffer) => (received += chunk.toString()));
      stream.on("end", () => {
        const { ":status": status, date, ...rest } = answer as IncomingHttpHeaders & { ":status": number };
        expect(new Date(date ?? "").getTime()).not.toBeNaN();
        resolve({ status, headers: Object.fromEntries(Object.entries(rest)), body: received }); // without its symbols
      });
      stream.on("error", reject);
      stream.end(body);
    });
  }

  beforeAll(async () => {
    folder = temporaryFolder();
    const authority = new CertificateAuthority(folder);
    ca = readFileSync(authority.cert);
    const pair = authority.sign("server", { usage: ["serverAuth"], names: ["IP:127.0.0.1"] });
    [metricsPort] = await freePorts(1);
    const flags = [`--cert-file=${pair.cert}`, `--key-file=${pair.key}`];
    member = await TlsMember.start({
      folder,
      flags: [...flags, `--listen-metrics-urls=https://127.0.0.1:${metricsPort}`],
    });
    pagesPort = member.port;
  }, 2 * patienceMs);

  afterAll(async () => {
    for (const session of sessions) session.destroy();
    await member.stop();
    removeFolder(folder);
  });

  test.each([
    ["/version", {}, 200, { ...cors, ...json }, /^\{"etcdserver":"3\.6\.14","etcdcluster":"3\.6\.0"/],
    ["/health", {}, 200, { ...cors, ...text }, /^\{"health":"true","reason":""\}$/],
    ["/livez", {}, 200, { ...cors, ...error }, /^ok\n$/],
    ["/health", { ":method": "PUT" }, 405, { ...cors, ...error, allow: "GET" }, /^Method Not Allowed\n$/],
    ["/version", { ":method": "HEAD" }, 405, { ...cors, ...error, allow: "GET" }, /^$/],
    ["/nope", {}, 404, { ...cors, ...error }, /^404 page not found\n$/],
    ["/v3/kv/range", { ":method": "OPTIONS" }, 200, cors, /^$/],
    ["//version", {}, 307, { ...cors, location: "/version", "content-type": "text/html; charset=utf-8" }, /^<a /],
    ["/v3/kv/range", {}, 501, { ...cors, ...json }, /^\{"code":12,"message":"Method Not Allowed"\}$/],
    ["/v3/kv/range", { body: "{" }, 400, { ...cors, ...json }, /^\{"code":3,"message":"unexpected EOF"\}$/],
    ["/etcdserverpb.KV/Range", { body: "{}", ...json }, 404, { ...cors, ...error }, /^404 page not found\n$/],
  ])("%s %j is answered with %i", async (path, request, status, headers, body) => {
    const answer = await ask(open(pagesPort), path, request);
    const { "content-length": length, ...fields } = answer.headers;
    expect({ ...answer, headers: fields }).toEqual({ status, headers, body: expect.stringMatching(body) as string });
    if (request[":method" as keyof typeof request] !== "HEAD") expect(Number(length)).toBe(answer.body.length);
  });

  test("pages, gateway and calls share a connection, and it goes on after each", async () => {
    const session = open(pagesPort);
    const put = JSON.stringify({ key: "Zm9v", value: "YmFy" });
    const answers = await Promise.all([
      ask(session, "/v3/kv/put", { body: put }),
      ask(session, "/metrics"),
      ask(session, "/health"),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers[1].body).toContain("etcd_server_has_leader 1");
    const read = await ask(session, "/v3/kv/range", { body: range });
    expect(JSON.parse(read.body)).toMatchObject({ kvs: [{ key: "Zm9v", value: "YmFy" }] });
    const call = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const trailers = new Promise<IncomingHttpHeaders>((resolve) => call.on("trailers", resolve));
    call.resume();
    call.end(Buffer.alloc(5));
    expect(await trailers).toMatchObject({ "grpc-status": "0" });
  });

  test("a watch of the gateway is told of events as they happen, and ends when the client leaves", async () => {
    const session = open(pagesPort);
    const watch = session.request({ ":method": "POST", ":path": "/v3/watch" });
    const lines: string[] = [];
    const seen = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (lines.length < count) return;
          watch.off("data", look);
          resolve();
        };
        watch.on("data", look);
        look();
      });
    watch.on("data", (chunk: Buffer) => lines.push(...chunk.toString().split("\n").filter(Boolean)));
    watch.write(JSON.stringify({ create_request: { key: "d2F0Y2hlZA==" } }));
    await seen(1);
    await ask(session, "/v3/kv/put", { body: JSON.stringify({ key: "d2F0Y2hlZA==", value: "MQ==" }) });
    await seen(2);
    expect(lines[0]).toContain('"created":true');
    expect(lines[1]).toContain('"value":"MQ=="');
    watch.close();
    await expect
      .poll(async () => (await ask(session, "/metrics")).body, { timeout: patienceMs })
      .toMatch(/^etcd_debugging_mvcc_watcher_total 0$/m);
  });

  test("an answer that comes before the end of its request is no failure for the client", async () => {
    const session = open(pagesPort);
    const stream = session.request({ ":method": "POST", ":path": "/v3/kv/nope" });
    let status: number | undefined;
    stream.on("response", (headers) => (status = headers[":status"]));
    stream.resume();
    stream.write("{");
    await new Promise((resolve) => stream.on("end", resolve));
    stream.end("}");
    await new Promise((resolve) => stream.on("close", resolve));
    expect({ status, code: stream.rstCode }).toEqual({ status: 404, code: 0 });
  });

  test("a large answer of the gateway goes to a slow reader piece by piece, complete", async () => {
    const session = open(pagesPort);
    const value = Buffer.alloc(500_000, "x").toString("base64");
    for (let index = 0; index < 8; index++) {
      const key = Buffer.from(`large/${index}`).toString("base64");
      expect((await ask(session, "/v3/kv/put", { body: JSON.stringify({ key, value }) })).status).toBe(200);
    }
    const slow = session.request({ ":method": "POST", ":path": "/v3/kv/range" });
    slow.end(JSON.stringify({ key: Buffer.from("large/").toString("base64"), range_end: "bGFyZ2Uw" }));
    await new Promise((resolve) => slow.on("response", resolve));
    // Other requests are served while it waits.
    expect((await ask(session, "/health")).status).toBe(200);
    let body = "";
    slow.on("data", (chunk: Buffer) => (body += chunk.toString()));
    await new Promise((resolve) => slow.on("end", resolve));
    expect((JSON.parse(body) as { count: string }).count).toBe("8");
  });

  test("the metrics listener shows its pages over HTTP/2, and takes no calls", async () => {
    const session = open(metricsPort);
    expect((await ask(session, "/health")).status).toBe(200);
    const call = { body: "", "content-type": "application/grpc" };
    expect(await ask(session, "/etcdserverpb.KV/Range", call)).toMatchObject({ status: 404 });
  });
});
