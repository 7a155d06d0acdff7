/** A member from its start to its end, as supervisors and test frameworks see it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { WatchCreateRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { connect, get, put, withClient } from "../support/client.ts";
import { removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

let folder: string;
let running: ServerProcess[];

beforeEach(() => {
  folder = temporaryFolder();
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map((server) => server.kill()));
  removeFolder(folder);
});

async function start(args: readonly string[] = []): Promise<ServerProcess> {
  const server = await ServerProcess.start({ dataDir: `${folder}/data`, args });
  running.push(server);
  return server;
}

test("every line is JSON with etcd's keys, none at level error, with --log-level=debug too", async () => {
  const server = await start(["--log-level=debug", "--snapshot-count=10"]);
  await withClient(server.endpoint, async (client) => {
    for (let index = 0; index < 50; index++) await put(client, `k${index % 5}`, "v");
    await client.call(methods.compact, { revision: 20n, physical: true }, {});
    await client.call(methods.defragment, {}, {});
    await client.call(methods.range, { key: Buffer.from("missing") }, {});
  });
  expect(await server.stop()).toBe(0);
  for (const line of server.lines) {
    const { level, ts, caller, msg } = JSON.parse(line) as Record<string, string>;
    expect(["debug", "info", "warn"], line).toContain(level);
    expect(ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}(Z|[+-]\d{4})$/);
    expect(caller, line).not.toBe("");
    expect(typeof msg).toBe("string");
  }
  const text = server.lines.join("\n");
  for (const awaited of ["saved snapshot", "finished scheduled compaction", "serving client traffic"]) {
    expect(text).toContain(awaited);
  }
});

test("SIGTERM: running writes end, a watch ends, exit code 0, and nothing acknowledged is lost", async () => {
  const server = await start();
  const client = connect(server.endpoint);
  const watch = await client.open(methods.watch);
  await watch.send({ createRequest: WatchCreateRequest.create({ key: Buffer.from("w") }) });
  const events = watch[Symbol.asyncIterator]();
  expect((await events.next()).value).toMatchObject({ created: true });
  const writes = Array.from({ length: 500 }, (_, index) =>
    put(client, `key/${index}`, "v").then(
      () => `key/${index}`,
      () => undefined,
    ),
  );
  await Promise.race(writes);
  const watchEnds = expect(events.next()).rejects.toThrow();
  expect(await server.stop()).toBe(0);
  const acknowledged = (await Promise.all(writes)).filter((key) => key !== undefined);
  await watchEnds;
  client.close();
  expect(acknowledged.length).toBeGreaterThan(0);
  const log = server.lines.join("\n");
  expect(log).toContain('"msg":"received signal; shutting down","signal":"terminated"');
  expect(log).toContain('"msg":"closed etcd server"');

  const again = await start();
  await withClient(again.endpoint, async (reader) => {
    for (const key of acknowledged) expect(await get(reader, key)).toBe("v");
  });
});

test("SIGINT stops in the same way", async () => {
  const server = await start();
  server.signal("SIGINT");
  expect(await server.exit()).toBe(0);
  expect(server.lines.join("\n")).toContain('"signal":"interrupt"');
});

test("SIGSTOP and SIGCONT reach the member itself", async () => {
  const server = await start();
  server.signal("SIGSTOP");
  await withClient(server.endpoint, async (client) => {
    await expect(client.call(methods.range, { key: Buffer.from("a") }, { timeoutMs: 200 })).rejects.toThrow();
    server.signal("SIGCONT");
    expect(await get(client, "a")).toBeUndefined();
  });
});

test("a second member on the same directory waits for the first one's lock, and SIGTERM ends the waiting", async () => {
  const first = await start();
  const second = await ServerProcess.launch({ dataDir: `${folder}/data` });
  running.push(second);
  await second.waitForLine('"msg":"starting an etcd server"');
  await withClient(first.endpoint, (client) => put(client, "a", "1"));
  expect(second.lines.join("\n")).not.toContain("ready to serve");
  second.signal("SIGTERM");
  expect(await second.exit()).toBe(0);
  await withClient(first.endpoint, async (client) => expect(await get(client, "a")).toBe("1"));

  const third = await ServerProcess.launch({ dataDir: `${folder}/data` });
  running.push(third);
  await third.waitForLine('"msg":"starting an etcd server"');
  await first.stop();
  expect(await third.becomesReady()).toBe(true);
  await withClient(third.endpoint, async (client) => expect(await get(client, "a")).toBe("1"));
});
