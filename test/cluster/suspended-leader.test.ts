/** Real processes that the machine does not let run for a while, as on a starved or a migrating virtual machine. */
import { afterEach, expect, test } from "vitest";
import { get, put, withClient } from "../support/client.ts";
import { eventually, TestCluster, type ClusterMember } from "../support/cluster.ts";

let cluster: TestCluster | undefined;
let suspended: ClusterMember | undefined;
afterEach(async () => {
  suspended?.process?.signal("SIGCONT");
  await cluster?.close();
});

test("a leader that is suspended is replaced, and follows when it goes on; nothing acknowledged is lost", async () => {
  cluster = await TestCluster.found([undefined, undefined, undefined]);
  const leader = await cluster.leader();
  suspended = leader;
  const rest = cluster.members.filter((member) => member !== leader);
  await withClient(leader.endpoint, (client) => put(client, "before", "1"));

  leader.process?.signal("SIGSTOP");
  await eventually("another one leads", async () => {
    const states = await Promise.all(rest.map((member) => member.status()));
    const next = states.find((state) => state.memberId === state.leaderId);
    if (next === undefined || states.some(({ leaderId }) => leaderId !== next.memberId)) throw new Error("not yet");
  });
  for (const member of rest) {
    await withClient(member.endpoint, (client) => put(client, `through/${member.name}`, "2"));
  }

  leader.process?.signal("SIGCONT");
  // A linearizable read: it must show what was written meanwhile, not what this member remembers.
  for (const member of rest) {
    expect(await withClient(leader.endpoint, (client) => get(client, `through/${member.name}`))).toBe("2");
  }
  expect(new Set((await cluster.hashes()).map(({ hash }) => hash)).size).toBe(1);
});
