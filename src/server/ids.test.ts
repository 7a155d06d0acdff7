import fc from "fast-check";
import { expect, test } from "vitest";
import { deriveClusterId, deriveMemberId, RequestIds } from "./ids.ts";

test("ids at bootstrap are those that etcd 3.5.30 gave for the same URLs and token", () => {
  const urls = [42011, 42012, 42013].map((port) => `http://127.0.0.1:${port}`);
  const ids = urls.map((url) => deriveMemberId([url], "tok1"));
  expect(ids).toEqual([0xc23c7b205e0a015bn, 0xb8566d766c1e8ea1n, 0xcec45e4e9180249en]);
  expect(deriveClusterId(ids)).toBe(0xbebe5fdc20949fcfn);
});

test("request ids count up from member bits and milliseconds", () => {
  const ids = new RequestIds(0x1234_5678_9abc_deffn, 0x123_4567_89ab);
  expect(ids.next()).toBe(0);
  expect(ids.next()).toBe(1);
  expect(ids.toBigInt(0)).toBe(0xdeff_2345_6789_ab01n);
  expect(ids.toBigInt(1)).toBe(0xdeff_2345_6789_ab02n);
});

test("a sequence is found by the halves of its id, and ids of others are not", () => {
  fc.assert(
    fc.property(
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc.nat(2 ** 45),
      fc.integer({ min: 1, max: 300 }),
      (member, now, count) => {
        const ids = new RequestIds(member, now);
        for (let made = 0; made < count; made++) ids.next();
        const last = count - 1;
        expect(ids.sequenceOf(ids.high(last), ids.low(last))).toBe(last);
        expect((ids.toBigInt(last) >> 32n) & 0xffff_ffffn).toBe(BigInt(ids.high(last)));
        expect(ids.sequenceOf(ids.high(count), ids.low(count))).toBe(-1);
        expect(ids.sequenceOf(ids.high(last) ^ 0x1_0000, ids.low(last))).toBe(-1);
      },
    ),
  );
});
