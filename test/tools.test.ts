/** The built command lines against a built member: what a bundle could break that the units do not see. */
import { spawnSync } from "node:child_process";
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

test("the commands of Kubernetes' documentation, which 3.6 has in etcdutl, work in etcdctl too", () => {
  expect(etcdctl("snapshot", "save", "snapshotdb").code).toBe(0);
  const status = etcdctl("--write-out=table", "snapshot", "status", "snapshotdb");
  expect(status).toMatchObject({ code: 0, stderr: "Deprecated: Use `etcdutl snapshot status` instead.\n\n" });
  expect(status.stdout).toBe(
    runToEnd(program("etcdutl"), ["--write-out=table", "snapshot", "status", join(folder, "snapshotdb")]).stdout,
  );
  const restored = etcdctl(
    "--endpoints",
    "10.2.0.9:2379",
    "snapshot",
    "restore",
    "--data-dir",
    "restored",
    "snapshotdb",
  );
  expect(restored.code, restored.stderr).toBe(0);
  expect(restored.stderr).toMatch(/^Deprecated: Use `etcdutl snapshot restore` instead\.\n\n20/);
  expect(statSync(join(folder, "restored", "member", "snap", "db")).isFile()).toBe(true);
  expect(etcdctl("snapshot", "restore", "--bump-revision=5", "snapshotdb").code).toBe(128);
});

const hasScript = spawnSync("script", ["--version"]).error === undefined;

test.skipIf(!hasScript)("on a terminal a bar moves (skipped without util-linux' script)", () => {
  const line = `'${program("etcdctl")}' --endpoints=${server.endpoint} snapshot save seen.db`;
  const seen = runToEnd("script", ["-qec", line, "/dev/null"], { cwd: folder }).stdout;
  expect(seen).toMatch(/\r(\d+) \/ \1 \[-{60}\] 100\.00%\r?\n/);
  expect(seen).toContain("Snapshot saved at seen.db");
  expect(etcdctl("snapshot", "save", "unseen.db").stderr).not.toContain("100.00%");
});

test.skipIf(!hasScript)(
  "on a terminal a downgrade is told to have a backup (skipped without util-linux' script)",
  () => {
    const line = `'${program("etcdctl")}' --endpoints=${server.endpoint} downgrade validate 3.5`;
    const seen = runToEnd("script", ["-qec", line, "/dev/null"], { cwd: folder }).stdout;
    expect(seen).toMatch(
      /^Hint: have a backup from before the downgrade .*\r?\nDowngrade validate success, cluster version 3\.6/,
    );
    expect(etcdctl("downgrade", "validate", "3.5")).toMatchObject({ code: 0, stderr: "" });
  },
);

test("Kubernetes' data is restored with a hint about revisions, unless they are bumped", () => {
  expect(etcdctl("put", "/registry/leases/kube-system/x", "1").code).toBe(0);
  expect(etcdctl("snapshot", "save", "kubernetes.db").code).toBe(0);
  const restore = (...args: string[]): string =>
    runToEnd(program("etcdutl"), ["snapshot", "restore", "kubernetes.db", ...args], { cwd: folder }).stderr;
  expect(restore("--data-dir=hinted")).toContain("restore with --bump-revision 1000000000 --mark-compacted");
  const bumped = restore("--data-dir=bumped", "--bump-revision=1000000000", "--mark-compacted");
  expect(bumped).toContain('"new-latest-revision": 1000000003');
  expect(bumped).not.toContain("hint");
  const other = runToEnd(program("etcdutl"), ["snapshot", "restore", "snapshotdb", "--data-dir=other"], {
    cwd: folder,
  });
  expect(other.stderr).not.toContain("hint");
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
