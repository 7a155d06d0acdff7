/**
 * A program with etcd's own client for Go (clientv3 3.6.14, `go-client/main.go`) against Go etcd and against ours: what
 * kube-apiserver and controllers do comes out the same, line by line.
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import {
  patienceMs,
  removeFolder,
  root,
  runBeside,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

const hasGo = spawnSync("go", ["version"]).status === 0;
const isSkipped = goEtcd("3.6") === undefined || !hasGo;
const title = titleFor("3.6", `its client for Go${hasGo ? "" : " (skipped: Go is not here to build the program)"}`);

describe.skipIf(isSkipped)(title, { timeout: 5 * patienceMs }, () => {
  let folder = "";
  let client = "";
  const servers: ServerProcess[] = [];
  let cluster: TestCluster | undefined;

  beforeAll(() => {
    folder = temporaryFolder();
    client = join(folder, "go-client");
    const env = Object.fromEntries(["HOME", "GOPROXY"].map((name) => [name, process.env[name] ?? ""]));
    const cwd = join(root, "test", "interop", "go-client");
    const built = runToEnd("go", ["build", "-o", client, "."], { cwd, env });
    expect(built).toMatchObject({ code: 0 });
  }, 5 * patienceMs);
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.kill()));
    await cluster?.close();
    cluster = undefined;
  });
  afterAll(() => removeFolder(folder));

  /** What the program prints in a mode, with Go's server and with ours. */
  async function both(mode: string, args: readonly string[]): Promise<string[][]> {
    const outcomes = [theGoEtcd("3.6").etcd, undefined].map(async (command, index) => {
      const dataDir = join(folder, `${mode}-${index}`);
      const server = await ServerProcess.start({ dataDir, args, ...(command === undefined ? {} : { command }) });
      servers.push(server);
      const { code, stdout, stderr } = await runBeside(client, [mode, server.endpoint]);
      expect([code, stderr]).toEqual([0, ""]);
      return stdout.split("\n");
    });
    return Promise.all(outcomes);
  }

  test("objects, lists in pages, compactions, leases, watches, locks, maintenance", async () => {
    const [go, ours] = await both("plain", ["--watch-progress-notify-interval=2s"]);
    expect(ours).toEqual(go);
    expect(ours.join("\n")).toContain("after a while: progress true");
  });

  test("tokens that run out are asked for again, and permissions hold", async () => {
    const [go, ours] = await both("auth", ["--auth-token-ttl=2", "--bcrypt-cost=4"]);
    expect(ours).toEqual(go);
  });

  test("a member that lost the others tells who wants a leader, and serves who does not", async () => {
    const printed: string[][] = [];
    for (const command of [theGoEtcd("3.6").etcd, undefined]) {
      const started = await TestCluster.found([command, command, command]);
      cluster = started;
      const [left, ...gone] = started.members;
      const child = spawn(client, ["leader", left.endpoint], { stdio: ["pipe", "pipe", "inherit"] });
      let stdout = "";
      const said = (text: string): Promise<void> =>
        new Promise((resolve, reject) => {
          const look = (): void => {
            if (stdout.includes(text)) resolve();
          };
          child.stdout.on("data", look);
          child.once("close", () => reject(new Error(`it ended:\n${stdout}`)));
          look();
        });
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      await said("ready");
      for (const member of gone) await member.kill();
      child.stdin.write("\n");
      await said("waiting");
      await Promise.all(gone.map((member) => started.start(member, command)));
      child.stdin.write("\n");
      await new Promise((resolve) => child.once("close", resolve));
      printed.push(stdout.split("\n"));
      await started.close();
    }
    expect(printed[1]).toEqual(printed[0]);
    expect(printed[1].join("\n")).toContain("the patient one sees back");
  });
});
