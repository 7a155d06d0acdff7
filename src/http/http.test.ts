import { connect, createServer, type AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { NodeClock } from "../platform/node/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { AccessRules } from "./access.ts";
import { HealthCounters, healthPages, type HealthSource } from "./health.ts";
import { HttpServer, type Upgrade } from "./server.ts";
import type { Page } from "./page.ts";
import { versionPage } from "./version.ts";

const echo: Page = (request, response) => {
  request.on("data", (chunk) => response.write(chunk));
  request.on("end", () => response.end());
};

const quiet: Logger = {
  enabled: () => false,
  log: () => {},
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  fatal: () => {},
  withCaller: () => quiet,
};

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Fake {
  hasLeader: boolean;
  isLearner: boolean;
  alarms: string[];
  readError: Error | undefined;
}

async function start({
  access,
  upgrades = [],
  headTimeoutMs = 60_000,
  ...state
}: Partial<Fake> & { access?: AccessRules; upgrades?: [string, Upgrade][]; headTimeoutMs?: number } = {}) {
  const fake: Fake = { hasLeader: true, isLearner: false, alarms: [], readError: undefined, ...state };
  const source: HealthSource = {
    get hasLeader() {
      return fake.hasLeader;
    },
    get isLearner() {
      return fake.isLearner;
    },
    get alarms() {
      return fake.alarms;
    },
    read: (serializable, callback) => queueMicrotask(() => callback(serializable ? undefined : fake.readError)),
  };
  const counters = new HealthCounters();
  const pages = healthPages(source, counters, quiet);
  pages.set(
    "/version",
    versionPage(() => ({ server: "3.6.14", cluster: "3.6.0", storage: undefined })),
  );
  const http = new HttpServer({
    clock: new NodeClock(),
    headTimeoutMs,
    pages,
    access,
    prefixes: [["/v3/", echo]],
    upgrades,
  });
  const listener = createServer((socket) => http.handleSocket(socket));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    http.destroy();
    listener.close();
  });
  const base = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  return { base, counters, http, get: (path: string, init?: RequestInit) => fetch(base + path, init) };
}

async function shown(response: Response): Promise<[number, string]> {
  return [response.status, await response.text()];
}

test("/version tells the versions and what is not known yet", async () => {
  const { get } = await start();
  expect(await shown(await get("/version"))).toEqual([
    200,
    '{"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"unknown"}',
  ]);
});

test("pages that are read answer 405 to anything but GET", async () => {
  const { get } = await start();
  for (const path of ["/version", "/health", "/livez"]) {
    const response = await get(path, { method: "POST" });
    expect(response.headers.get("allow")).toBe("GET");
    expect(await shown(response)).toEqual([405, "Method Not Allowed\n"]);
  }
});

test("an unknown path is 404 in Go's words", async () => {
  const { get } = await start();
  expect(await shown(await get("/nope"))).toEqual([404, "404 page not found\n"]);
});

test("/health is true on a healthy member", async () => {
  const { get, counters } = await start();
  expect(await shown(await get("/health"))).toEqual([200, '{"health":"true","reason":""}']);
  expect(counters.successes).toBe(1);
});

test.each([
  [{ alarms: ["NOSPACE"] }, "", "ALARM NOSPACE"],
  [{ alarms: ["NOSPACE", "CORRUPT"] }, "?exclude=NOSPACE", "ALARM CORRUPT"],
  [{ hasLeader: false }, "", "RAFT NO LEADER"],
  [{ readError: new Error("etcdserver: request timed out") }, "", "RANGE ERROR:etcdserver: request timed out"],
])("/health of %j with %j fails for %s", async (state, query, reason) => {
  const { get } = await start(state);
  expect(await shown(await get(`/health${query}`))).toEqual([503, `${JSON.stringify({ health: "false", reason })}\n`]);
});

test("a serializable health check needs no leader", async () => {
  const { get } = await start({ hasLeader: false, readError: new Error("no") });
  expect((await get("/health?serializable=true")).status).toBe(200);
});

test("/readyz shows each check when asked", async () => {
  const { get } = await start();
  expect(await shown(await get("/readyz?verbose"))).toEqual([
    200,
    "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
  ]);
  expect(await shown(await get("/readyz"))).toEqual([200, "ok\n"]);
});

test("/readyz names what failed, unless it is excluded", async () => {
  const { get, counters } = await start({ readError: new Error("boom"), isLearner: true });
  expect(await shown(await get("/readyz"))).toEqual([
    503,
    "[+]data_corruption ok\n[+]serializable_read ok\n[-]linearizable_read failed: boom\n[-]non_learner failed: not supported for learner\n\n",
  ]);
  expect((await get("/readyz?exclude=linearizable_read&exclude=non_learner")).status).toBe(200);
  expect((await get("/readyz/non_learner")).status).toBe(503);
  expect((await get("/livez/serializable_read")).status).toBe(200);
  expect(counters.checks.get("readyz/non_learner")).toEqual({ lastPassed: false, passed: 0, failed: 2 });
});

