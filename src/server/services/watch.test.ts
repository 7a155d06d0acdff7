import { expect, test } from "vitest";
import { call, put, ServiceMember, TypedStream } from "../../../test/support/service-member.ts";
import { methods } from "../../client/methods.ts";
import type { WatchResponse } from "../../wire/gen/etcdserverpb/rpc.ts";

/** Of a stream of our client. */
const clientWindowBytes = 4 << 20;

const value = (bytes: number): Buffer => Buffer.alloc(bytes, "v");
const valuesSeen = (responses: readonly WatchResponse[]): number[] =>
  responses.flatMap(({ events }) => events.map(({ kv }) => Number(kv?.modRevision)));

/** Reads until `count` events have come. */
async function events(stream: TypedStream<unknown, WatchResponse>, count: number): Promise<number[]> {
  const seen: number[] = [];
  while (seen.length < count) seen.push(...valuesSeen([await stream.next()]));
  return seen;
}

test("a watcher that stops reading costs bounded memory, delays nobody, and misses nothing", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  const watches = [running.connect().client, running.connect().client].map((each) => {
    const stream = new TypedStream(each, methods.watch);
    stream.send({ createRequest: { key: Buffer.from("k") } });
    return stream;
  });
  const [slow, fast] = watches;
  for (const stream of watches) expect((await running.run(stream.next())).created).toBe(true);

  const valueBytes = 64 * 1024;
  const count = 200;
  for (let round = 0; round < count; round++) {
    await running.run(put(client, "k", value(valueBytes)));
    expect(await running.run(events(fast, 1))).toEqual([round + 2]);
  }
  const { hub } = running.services;
  expect(hub.slowWatcherCount).toBe(1);
  // What was handed to the slow stream is all that is held for it: what its client's window let through, and 1 MiB here.
  const handedBytes = (hub.eventsDelivered - count) * valueBytes;
  expect(handedBytes).toBeGreaterThan(0);
  expect(handedBytes).toBeLessThanOrEqual(clientWindowBytes + (1 << 20) + valueBytes);

  const all = Array.from({ length: count }, (_, index) => index + 2);
  expect(await running.run(events(slow, count))).toEqual(all);
  expect(hub.slowWatcherCount).toBe(0);
});

test("many watchers on one connection that nobody reads cost bounded memory together, and miss nothing", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  const slow = running.connect().client;
  const watches = Array.from({ length: 24 }, () => {
    const stream = new TypedStream(slow, methods.watch);
    stream.send({ createRequest: { key: Buffer.from("k") } });
    return stream;
  });
  for (const stream of watches) expect((await running.run(stream.next())).created).toBe(true);
  const valueBytes = 64 * 1024;
  const count = 100;
  for (let round = 0; round < count; round++) await running.run(put(client, "k", value(valueBytes)));
  const { hub } = running.services;
  // Beyond what their windows let through: 16 MiB for the connection, not 1 MiB for each.
  const heldBytes = hub.eventsDelivered * valueBytes - watches.length * clientWindowBytes;
  expect(heldBytes).toBeLessThanOrEqual((16 << 20) + valueBytes);
  expect(hub.slowWatcherCount).toBe(watches.length);

  const all = Array.from({ length: count }, (_, index) => index + 2);
  for (const stream of watches) expect(await running.run(events(stream, count))).toEqual(all);
  expect(hub.slowWatcherCount).toBe(0);
});

test("progress is notified every interval, and not after one in which events came", async () => {
  const running = await ServiceMember.start({ watchProgressNotifyIntervalMs: 1000 });
  const { client } = running.connect();
  const stream = new TypedStream(client, methods.watch);
  stream.send({ createRequest: { key: Buffer.from("k"), progressNotify: true } });
  await running.run(stream.next());
  const startedMs = running.scheduler.nowMs;

  const first = await running.run(stream.next());
  const intervalMs = running.scheduler.nowMs - startedMs;
  // The interval, and up to a tenth more so that streams do not come together.
  expect(intervalMs).toBeGreaterThan(999);
  expect(intervalMs).toBeLessThan(1101);
  expect(first).toMatchObject({ watchId: 0n, events: [], header: { revision: 1n } });

  await running.run(put(client, "k", "1"));
  expect(await running.run(events(stream, 1))).toEqual([2]);
  const next = await running.run(stream.next());
  expect(next).toMatchObject({ watchId: 0n, events: [], header: { revision: 2n } });
  // One was skipped.
  expect(running.scheduler.nowMs - startedMs).toBeGreaterThan(2.9 * intervalMs);
});

test("a response that grows too large is cut into fragments when asked for, and sent whole otherwise", async () => {
  const running = await ServiceMember.start({ maxRequestBytes: 1_100_000 });
  const { client } = running.connect();
  const keys = ["a", "b", "c", "d"];
  const putAll = { success: keys.map((key) => ({ requestPut: { key: Buffer.from(key), value: value(250_000) } })) };
  await running.run(call(client, methods.txn, putAll));
  const stream = new TypedStream(client, methods.watch);
  const all = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]), prevKv: true };
  stream.send({ createRequest: { ...all, fragment: true, watchId: 7n } });
  stream.send({ createRequest: { ...all, watchId: 8n } });
  for (let each = 0; each < 2; each++) await running.run(stream.next());

  await running.run(call(client, methods.txn, putAll));
  const parts: WatchResponse[] = [];
  for (let each = 0; each < 3; each++) parts.push(await running.run(stream.next()));
  const shape = (id: bigint): unknown[] =>
    parts.filter(({ watchId }) => watchId === id).map((part) => [part.events.length, part.fragment]);
  expect(shape(7n)).toEqual([
    [3, true],
    [1, false],
  ]);
  expect(shape(8n)).toEqual([[4, false]]);
});

test("a call whose client API version is not text is refused", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  const metadata = { "client-api-version": "\xff" };
  await expect(running.run(call(client, methods.status, {}, { metadata }))).rejects.toMatchObject({
    code: 3,
    message: "etcdserver: invalid client api version",
  });
  const stream = new TypedStream(client, methods.watch, { metadata });
  await expect(running.run(stream.next())).rejects.toMatchObject({ code: 3 });
});
