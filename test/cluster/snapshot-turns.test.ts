/** A member takes a leader's snapshot into use: in many short turns of its loop, and as a whole. */
import { expect, test } from "vitest";
import { leaseGrant, get, propose, put, putRequest } from "../support/member.ts";
import { VirtualCluster } from "../support/virtual-cluster.ts";

test("the index of a received snapshot is built in many turns; meanwhile the old state is seen, then all of the new", async () => {
  const keyCount = 12_000;
  const cluster = await VirtualCluster.found(3, { snapshotCount: 500, snapshotCatchUpEntries: 50 });
  const leader = await cluster.leader();
  const behind = cluster.members.find((member) => member !== leader)!;
  // All that it will know without the snapshot.
  await cluster.run(put(leader.member, "before", "1"));
  await cluster.run(propose(leader.member, "leaseGrant", leaseGrant(7n, 3_600n)));
  await cluster.scheduler.runFor(500);

  // While it is away the log goes on without it.
  cluster.crash(behind);
  for (let start = 0; start < keyCount; start += 2_000) {
    const batch = Array.from({ length: 2_000 }, (_, at) => {
      const lease = (start + at) % 10 === 0 ? 7n : 0n;
      return propose(leader.member, "put", putRequest(`key/${start + at}`, "x".repeat(50), { lease }));
    });
    await cluster.run(Promise.all(batch));
  }
  await cluster.run(cluster.start(behind));

  const seen = new Map<number, number>();
  // Of etcd_server_snapshot_apply_in_progress_total.
  const gauge = (): number => behind.member.counters.snapshotsInstalling;
  const gauges = { before: new Set<number>(), meanwhile: new Set<number>() };
  // In every turn of its loop, before what the turn is for.
  const { clock } = behind.platform;
  const nextTurn = clock.nextTurn.bind(clock);
  clock.nextTurn = (callback) =>
    nextTurn(() => {
      if (behind.said('"applying snapshot"')) {
        const { keyCount: keys } = behind.member.store;
        seen.set(keys, (seen.get(keys) ?? 0) + 1);
      }
      if (!behind.said('"applying snapshot"')) gauges.before.add(gauge());
      else if (!behind.said('"applied snapshot"')) gauges.meanwhile.add(gauge());
      callback();
    });
  await cluster.scheduler.runUntil(() => behind.said('"applied snapshot"'));
  await cluster.scheduler.runFor(200);
  expect([gauges, gauge()]).toEqual([{ before: new Set([0]), meanwhile: new Set([1]) }, 0]);
  // Two states and nothing between them.
  expect([...seen.keys()]).toEqual([1, leader.member.store.keyCount]);
  // At least a turn for each 2,000 rows, and some for the order of the keys.
  expect(seen.get(1)).toBeGreaterThan(keyCount / 2_000 + 3);

  await cluster.run(put(leader.member, "after", "2"));
  await cluster.scheduler.runUntil(() => get(behind.member, "after") === "2");
  expect(behind.member.lessor.keysOf(7n)).toHaveLength(keyCount / 10);
  expect(get(behind.member, "key/11999")).toBe("x".repeat(50));
});
