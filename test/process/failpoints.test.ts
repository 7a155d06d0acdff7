/** Failpoints of a real process: by environment and over HTTP, as tests of etcd use them. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { join } from "node:path";
import { freePorts, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";
import { failpointNames } from "../../src/base/failpoints.ts";

let folder = "";
let server: ServerProcess | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(async () => {
  await server?.kill();
  server = undefined;
  removeFolder(folder);
});

/** A started server whose failpoints are switched at the URL. */
async function start(env: Record<string, string> = {}): Promise<{ server: ServerProcess; url: string }> {
  const [port] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  server = await ServerProcess.start({ dataDir: join(folder, "data"), env: { GOFAIL_HTTP: address, ...env } });
  return { server, url: `http://${address}` };
}

const put = (url: string, body: string) => fetch(url, { method: "PUT", body });
const etcdctl = (endpoint: string, ...args: string[]) =>
  runToEnd(program("etcdctl"), [`--endpoints=${endpoint}`, ...args]);

test("they are listed, set, shown, counted and cleared over HTTP", async () => {
  const { server, url } = await start({ GOFAIL_FAILPOINTS: "beforeCommit=off;walAfterSync=1*print" });
  const list = await (await fetch(`${url}/`)).text();
  const lines = list.trimEnd().split("\n");
  expect(lines.map((line) => line.split("=")[0])).toEqual([...failpointNames]);
  expect(lines).toContain("beforeCommit=off");
  expect(lines).toContain("defragdbFail=");
  expect((await put(`${url}/defragdbFail`, 'return("no space here")')).status).toBe(204);
  expect(await (await fetch(`${url}/defragdbFail`)).text()).toBe('return("no space here")\n');
  const failed = etcdctl(server.endpoint, "defrag");
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).toContain("no space here");
  expect(await (await fetch(`${url}/defragdbFail/count`)).text()).toBe("1");
  expect((await fetch(`${url}/defragdbFail`, { method: "DELETE" })).status).toBe(204);
  expect((await fetch(`${url}/defragdbFail`)).status).toBe(404);
  expect(etcdctl(server.endpoint, "defrag").code).toBe(0);
  expect((await put(`${url}/failpoints`, "beforeCommit=off;afterCommit=off")).status).toBe(204);
  expect((await put(`${url}/nowhere`, "panic")).status).toBe(404);
  expect((await put(`${url}/beforeCommit`, "explode")).status).toBe(400);
  expect((await fetch(`${url}/nowhere`, { method: "DELETE" })).status).toBe(404);
  expect((await fetch(`${url}/beforeCommit`, { method: "POST" })).status).toBe(405);
});

test("panic ends the process in the middle of a request, and nothing acknowledged is lost", async () => {
  const { server, url } = await start();
  expect(etcdctl(server.endpoint, "put", "a", "1").stdout).toBe("OK\n");
  await put(`${url}/walBeforeSync`, "panic");
  expect(etcdctl(server.endpoint, "--command-timeout=2s", "put", "a", "2").code).not.toBe(0);
  await server.exit();
  expect(server.lines.join("\n")).toContain("panic: failpoint panic: walBeforeSync");
  const again = await start();
  expect(["1\n", "2\n"]).toContain(etcdctl(again.server.endpoint, "get", "a", "--print-value-only").stdout);
});

test("a sleep before an entry is applied holds writes and leaves serializable reads alone", async () => {
  const { server, url } = await start();
  etcdctl(server.endpoint, "put", "a", "1");
  await put(`${url}/beforeApplyOneEntryNormal`, 'sleep("1h")');
  expect(etcdctl(server.endpoint, "--command-timeout=1s", "put", "a", "2").stderr).toContain("deadline exceeded");
  const read = etcdctl(server.endpoint, "get", "a", "--consistency=s", "--print-value-only");
  expect(read.stdout).toBe("1\n");
});

test("a start with failpoints that cannot be read says so", () => {
  const args = [`--data-dir=${join(folder, "data")}`];
  const { code, stderr } = runToEnd(program("etcd"), args, { env: { GOFAIL_FAILPOINTS: "nowhere=panic" } });
  expect(code).toBe(1);
  expect(stderr).toContain("does not exist");
});
