/**
 * The Kubernetes page from "Replacing a failed etcd member" to "Restoring an etcd cluster", with its command lines as they
 * stand there: on a cluster under TLS, as kubeadm makes it, and on one without.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing } from "../support/certificates.ts";
import { eventually } from "../support/cluster.ts";
import {
  type Finished,
  freePorts,
  patienceMs,
  program,
  removeFolder,
  runToEnd,
  temporaryFolder,
} from "../support/process.ts";
import { clientFlags, memberFiles, TlsMember } from "../support/tls-member.ts";

const title = `the page's worst day${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;

/** Keys before the snapshot, and where the restored store goes on. */
const keys = 40;
const bump = 1_000_000_000;

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 4 * patienceMs }, () => {
  let folder: string;
  const running = new Map<string, TlsMember>();

  afterEach(async () => {
    for (const member of running.values()) await member.stop();
    running.clear();
    removeFolder(folder);
  });

  test.each(["https", "http"] as const)("%s: back up, verify, replace, defragment, restore", async (scheme) => {
    folder = temporaryFolder();
    const authority = new CertificateAuthority(folder);
    const own = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] });
    const isSecure = scheme === "https";
    const identity = isSecure ? clientFlags(authority, own) : [];
    const ports = await freePorts(8);
    const portsOf = (number: number): [number, number] => [ports[2 * number - 2], ports[2 * number - 1]];
    const peerUrl = (number: number): string => `${scheme}://127.0.0.1:${portsOf(number)[1]}`;
    const endpoint = (number: number): string => `${scheme}://127.0.0.1:${portsOf(number)[0]}`;
    const cluster = (...numbers: number[]): string =>
      numbers.map((number) => `member${number}=${peerUrl(number)}`).join(",");

    const start = async (
      number: number,
      { dataDir, initialCluster, flags = [] }: { dataDir: string; initialCluster: string; flags?: string[] },
    ): Promise<void> => {
      const name = `member${number}`;
      const files = isSecure ? memberFiles(own, authority) : [];
      const schemes = { clientScheme: scheme, peerScheme: scheme };
      const options = { folder, name, ...schemes, ports: portsOf(number), flags: [...files, ...flags] };
      running.set(name, await TlsMember.launch({ ...options, dataDir, initialCluster }));
    };
    const allReady = (): Promise<unknown> => Promise.all([...running.values()].map((member) => member.ready()));
    const run = (tool: "etcdctl" | "etcdutl", ...args: string[]): Finished =>
      runToEnd(program(tool), args, { env: { ETCDCTL_API: "3" }, cwd: folder });
    const succeed = (tool: "etcdctl" | "etcdutl", ...args: string[]): string => {
      const { code, stdout, stderr } = run(tool, ...args);
      expect(code, `${tool} ${args.join(" ")}: ${stdout}${stderr}`).toBe(0);
      return stdout;
    };

    const founders = cluster(1, 2, 3);
    for (const number of [1, 2, 3]) {
      await start(number, { dataDir: join(folder, `data${number}`), initialCluster: founders });
    }
    await allReady();
    const at = (...numbers: number[]): string[] => ["--endpoints", numbers.map(endpoint).join(","), ...identity];
    for (let key = 0; key < keys; key++) succeed("etcdctl", ...at(1), "put", `/registry/pods/p${key}`, `value ${key}`);

    // "Replacing a failed etcd member"
    await running.get("member1")?.stop();
    running.delete("member1");
    const list = await eventually("the others answer", async () => succeed("etcdctl", ...at(2, 3), "member", "list"));
    expect(list.trim().split("\n")).toHaveLength(3);
    const [failed] = list
      .split("\n")
      .find((line) => line.includes("member1"))!
      .split(",");
    expect(succeed("etcdctl", ...at(2, 3), "member", "remove", failed)).toMatch(
      /^Member +[0-9a-f]+ removed from cluster/,
    );
    const added = await eventually("member4 may be added", async () =>
      succeed("etcdctl", ...at(2, 3), "member", "add", "member4", `--peer-urls=${peerUrl(4)}`),
    );
    expect(added).toContain(`ETCD_INITIAL_CLUSTER_STATE="existing"`);
    const flags = ["--initial-cluster-state=existing"];
    await start(4, { dataDir: join(folder, "data4"), initialCluster: cluster(2, 3, 4), flags });
    await allReady();

    // "Backing up an etcd cluster", then maintenance.
    const saved = succeed("etcdctl", ...at(4), "snapshot", "save", "snapshotdb");
    expect(saved).toContain("Snapshot saved at snapshotdb\n");
    for (const tool of ["etcdctl", "etcdutl"] as const) {
      const status = succeed(tool, "--write-out=table", "snapshot", "status", "snapshotdb");
      expect(status).toMatch(new RegExp(`\\| +[0-9a-f]+ \\| +${keys + 1} \\| +${keys} \\| +[0-9.]+ kB \\|`));
    }
    succeed("etcdctl", ...at(2, 3, 4), "put", "/registry/pods/late", "after the snapshot");
    const compacted = succeed("etcdctl", ...at(2), "compaction", String(keys), "--physical");
    expect(compacted).toBe(`compacted revision ${keys}\n`);
    expect(
      succeed("etcdctl", ...at(2), "defrag", "--cluster")
        .trim()
        .split("\n"),
    ).toHaveLength(3);
    expect(succeed("etcdctl", ...at(2, 3, 4), "alarm", "list")).toBe("");

    // "Restoring an etcd cluster": everything stops, and every member is restored from one file.
    for (const member of running.values()) await member.stop();
    running.clear();
    mkdirSync(join(folder, "restored"));
    for (const number of [1, 2, 3]) {
      const dataDir = join("restored", `member${number}`);
      const settings = [
        `--name=member${number}`,
        `--initial-cluster=${founders}`,
        `--initial-advertise-peer-urls=${peerUrl(number)}`,
        "--initial-cluster-token=restored",
        `--bump-revision=${bump}`,
        "--mark-compacted",
      ];
      const tool = number === 3 ? "etcdctl" : "etcdutl";
      succeed(tool, "snapshot", "restore", "--data-dir", dataDir, "snapshotdb", ...settings);
      await start(number, { dataDir: join(folder, dataDir), initialCluster: "ignored=http://1.2.3.4:5" });
    }
    await allReady();

    const members = succeed("etcdctl", ...at(1), "member", "list", "-w", "json");
    const { members: found } = JSON.parse(members) as { members: { name: string }[] };
    expect(found.map(({ name }) => name).sort()).toEqual(["member1", "member2", "member3"]);
    const pairs = succeed("etcdctl", ...at(2), "get", "/registry/", "--prefix", "--keys-only", "-w", "fields");
    expect(pairs).toContain(`"Revision" : ${bump + keys + 1}`);
    expect(pairs).toContain(`"Count" : ${keys}`);
    const watch = run("etcdctl", ...at(3), "watch", "/registry/", "--prefix", "--rev", String(keys));
    expect(watch.code).toBe(5);
    expect(watch.stderr).toContain("etcdserver: mvcc: required revision has been compacted");
    succeed("etcdctl", ...at(1), "put", "/registry/pods/new", "life goes on");
    await eventually("all members hold the same", async () => {
      const hashes = succeed("etcdctl", ...at(1), "endpoint", "hashkv", "--cluster")
        .trim()
        .split("\n");
      expect(hashes).toHaveLength(3);
      expect(new Set(hashes.map((line) => line.split(", ").slice(1).join())).size).toBe(1);
    });
  });
});
