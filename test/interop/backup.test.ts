/** A backup that `quorate backup` encrypted is opened by stock age, and restored by Go's etcdutl. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";
import { withClient } from "../support/client.ts";
import { readContents } from "./contents.ts";
import { goEtcd, theGoEtcd } from "./go-etcd.ts";
import { mixedLoad } from "./workload.ts";

const hasAge = spawnSync("age", ["--version"]).error === undefined;
const title = "stock age and Go's etcdutl restore an encrypted backup (skipped: needs age in PATH and Go etcd 3.6)";

test.skipIf(!hasAge || goEtcd("3.6") === undefined)(title, async () => {
  const folder = temporaryFolder();
  const go = theGoEtcd("3.6");
  let server = await ServerProcess.start({ dataDir: join(folder, "data") });
  try {
    await withClient(server.endpoint, (client) => mixedLoad(client, 1));
    const before = await readContents(server.endpoint);
    const key = join(folder, "key.txt");
    expect(runToEnd("age-keygen", ["-o", key]).code).toBe(0);
    const recipient = /age1[a-z0-9]+/.exec(readFileSync(key, "utf8"))?.[0] ?? "";
    const directory = join(folder, "backups");
    const args = ["backup", "save", `--dir=${directory}`, `--recipient=${recipient}`];
    const saved = runToEnd(program("quorate"), [...args, `--endpoints=${server.endpoint}`]);
    expect(saved.code, saved.stderr).toBe(0);
    const name = readdirSync(directory).find((each) => each.endsWith(".age")) ?? "";
    const plain = join(folder, "plain.db");
    expect(runToEnd("age", ["-d", "-i", key, "-o", plain, join(directory, name)])).toMatchObject({ code: 0 });
    const restored = runToEnd(go.etcdutl, ["snapshot", "restore", plain, `--data-dir=${folder}/restored`]);
    expect(restored.code, restored.stderr).toBe(0);
    await server.stop();
    server = await ServerProcess.start({ command: go.etcd, dataDir: `${folder}/restored` });
    const { hashes } = await readContents(server.endpoint, Object.keys(before.hashes).map(Number));
    expect(hashes).toEqual(before.hashes);
  } finally {
    await server.kill();
    removeFolder(folder);
  }
});
