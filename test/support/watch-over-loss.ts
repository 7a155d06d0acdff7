/** Watches through a cluster whose leaders are killed one after the other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "vitest";
import { Watcher } from "../../src/client/watcher.ts";
import { bytes, connect, put, withClient } from "./client.ts";
import { eventually, type TestCluster } from "./cluster.ts";

/** Fails unless a watch of our library and one of this etcdctl see every event, once and in order. */
export async function watchOverLeaderLoss(cluster: TestCluster, etcdctl: string): Promise<void> {
  const endpoints = cluster.members.map(({ endpoint }) => endpoint);
  const seen: string[] = [];
  const client = connect(endpoints);
  const watcher = new Watcher(client);
  const prefix = { key: bytes("w/"), rangeEnd: bytes("w0"), startRevision: 1n };
  watcher.watch(prefix, {
    response: ({ events }) => void seen.push(...events.map(({ kv }) => Buffer.from(kv?.key ?? []).toString())),
    closed: () => undefined,
  });
  const tool = spawn(etcdctl, ["--endpoints", endpoints.join(), "watch", "--prefix", "w/", "--rev=1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let printed = "";
  tool.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const keysPrinted = (): string[] => printed.split("\n").filter((line) => line.startsWith("w/"));
  try {
    const keys: string[] = [];
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 20; count++) {
        const key = `w/${round}-${count}`;
        const via = cluster.running();
        await eventually(`${key} is written`, () => withClient(via.endpoint, (each) => put(each, key, "v")));
        keys.push(key);
      }
      const leader = await cluster.leader();
      await leader.kill();
      await cluster.leader();
      await cluster.start(leader);
    }
    // A put that was tried again may have been carried out twice; nothing else may come twice.
    await eventually("the library has seen all", async () => expect(seen).toEqual(expect.arrayContaining(keys)));
    await eventually("etcdctl has printed all", async () => expect(keysPrinted()).toEqual(seen));
    expect(seen.filter((key, index) => key !== seen[index - 1])).toEqual(keys);
  } finally {
    watcher.close();
    client.close();
    tool.kill("SIGKILL");
    await once(tool, "exit");
  }
}
