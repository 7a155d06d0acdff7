/** The Kubernetes page on disaster: a snapshot is saved and verified, the cluster lost, and a new one restored from it. */
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { program, runBeside } from "../support/process.ts";
import { PageCluster } from "./page.ts";

let cluster: PageCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

test("snapshot save, snapshot status, all members lost, snapshot restore for each, and the cluster is back", async () => {
  cluster = await PageCluster.found(3);
  await cluster.etcdctl("put", "before", "snapshot");
  const file = join(cluster.folder, "snapshotdb");
  const saved = await cluster.etcdctl("--endpoints", cluster.members[0].clientUrl, "snapshot", "save", file);
  expect(saved).toContain(`Snapshot saved at ${file}`);
  await cluster.etcdctl("put", "after", "snapshot");

  const status = await runBeside(program("etcdutl"), ["--write-out=table", "snapshot", "status", file]);
  expect(status.stdout).toMatch(/\| +HASH +\| +REVISION +\| +TOTAL KEYS +\| +TOTAL SIZE +\|/);
  expect(status.stdout).toMatch(/\| +[0-9a-f]{7,8} \| +2 \|/);

  const lost = cluster.members.map((member) => member.process?.pid);
  await Promise.all(cluster.members.map((member) => member.kill()));
  const initialCluster = cluster.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
  for (const { name, peerUrl } of cluster.members) {
    const restored = await runBeside(program("etcdutl"), [
      "snapshot",
      "restore",
      file,
      `--data-dir=${join(cluster.folder, "restored", name)}`,
      `--name=${name}`,
      `--initial-cluster=${initialCluster}`,
      "--initial-cluster-token=restored",
      `--initial-advertise-peer-urls=${peerUrl}`,
    ]);
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
  }
  const { folder } = cluster;
  await Promise.all(
    cluster.members.map((member) =>
      cluster!.start(member, {
        ETCD_NAME: member.name,
        ETCD_DATA_DIR: join(folder, "restored", member.name),
        ETCD_INITIAL_CLUSTER: initialCluster,
        ETCD_INITIAL_CLUSTER_TOKEN: "restored",
        ETCD_INITIAL_CLUSTER_STATE: "existing",
      }),
    ),
  );
  expect(cluster.members.map((member) => member.process?.pid)).not.toEqual(lost);
  for (const { clientUrl } of cluster.members) {
    const at = ["--endpoints", clientUrl, "get", "--print-value-only"];
    expect(await cluster.etcdctl(...at, "before")).toBe("snapshot\n");
    expect(await cluster.etcdctl(...at, "after")).toBe("");
  }
  expect(await cluster.etcdctl("put", "again", "serves")).toBe("OK\n");
  await cluster.expectEqual();
});
