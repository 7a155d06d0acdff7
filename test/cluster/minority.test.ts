/** A member that has lost the others tells the truth, to probes and to clients. */
import { expect, test } from "vitest";
import { observeMinority } from "../support/minority.ts";

const noLeader = "etcdserver: no leader";

test("on the minority side health, status, reads and streams say what is still true", async () => {
  const seen = await observeMinority([undefined, undefined, undefined]);
  const well = { status: 200, body: '{"health":"true","reason":""}' };
  expect(seen["healthy"]).toMatchObject({ "/health": well, "/readyz": { status: 200, body: "ok" } });
  expect(seen["alone"]).toMatchObject({
    "/health": { status: 503, body: '{"health":"false","reason":"RAFT NO LEADER"}' },
    "/health?serializable=true": well,
    "/livez": { status: 200, body: "ok" },
    "/readyz": { status: 503 },
    "/readyz/non_learner": { status: 200, body: "ok" },
  });
  expect(seen).toMatchObject({
    status: { hasHeader: true, leader: 0n, errors: [noLeader], hasIndex: true },
    guardedStream: noLeader,
    guardedWrite: noLeader,
    guardedWatch: noLeader,
    localRead: "answered",
    otherStream: "open",
  });
});
