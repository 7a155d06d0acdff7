/** `--enable-pprof`: profiles that Go's own tool reads, and what is there in place of goroutines. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { put, withClient } from "../support/client.ts";
import { removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

const compileMs = 300_000;
const hasGo = spawnSync("go", ["version"]).status === 0;

let folder: string;
let server: ServerProcess;
beforeEach(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: join(folder, "data"), args: ["--enable-pprof"] });
});
afterEach(async () => {
  await server.kill();
  removeFolder(folder);
});

const url = (name: string): string => `${server.endpoint}/debug/pprof/${name}`;

/** Keeps the member busy until `done`. */
async function busyUntil<T>(done: Promise<T>): Promise<T> {
  let isDone = false;
  const work = withClient(server.endpoint, async (client) => {
    for (let index = 0; !isDone; index++) await put(client, `k${index % 100}`, "v");
  });
  const result = await done.finally(() => {
    isDone = true;
  });
  await work;
  return result;
}

test.skipIf(!hasGo)(
  "go tool pprof reads CPU and heap profiles (skipped without Go)",
  { timeout: compileMs },
  async () => {
    const read = (name: string, bytes: ArrayBuffer): string => {
      const file = join(folder, name);
      writeFileSync(file, Buffer.from(bytes));
      // The first call compiles the tool.
      const { status, stdout, stderr } = spawnSync("go", ["tool", "pprof", "-top", "-nodecount=2000", file], {
        encoding: "utf8",
        env: { ...process.env, PPROF_TMPDIR: folder },
        timeout: compileMs,
      });
      expect({ status, stderr }).toMatchObject({ status: 0 });
      return stdout;
    };
    const cpu = await busyUntil(fetch(url("profile?seconds=2")).then((response) => response.arrayBuffer()));
    const cpuTop = read("cpu", cpu);
    expect(cpuTop).toMatch(/^Type: cpu$/m);
    expect(cpuTop).toMatch(/^Duration: 2(\.\d+)?s, Total samples = \d+/m);
    expect(cpuTop).toMatch(/^\s+\S+ +\S+% +\S+% +\S+ +\S+% {2}\S/m);
    expect(cpuTop).not.toContain("(idle)");
    const heapTop = read("heap", await (await fetch(url("heap"))).arrayBuffer());
    expect(heapTop).toMatch(/^Type: inuse_space$/m);
    expect(heapTop).toMatch(/of \d+(\.\d+)?[kM]B total/);
    for (const name of ["goroutine", "mutex", "block", "threadcreate"]) {
      expect(read(name, await (await fetch(url(name))).arrayBuffer())).toMatch(new RegExp(`^Type: ${name}$`, "m"));
    }
  },
);

test("one CPU profile is taken at a time, and ends with the client that waits for it", async () => {
  const leaving = new AbortController();
  const first = fetch(url("profile?seconds=300"), { signal: leaving.signal });
  const refused = async (): Promise<Response> => fetch(url("profile?seconds=0.1"));
  let answer = await refused();
  while (answer.status === 200) answer = await refused();
  expect(answer.status).toBe(500);
  expect(await answer.text()).toBe("Could not enable CPU profiling: cpu profiling already in use\n");
  leaving.abort();
  await expect(first).rejects.toThrow();
  while (answer.status !== 200) answer = await refused();
  expect(gunzipSync(Buffer.from(await answer.arrayBuffer())).includes("nanoseconds")).toBe(true);
  expect((await fetch(url("profile?seconds=601"))).status).toBe(400);
});

test("the other pages, below the client port alone", async () => {
  const index = await fetch(`${server.endpoint}/debug/pprof`);
  expect(index.url).toBe(url(""));
  expect(await index.text()).toContain('<a href="heap">heap</a>');
  expect(await (await fetch(url("goroutine?debug=2"))).text()).toMatch(
    /^goroutine profile: total \d+ .*\n(?:.*\n)*\d+ @ TCP/,
  );
  expect(await (await fetch(url("cmdline"))).text()).toContain("\0--enable-pprof");
  expect(await (await fetch(url("symbol"))).text()).toBe("num_symbols: 1\n");
  expect((await fetch(url("trace"))).status).toBe(501);
  const unknown = await fetch(url("nothing"));
  expect([unknown.status, await unknown.text()]).toEqual([404, "Unknown profile\n"]);
  expect((await fetch(`${server.peerUrl}/debug/pprof/heap`)).status).toBe(404);
  expect(server.lines.join("\n")).toContain('"msg":"pprof is enabled","path":"/debug/pprof"');
});
