import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { call, put, ServiceMember, TypedStream } from "../../../test/support/service-member.ts";
import { methods } from "../../client/methods.ts";
import { DiskError } from "../../platform/disk.ts";
import type { SnapshotResponse } from "../../wire/gen/etcdserverpb/rpc.ts";

async function filled(): Promise<ServiceMember> {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  for (let index = 0; index < 40; index++) {
    await running.run(put(client, `key-${index}`, Buffer.alloc(32 * 1024, `${index}`)));
  }
  return running;
}

test("a snapshot is the whole database and its SHA-256, with what remains told in every message", async () => {
  const running = await filled();
  const stream = new TypedStream(running.connect().client, methods.snapshot);
  stream.send({});
  stream.stream.halfClose();
  const parts: SnapshotResponse[] = [await running.run(stream.next())];
  const total = BigInt(parts[0].blob.length) + parts[0].remainingBytes;
  let received = BigInt(parts[0].blob.length);
  while (received < total) {
    const part = await running.run(stream.next());
    received += BigInt(part.blob.length);
    expect(part.remainingBytes).toBe(total - received);
    parts.push(part);
  }
  const digest = await running.run(stream.next());
  const image = Buffer.concat(parts.map(({ blob }) => blob));
  expect(Buffer.from(digest.blob)).toEqual(createHash("sha256").update(image).digest());
  expect(digest.remainingBytes).toBe(0n);
  expect(image.length % 4096).toBe(0);
  expect([...parts, digest].every(({ version }) => version === "3.6.0")).toBe(true);
  await expect(running.run(stream.next())).rejects.toThrow("the stream is over");
});

test("a snapshot that its client gives up releases the database", async () => {
  const running = await filled();
  const stream = new TypedStream(running.connect().client, methods.snapshot);
  stream.send({});
  stream.stream.halfClose();
  await running.run(stream.next());
  expect(running.member.backend.openReaders).toBe(1);
  stream.stream.cancel();
  await running.scheduler.runFor(100);
  expect(running.member.backend.openReaders).toBe(0);
});

test("a defragmentation is announced, and what the disk refuses to it is told to the client only", async () => {
  const states: boolean[] = [];
  const running = await ServiceMember.start({}, { onDefragment: (isActive) => states.push(isActive) });
  const { client } = running.connect();
  await running.run(call(client, methods.defragment, {}));
  expect(states).toEqual([true, false]);

  const { backend } = running.member;
  backend.defragment = () => Promise.reject(new DiskError("ENOSPC", "/data", "no space left on device"));
  await expect(running.run(call(client, methods.defragment, {}))).rejects.toMatchObject({
    code: 2,
    message: "no space left on device",
  });
  expect(states).toEqual([true, false, true, false]);
  await running.run(put(client, "still", "here"));
});
