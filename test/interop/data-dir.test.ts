/**
 * One data directory, several programs: what our member wrote is taken over by Go etcd, and back, with the same history
 * (HashKV at several revisions), keys, leases and members each time.
 *
 * etcd 3.5 refuses a directory whose cluster is at version 3.6 until it was downgraded; it does so with ours exactly as
 * with Go 3.6's, which the last suite shows. So before 3.5 takes over, these tests call for the downgrade, as an
 * operator does.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { DowngradeRequest_DowngradeAction as Action } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { put, withClient } from "../support/client.ts";
import { patienceMs, program, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { readContents } from "./contents.ts";
import { goEtcd, releases, theGoEtcd, titleFor, type Release } from "./go-etcd.ts";
import { largePuts, manyPuts, mixedLoad } from "./workload.ts";

interface Plan {
  readonly title: string;
  readonly args?: readonly string[];
  load(client: Client, seed: number): Promise<void>;
  /** Default: a graceful stop. */
  readonly end?: "kill";
}

const plans: readonly Plan[] = [
  { title: "nothing yet", load: () => Promise.resolve() },
  { title: "leases, deletes, transactions and compaction", load: mixedLoad },
  { title: "many raft snapshots", args: ["--snapshot-count=100"], load: (client) => manyPuts(client, 1500) },
  { title: "kill -9", load: mixedLoad, end: "kill" },
  {
    title: "kill -9 amid many raft snapshots",
    args: ["--snapshot-count=100"],
    load: (client) => manyPuts(client, 730),
    end: "kill",
  },
  { title: "a log of several segments", load: (client) => largePuts(client, 80) },
  {
    title: "a defragmented database",
    async load(client, seed) {
      await mixedLoad(client, seed);
      await client.call(methods.defragment, {}, { timeoutMs: patienceMs });
    },
  },
];

let folder: string;
let running: ServerProcess | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await running?.kill();
  running = undefined;
  removeFolder(folder);
});

/** Starts `command` on the directory, checks what it holds against `before`, adds to it, and hands it over. */
async function turn(command: string, plan: Plan, seed: number, before?: Awaited<ReturnType<typeof readContents>>) {
  running = await ServerProcess.start({ command, dataDir: `${folder}/data`, args: plan.args ?? [] });
  const { endpoint } = running;
  if (before !== undefined) {
    const found = await readContents(endpoint, Object.keys(before.hashes).map(Number));
    expect(found).toEqual(before);
  }
  await withClient(endpoint, (client) => plan.load(client, seed));
  const contents = await readContents(endpoint);
  return { contents, end: () => end(plan) };
}

async function end({ end: way }: Plan): Promise<void> {
  if (way === "kill") await running?.kill();
  else await running?.stop();
  running = undefined;
}

/** Makes the directory ready for `release`, as an operator does; ends when the server says that it is. */
async function prepareFor(release: Release): Promise<void> {
  if (release !== "3.5" || running === undefined) return;
  const { endpoint } = running;
  const downgrade = (action: Action, version: string): Promise<unknown> =>
    withClient(endpoint, (client) => client.call(methods.downgrade, { action, version }, { timeoutMs: patienceMs }));
  // A downgrade of an earlier turn still holds the cluster at 3.5, when 3.5 had no time to end it.
  await downgrade(Action.CANCEL, "").catch((error: unknown) => {
    expect(String(error)).toContain("no inflight downgrade");
  });
  await versionBecomes(endpoint, "etcdcluster", "3.6.0");
  await downgrade(Action.ENABLE, "3.5.0");
  await versionBecomes(endpoint, "storage", "3.5.0");
}

async function versionBecomes(endpoint: string, part: "etcdcluster" | "storage", version: string): Promise<void> {
  const read = async (): Promise<unknown> =>
    ((await (await fetch(`${endpoint}/version`)).json()) as Record<string, unknown>)[part];
  await expect.poll(read, { timeout: patienceMs }).toBe(version);
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "takes over from ours, and back"), () => {
    test.each(plans)("ours → Go → ours → Go: $title", async (plan) => {
      const { etcd } = theGoEtcd(release);
      const first = await turn(program("etcd"), plan, 1);
      await prepareFor(release);
      await first.end();
      const second = await turn(etcd, plan, 2, first.contents);
      await second.end();
      const third = await turn(program("etcd"), plan, 3, second.contents);
      await prepareFor(release);
      await third.end();
      const last = await turn(etcd, plan, 4, third.contents);
      await last.end();
    });

    test.each(plans)("Go → ours → Go: $title", async (plan) => {
      const { etcd } = theGoEtcd(release);
      const first = await turn(etcd, plan, 1);
      await first.end();
      const second = await turn(program("etcd"), plan, 2, first.contents);
      await prepareFor(release);
      await second.end();
      const last = await turn(etcd, plan, 3, second.contents);
      await last.end();
    });
  });
});

describe.skipIf(goEtcd("3.5") === undefined || goEtcd("3.6") === undefined)("a directory at version 3.6", () => {
  test.each(["ours", "Go 3.6"])("written by %s is refused by etcd 3.5 with the same words", async (writer) => {
    const command = writer === "ours" ? program("etcd") : theGoEtcd("3.6").etcd;
    const dataDir = `${folder}/data`;
    running = await ServerProcess.start({ command, dataDir });
    await withClient(running.endpoint, (client) => put(client, "a", "b"));
    await versionBecomes(running.endpoint, "storage", "3.6.0");
    await running.stop();
    running = await ServerProcess.launch({ command: theGoEtcd("3.5").etcd, dataDir });
    expect(await running.exit()).toBe(1);
    const fatal = running.lines.find((line) => line.includes('"level":"fatal"')) ?? "{}";
    expect(JSON.parse(fatal)).toMatchObject({
      msg: "invalid downgrade; server version is lower than determined cluster version",
      "current-server-version": expect.stringMatching(/^3\.5\./) as string,
      "determined-cluster-version": "3.6",
    });
  });
});
