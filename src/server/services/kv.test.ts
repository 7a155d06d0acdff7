import { expect, test } from "vitest";
import { call, put, ServiceMember } from "../../../test/support/service-member.ts";
import { methods } from "../../client/methods.ts";

const valueBytes = 64 * 1024;
const keyCount = 200;
const everything = { key: Buffer.from([0]), rangeEnd: Buffer.from([0]) };

test("a big range that is read slowly holds little of its answer, and the others go on meanwhile", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  for (let index = 0; index < keyCount; index++) {
    await running.run(put(client, `key-${index}`, Buffer.alloc(valueBytes, "v")));
  }
  const slow = running.connect();
  await running.run(call(slow.client, methods.status, {}));
  slow.far.stalled = true;
  const reading = call(slow.client, methods.range, everything);
  await running.scheduler.runFor(1000);
  expect(slow.far.waitingBytes).toBeGreaterThan(0);
  expect(slow.far.waitingBytes).toBeLessThan(1 << 20);

  // It shows the state of when it was asked.
  await running.run(put(client, "key-0", "changed"));
  await running.run(call(client, methods.compact, { revision: BigInt(keyCount + 2), physical: true }));
  slow.far.flow();
  const { kvs, header } = await running.run(reading);
  expect(kvs).toHaveLength(keyCount);
  expect(kvs.every((kv) => kv.value.length === valueBytes)).toBe(true);
  expect(header?.revision).toBe(BigInt(keyCount + 1));
});

test("a client that goes away in the middle of a big range releases what it held", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  for (let index = 0; index < 20; index++) await running.run(put(client, `key-${index}`, Buffer.alloc(valueBytes)));
  const slow = running.connect();
  await running.run(call(slow.client, methods.status, {}));
  slow.far.stalled = true;
  const reading = call(slow.client, methods.range, everything);
  await running.scheduler.runFor(100);
  expect(running.member.backend.openReaders).toBe(1);
  slow.client.close();
  await expect(running.run(reading)).rejects.toMatchObject({ code: 14 });
  await running.scheduler.runFor(100);
  expect(running.member.backend.openReaders).toBe(0);
});
