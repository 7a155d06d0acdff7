/** Backups that `quorate backup` or a member's schedule encrypted are opened by stock age, and restored by Go's etcdutl. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  patienceMs,
  peer,
  program,
  removeFolder,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "../support/client.ts";
import { readContents } from "./contents.ts";
import { goEtcd, theGoEtcd } from "./go-etcd.ts";
import { mixedLoad } from "./workload.ts";

const age = peer("age") ?? "age";
const hasAge = spawnSync(age, ["--version"]).error === undefined;
const title =
  "stock age and Go's etcdutl restore an encrypted backup (skipped: needs age in PATH or beside the peers, and Go etcd 3.6)";

test.skipIf(!hasAge || goEtcd("3.6") === undefined)(title, async () => {
  const folder = temporaryFolder();
  const go = theGoEtcd("3.6");
  let server = await ServerProcess.start({ dataDir: join(folder, "data") });
  try {
    await withClient(server.endpoint, (client) => mixedLoad(client, 1));
    const before = await readContents(server.endpoint);
    const { key, recipient } = newIdentity(folder);
    const directory = join(folder, "backups");
    const args = ["backup", "save", `--dir=${directory}`, `--recipient=${recipient}`];
    const saved = runToEnd(program("quorate"), [...args, `--endpoints=${server.endpoint}`]);
    expect(saved.code, saved.stderr).toBe(0);
    const name = readdirSync(directory).find((each) => each.endsWith(".age")) ?? "";
    const plain = join(folder, "plain.db");
    expect(runToEnd(age, ["-d", "-i", key, "-o", plain, join(directory, name)])).toMatchObject({ code: 0 });
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

/** A key file and its public part. */
function newIdentity(folder: string): { key: string; recipient: string } {
  const key = join(folder, "key.txt");
  const made = runToEnd(peer("age-keygen") ?? "age-keygen", ["-o", key]);
  expect(made.code, made.stderr).toBe(0);
  return { key, recipient: /age1[a-z0-9]+/.exec(readFileSync(key, "utf8"))?.[0] ?? "" };
}

const scheduledTitle =
  "a member's own backup restores with age and Go's etcdutl; nothing acknowledged before it is lost";
const skipped = " (skipped: needs age in PATH or beside the peers, and Go etcd 3.6; waits for a full minute)";

test.skipIf(!hasAge || goEtcd("3.6") === undefined)(scheduledTitle + skipped, { timeout: 6 * patienceMs }, async () => {
  const folder = temporaryFolder();
  const go = theGoEtcd("3.6");
  const { key, recipient } = newIdentity(folder);
  const directory = join(folder, "backups");
  const args = [
    "--quorate-backup-schedule=* * * * *",
    `--quorate-backup-dir=${directory}`,
    "--quorate-backup-retention=3,1d",
    `--quorate-backup-age-recipients=${recipient}`,
  ];
  let server = await ServerProcess.start({ dataDir: join(folder, "data"), args });
  try {
    /** Revision of each write that was acknowledged → its value. */
    const acknowledged = new Map<number, string>();
    const saved = (): string | undefined => server.lines.find((line) => line.includes("saved a backup"));
    await withClient(server.endpoint, async (client) => {
      for (let index = 0; saved() === undefined; index++) {
        expect(server.lines.filter((line) => line.includes("failed to take"))).toEqual([]);
        const value = `value ${index}`;
        acknowledged.set(await put(client, `key${index % 500}`, value), value);
      }
    });
    const { name, revision, hash } = JSON.parse(saved() ?? "") as { name: string; revision: number; hash: number };
    const metrics = await (await fetch(`${server.endpoint}/metrics`)).text();
    expect(metrics).toMatch(/^quorate_backup_drill_last_success_timestamp_seconds [1-9]/m);
    const plain = join(folder, "plain.db");
    expect(runToEnd(age, ["-d", "-i", key, "-o", plain, join(directory, name)])).toMatchObject({ code: 0 });
    const restored = runToEnd(go.etcdutl, ["snapshot", "restore", plain, `--data-dir=${folder}/restored`]);
    expect(restored.code, restored.stderr).toBe(0);
    await server.stop();
    server = await ServerProcess.start({ command: go.etcd, dataDir: `${folder}/restored` });
    const { hashes } = await readContents(server.endpoint, [revision]);
    expect(hashes).toEqual({ [revision]: hash });
    await withClient(server.endpoint, async (client) => {
      const { kvs, header } = await client.call(
        methods.range,
        { key: Buffer.from("key"), rangeEnd: Buffer.from("kez") },
        { timeoutMs: patienceMs },
      );
      expect(Number(header?.revision)).toBe(revision);
      const newest = new Map<string, string>();
      for (const [at, value] of acknowledged) {
        if (at <= revision) newest.set(`key${Number(value.slice(6)) % 500}`, value);
      }
      expect(newest.size).toBeGreaterThan(0);
      const found = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), Buffer.from(kv.value).toString()]));
      expect(found).toEqual(newest);
    });
  } finally {
    await server.kill();
    removeFolder(folder);
  }
});
