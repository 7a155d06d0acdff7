/** A snapshot saved from our member by anybody's etcdctl is one that Go's etcdutl accepts, hashes alike and restores. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withClient } from "../support/client.ts";
import { program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";
import { readContents } from "./contents.ts";
import { goEtcd, releases, theGoEtcd, titleFor } from "./go-etcd.ts";
import { mixedLoad } from "./workload.ts";

let folder: string;
let server: ServerProcess;

beforeEach(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: `${folder}/data` });
});

afterEach(async () => {
  await server.kill();
  removeFolder(folder);
});

interface Status {
  readonly hash: number;
  readonly revision: number;
  readonly totalKey: number;
}

function statusOf(etcdutl: string, file: string): Status {
  const { code, stdout, stderr } = runToEnd(etcdutl, ["snapshot", "status", file, "-w", "json"]);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Status;
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "snapshots of our member"), () => {
    test.each(["etcdctl of Go", "etcdctl of ours"])("saved by %s", async (who) => {
      const go = theGoEtcd(release);
      await withClient(server.endpoint, (client) => mixedLoad(client, 1));
      const before = await readContents(server.endpoint);
      const file = `${folder}/snapshot.db`;
      const etcdctl = who === "etcdctl of Go" ? go.etcdctl : program("etcdctl");
      const saved = runToEnd(etcdctl, [`--endpoints=${server.endpoint}`, "snapshot", "save", file]);
      expect(saved.code, saved.stderr).toBe(0);

      const status = statusOf(go.etcdutl, file);
      expect(status.revision).toBe(before.revision);
      const ours = statusOf(program("etcdutl"), file);
      expect({ hash: ours.hash, revision: ours.revision }).toEqual({ hash: status.hash, revision: status.revision });
      // 3.5 counts revisions there.
      if (release === "3.6") expect(ours.totalKey).toBe(status.totalKey);

      const restored = runToEnd(go.etcdutl, ["snapshot", "restore", file, `--data-dir=${folder}/restored`]);
      expect(restored.code, restored.stderr).toBe(0);
      for (const command of [go.etcd, program("etcd")]) {
        await server.stop();
        server = await ServerProcess.start({ command, dataDir: `${folder}/restored` });
        const { hashes, keys, leases } = await readContents(server.endpoint, Object.keys(before.hashes).map(Number));
        expect({ hashes, keys, leases }).toEqual({ hashes: before.hashes, keys: before.keys, leases: before.leases });
      }
    });
  });
});
