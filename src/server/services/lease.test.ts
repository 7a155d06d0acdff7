import { expect, test } from "vitest";
import { call, ServiceMember, TypedStream } from "../../../test/support/service-member.ts";
import { methods } from "../../client/methods.ts";

test("keep-alives are answered one by one in the order in which they came, unknown leases with a TTL of 0", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  for (const id of [1n, 2n, 3n]) await running.run(call(client, methods.leaseGrant, { ID: id, TTL: 10n * id }));
  const stream = new TypedStream(client, methods.leaseKeepAlive);
  const asked = [3n, 99n, 1n, 1n, 98n, 2n, 3n];
  for (const ID of asked) stream.send({ ID });
  stream.stream.halfClose();
  const answers: [bigint, bigint][] = [];
  for (let each = 0; each < asked.length; each++) {
    const { ID, TTL } = await running.run(stream.next());
    answers.push([ID, TTL]);
  }
  expect(answers).toEqual(asked.map((id) => [id, id < 10n ? 10n * id : 0n]));
  await expect(running.run(stream.next())).rejects.toThrow("the stream is over");
});

test("a lease that is kept alive outlives its TTL, and expires when that ends", async () => {
  const running = await ServiceMember.start();
  const { client } = running.connect();
  await running.run(call(client, methods.leaseGrant, { ID: 1n, TTL: 5n }));
  const stream = new TypedStream(client, methods.leaseKeepAlive);
  for (let round = 0; round < 4; round++) {
    await running.scheduler.runFor(4000);
    stream.send({ ID: 1n });
    expect((await running.run(stream.next())).TTL).toBe(5n);
  }
  await running.scheduler.runFor(7000);
  expect((await running.run(call(client, methods.leaseTimeToLive, { ID: 1n }))).TTL).toBe(-1n);
});