test("a host outside the whitelist is misdirected", async () => {
  const { get } = await start({ access: { cors: ["*"], hostWhitelist: ["example.com"] } });
  const response = await get("/version");
  expect(response.status).toBe(421);
  expect(await response.text()).toContain("CVE-2018-5702");
});

test("CORS headers stand on every answer of an allowed origin", async () => {
  const { get } = await start({ access: { cors: ["http://a.example:80"], hostWhitelist: ["*"] } });
  const allowed = await get("/nope", { headers: { origin: "http://a.example:80" } });
  expect(allowed.headers.get("access-control-allow-origin")).toBe("http://a.example:80");
  const other = await get("/version", { headers: { origin: "http://b.example" } });
  expect(other.headers.get("access-control-allow-origin")).toBeNull();
  expect((await get("/any", { method: "OPTIONS" })).status).toBe(200);
});

/** Sends bytes as they are and reads until the server closes. */
function exchange(base: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

const ignored: Upgrade = (_request, socket) => void socket.end("upgraded");

test("the wish to upgrade to HTTP/2 is left unheard, and the body arrives", async () => {
  const { base } = await start({ upgrades: [["/v3/", ignored]] });
  const head = "POST /v3/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c";
  const answer = await exchange(base, `${head}\r\nConnection: close, Upgrade, HTTP2-Settings\r\n\r\nhello`);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer).toContain("hello");
});

test("a WebSocket goes to whom it asks for, if the host is known", async () => {
  const access = { cors: [], hostWhitelist: ["good.example"] };
  const { base } = await start({ access, upgrades: [["/v3/", ignored]] });
  const wish = (host: string, path: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: close, Upgrade\r\n\r\n`;
  expect(await exchange(base, wish("good.example", "/v3/watch"))).toBe("upgraded");
  expect(await exchange(base, wish("evil.example", "/v3/watch"))).toMatch(/^HTTP\/1\.1 421 /);
  expect(await exchange(base, wish("good.example", "/version"))).toMatch(/^HTTP\/1\.1 200 /);
});

test.each([
  ["/v3//kv/range?a=1", "/v3/kv/range?a=1"],
  ["/a/../version", "/version"],
  ["/v3", "/v3/"],
  ["//version", "/version"],
])("%s is sent to %s", async (path, location) => {
  const { base } = await start();
  const answer = await exchange(
    base,
    `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 307 /);
  expect(answer).toContain(`\r\nLocation: ${location}\r\n`);
});

/** Says `said`, then `drip` every few milliseconds until the connection ends; what was heard. */
function talk(
  base: string,
  said: string,
  drip?: string,
): { heard: () => string; closed: Promise<string>; say(more: string): void } {
  const socket = connect(Number(new URL(base).port), "127.0.0.1", () => socket.write(said));
  let heard = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  const dripping = drip === undefined ? undefined : setInterval(() => socket.write(drip), 5);
  const closed = new Promise<string>((resolve) => {
    socket.on("error", () => undefined); // a reset is an end, too
    socket.on("close", () => {
      clearInterval(dripping);
      resolve(heard);
    });
  });
  closers.push(() => socket.destroy());
  return { heard: () => heard, closed, say: (more) => socket.write(more) };
}

const whole = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

test("a head that never ends is cut off, however steadily it drips, at the start and after a request", async () => {
  const { base } = await start({ headTimeoutMs: 200 });
  expect(await talk(base, "GET /health HTTP/1.1\r\nHost: x\r\n", "X-Slow: 1\r\n").closed).toBe("");
  expect(await talk(base, `${whole}GET /health HTTP/1.1\r\nX`, "-").closed).toMatch(/^HTTP\/1\.1 200 OK/);
});

test("an idle connection and a slow body are no slow head", async () => {
  const { base } = await start({ headTimeoutMs: 50 });
  const idle = talk(base, whole);
  await expect.poll(idle.heard, { timeout: 60_000 }).toContain('{"health":"true"');
  const posted = talk(base, "POST /v3/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "x");
  // Another head runs out meanwhile, so the time of these two would have, too.
  expect(await talk(base, "GET / HTTP/1.1\r\n").closed).toBe("");
  expect(await talk(base, "GET / HTTP/1.1\r\n").closed).toBe("");
  let isOpen = true;
  void Promise.race([idle.closed, posted.closed]).then(() => (isOpen = false));
  await expect.poll(posted.heard, { timeout: 60_000 }).toContain("200 OK");
  expect(isOpen).toBe(true);
});

test("close() ends idle connections at once and the others after their answer; destroy() ends all", async () => {
  const { base, http } = await start();
  const idle = talk(base, whole);
  await expect.poll(idle.heard, { timeout: 60_000 }).toContain('{"health":"true"');
  const busy = talk(base, "POST /v3/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
  await expect.poll(busy.heard, { timeout: 60_000 }).toContain("12345");
  http.close();
  await idle.closed;
  busy.say("67890");
  expect(await busy.closed).toContain("67890");
  const late = talk(base, "POST /v3/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
  await expect.poll(late.heard, { timeout: 60_000 }).toContain("12345");
  http.destroy();
  await late.closed;
});
