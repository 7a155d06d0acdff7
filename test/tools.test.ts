/** The built command lines against a built member: what a bundle could break that the units do not see. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program, removeFolder, runToEnd, ServerProcess, temporaryFolder, type Finished } from "./support/process.ts";

let folder: string;
let server: ServerProcess;

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: join(folder, "data") });
});

afterAll(async () => {
  await server.stop();
  removeFolder(folder);
});

function etcdctl(...args: string[]): Finished {
  return runToEnd(program("etcdctl"), args, {
    env: { ETCDCTL_ENDPOINTS: server.endpoint, ETCDCTL_API: "3" },
    cwd: folder,
  });
}

test("etcdctl puts and gets", () => {
  expect(etcdctl("put", "foo", "bar")).toMatchObject({ code: 0, stdout: "OK\n" });
  expect(etcdctl("get", "foo")).toMatchObject({ code: 0, stdout: "foo\nbar\n" });
  expect(etcdctl("get", "nothing")).toMatchObject({ code: 0, stdout: "" });
});

test("etcdctl saves a snapshot that etcdutl reads, and leaves no part behind", () => {
  const path = join(folder, "backup.db");
  expect(etcdctl("snapshot", "save", path)).toMatchObject({ code: 0 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(() => statSync(`${path}.part`)).toThrow("ENOENT");
  const status = runToEnd(program("etcdutl"), ["snapshot", "status", path, "-w", "json"]);
  expect(status.code).toBe(0);
  expect(JSON.parse(status.stdout)).toMatchObject({ revision: 2, totalKey: 1 });
});

test("watch runs a command for each event", () => {
  const result = etcdctl("watch", "foo", "--rev=2", "--", "sh", "-c", "echo seen $ETCD_WATCH_KEY; kill -INT $PPID");
  expect(result.stdout).toContain('seen "foo"');
});

test("an endpoint where nobody listens is an error within the time given", () => {
  const result = runToEnd(program("etcdctl"), ["--endpoints=127.0.0.1:1", "--command-timeout=300ms", "get", "x"]);
  expect(result.code).toBe(1);
  expect(result.stderr).toContain("context deadline exceeded");
});
