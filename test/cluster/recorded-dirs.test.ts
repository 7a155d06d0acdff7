/**
 * Data directories of a cluster of etcd 3.5.30 (test/fixtures/cluster-dirs), one member far behind the others in one of
 * them: ours start on all three and show what etcd showed. Members know each other by the peer URLs in their data, so these
 * ports are the recorded ones; whoever has one of them just now is waited for.
 */
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { ClusterMember, eventually } from "../support/cluster.ts";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "../support/fixture.ts";
import { freePorts, patienceMs, program, ServerProcess } from "../support/process.ts";

interface Shows {
  readonly cluster_id: string;
  readonly member_id: string;
  readonly revision: number;
  readonly hashkv: readonly { readonly revision: number; readonly hash?: number; readonly compact_revision?: string }[];
}

interface Expected {
  readonly start_flags: Readonly<Record<string, readonly string[]>>;
  readonly expect: { readonly shows: Readonly<Record<string, Shows>> };
}

const within = { timeoutMs: patienceMs };
const members: ClusterMember[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.kill()));
  for (const folder of folders.splice(0)) removeDirectory(folder);
});

async function start(
  work: string,
  name: string,
  flags: readonly string[],
  more: readonly string[] = [],
): Promise<ClusterMember> {
  const value = (flag: string): string | undefined => {
    const at = flags.indexOf(`--${flag}`);
    return at < 0 ? undefined : flags[at + 1];
  };
  const peerUrl = value("listen-peer-urls") ?? "";
  const [client] = await freePorts(1);
  const member = new ClusterMember(name, { client, peer: Number(new URL(peerUrl).port) }, join(work, name));
  members.push(member);
  const catchUp = value("experimental-snapshot-catchup-entries");
  const options = {
    command: program("etcd"),
    dataDir: member.dataDir,
    ports: member.ports,
    args: [
      `--name=${name}`,
      `--initial-cluster=${value("initial-cluster")}`,
      `--snapshot-count=${value("snapshot-count") ?? 10_000}`,
      ...(catchUp === undefined ? [] : [`--snapshot-catchup-entries=${catchUp}`]),
      ...more,
    ],
  };
  await eventually(`${name} has its ports`, async () => {
    member.process = await ServerProcess.launch(options);
    await Promise.race([member.process.waitForLine("starting an etcd server"), member.process.exit()]);
    if (member.process.lines.some((line) => line.includes("address already in use"))) throw new Error("not yet");
  });
  return member;
}

test.each(["cluster3", "cluster3-lagging"])("ours carry on what etcd 3.5 left: %s", async (name) => {
  const expected = JSON.parse(fixtureText(`cluster-dirs/${name}/expected.json`)) as Expected;
  const work = temporaryDirectory();
  folders.push(work);
  for (const [id, flags] of Object.entries(expected.start_flags)) {
    unpackFixture(`cluster-dirs/${name}/${id}.tar.gz`, work);
    await start(work, id, flags);
  }
  for (const member of members) expect(await member.process?.becomesReady()).toBe(true);
  for (const member of members) {
    const shows = expected.expect.shows[member.name];
    const { header } = await withClient(member.endpoint, (client) =>
      client.call(methods.range, { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0), countOnly: true }, within),
    );
    expect({
      cluster_id: String(header?.clusterId),
      member_id: String(header?.memberId),
      revision: Number(header?.revision),
    }).toEqual({ cluster_id: shows.cluster_id, member_id: shows.member_id, revision: shows.revision });
    for (const { revision, hash, compact_revision: compactRevision } of shows.hashkv) {
      if (hash === undefined) continue;
      const ours = await member.hashKv(revision);
      expect([revision, ours.hash, String(ours.compactRevision)]).toEqual([revision, hash, compactRevision]);
    }
  }
});

test("one of three, when the others are lost, becomes a cluster of its own", async () => {
  const expected = JSON.parse(fixtureText("cluster-dirs/cluster3/expected.json")) as Expected;
  const work = temporaryDirectory();
  folders.push(work);
  unpackFixture("cluster-dirs/cluster3/m2.tar.gz", work);
  const member = await start(work, "m2", expected.start_flags["m2"], ["--force-new-cluster"]);
  expect(await member.process?.becomesReady()).toBe(true);
  const shows = expected.expect.shows["m2"];
  const { members: listed } = await withClient(member.endpoint, (client) =>
    client.call(methods.memberList, { linearizable: true }, within),
  );
  expect(listed.map(({ ID }) => String(ID))).toEqual([shows.member_id]);
  expect((await member.hashKv(shows.revision)).hash).toBe(shows.hashkv[0].hash);
  // From now on it is an ordinary member, and may grow again.
  await member.stop();
  await start(work, "m2", expected.start_flags["m2"]);
  expect(await members.at(-1)?.process?.becomesReady()).toBe(true);
});
