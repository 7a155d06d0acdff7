import { expect, test } from "vitest";
import { call, ServiceMember, TypedStream } from "../../../test/support/service-member.ts";
import { methods, type Method } from "../../client/methods.ts";
import * as election from "../../wire/gen/v3electionpb/v3election.ts";
import * as lock from "../../wire/gen/v3lockpb/v3lock.ts";

function recipe<Request, Response>(
  path: string,
  request: Method<Request, Response>["request"],
  response: Method<Request, Response>["response"],
): Method<Request, Response> {
  return { path, request, response, repeatable: false };
}

const lockMethod = recipe("/v3lockpb.Lock/Lock", lock.LockRequest, lock.LockResponse);
const unlockMethod = recipe("/v3lockpb.Lock/Unlock", lock.UnlockRequest, lock.UnlockResponse);
const campaign = recipe("/v3electionpb.Election/Campaign", election.CampaignRequest, election.CampaignResponse);
const observe = recipe("/v3electionpb.Election/Observe", election.LeaderRequest, election.LeaderResponse);

const name = Buffer.from("it");
const candidates = { key: Buffer.from("it/"), rangeEnd: Buffer.from("it0") };

async function withLeases(...ids: bigint[]): Promise<{ running: ServiceMember; connect: () => ClientOf }> {
  const running = await ServiceMember.start();
  const connect = (): ClientOf => running.connect().client;
  for (const ID of ids) await running.run(call(connect(), methods.leaseGrant, { ID, TTL: 600n }));
  return { running, connect };
}

type ClientOf = ReturnType<ServiceMember["connect"]>["client"];

test("who waits for a lock and goes away gives up its place, and the next in line gets the lock", async () => {
  const { running, connect } = await withLeases(1n, 2n, 3n);
  const client = connect();
  const held = await running.run(call(client, lockMethod, { name, lease: 1n }));
  const leaving = connect();
  const abandoned = call(leaving, lockMethod, { name, lease: 2n });
  await running.scheduler.runFor(10);
  const waiting = call(connect(), lockMethod, { name, lease: 3n });
  await running.scheduler.runFor(10);
  expect((await running.run(call(client, methods.range, candidates))).count).toBe(3n);

  leaving.close();
  await expect(running.run(abandoned)).rejects.toMatchObject({ code: 14 });
  await running.scheduler.runFor(10);
  const left = await running.run(call(client, methods.range, candidates));
  expect(left.kvs.map(({ lease }) => lease)).toEqual([1n, 3n]);
  expect(running.services.hub.watcherCount).toBe(1);

  await running.run(call(client, unlockMethod, { key: held.key }));
  expect(Buffer.from((await running.run(waiting)).key).toString()).toBe("it/3");
  expect(running.services.hub.watcherCount).toBe(0);
});

test("a waiting lock whose lease is revoked says that its session is over", async () => {
  const { running, connect } = await withLeases(1n, 2n);
  const client = connect();
  const { key } = await running.run(call(client, lockMethod, { name, lease: 1n }));
  const waiting = call(connect(), lockMethod, { name, lease: 2n });
  await running.scheduler.runFor(10);
  await running.run(call(client, methods.leaseRevoke, { ID: 2n }));
  await running.run(call(client, unlockMethod, { key }));
  await expect(running.run(waiting)).rejects.toMatchObject({ code: 2, message: "mutex: session is expired" });
});

test("a candidate that goes away is no candidate, and observers that go away leave nothing behind", async () => {
  const { running, connect } = await withLeases(1n, 2n);
  const client = connect();
  const observer = new TypedStream(connect(), observe);
  observer.send({ name });
  observer.stream.halfClose();
  await running.run(call(client, campaign, { name, lease: 1n, value: Buffer.from("first") }));
  expect(Buffer.from((await running.run(observer.next())).kv?.value ?? "").toString()).toBe("first");

  const leaving = connect();
  const abandoned = call(leaving, campaign, { name, lease: 2n, value: Buffer.from("second") });
  await running.scheduler.runFor(10);
  leaving.close();
  await expect(running.run(abandoned)).rejects.toMatchObject({ code: 14 });
  observer.stream.cancel();
  await running.scheduler.runFor(10);
  expect((await running.run(call(client, methods.range, candidates))).count).toBe(1n);
  expect(running.services.hub.watcherCount).toBe(0);
  expect(running.services.hub.streamCount).toBe(0);
});
