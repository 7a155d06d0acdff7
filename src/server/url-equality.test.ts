import { expect, test } from "vitest";
import { testPlatform } from "../../test/support/member.ts";
import { TestClock } from "../../test/support/memory-connection.ts";
import { type VirtualNames, VirtualResolver } from "../platform/virtual/resolver.ts";
import { UrlEquality } from "./url-equality.ts";

const names: VirtualNames = {
  addresses: new Map([
    ["m1.example.com", ["10.0.0.1"]],
    ["m2.example.com", ["10.0.0.2"]],
    ["six.example.com", ["fd00::1"]],
  ]),
  services: new Map(),
};

function equality(clock = new TestClock(), known = names): UrlEquality {
  return new UrlEquality({ resolver: new VirtualResolver(known), clock, log: testPlatform([]).log });
}

const one = "http://m1.example.com:2380";

test.each([
  ["the same text", [one], [one], undefined],
  ["another order", [one, "http://b:1"], ["http://b:1", one], undefined],
  ["a name and its address", [one], ["http://10.0.0.1:2380"], undefined],
  ["a name and its IPv6 address", ["https://six.example.com:2"], ["https://[fd00::1]:2"], undefined],
  ["several of them", [one, "http://10.0.0.2:7"], ["http://m2.example.com:7", "http://10.0.0.1:2380"], undefined],
  ["a socket", ["unix://a:1"], ["unix://a:1"], undefined],
  ["another count", [one], [one, "http://b:1"], `len(["${one}"]) != len(["${one}" "http://b:1"])`],
  [
    "another address",
    [one],
    ["http://10.0.0.2:2380"],
    'resolved urls: "http://10.0.0.1:2380" != "http://10.0.0.2:2380"',
  ],
  ["another port", [one], ["http://10.0.0.1:1"], 'resolved urls: "http://10.0.0.1:2380" != "http://10.0.0.1:1"'],
  [
    "another scheme",
    [one],
    ["https://10.0.0.1:2380"],
    'resolved urls: "http://10.0.0.1:2380" != "https://10.0.0.1:2380"',
  ],
  [
    "localhost stays",
    ["http://localhost:1"],
    ["http://127.0.0.1:1"],
    'resolved urls: "http://localhost:1" != "http://127.0.0.1:1"',
  ],
])("%s", async (_case, a, b, difference) => {
  expect(await equality().difference(a, b)).toBe(difference);
});

test("a name that is not known is tried again for thirty seconds", async () => {
  const clock = new TestClock();
  const answer = equality(clock).difference(["http://late.example.com:1"], ["http://10.0.0.1:1"]);
  for (let second = 0; second < 31; second++) await clock.advance(1_000);
  expect(await answer).toBe('failed to resolve "http://late.example.com:1" (lookup late.example.com: no such host)');
});

test("a name that becomes known in time is taken", async () => {
  const clock = new TestClock();
  const known = { addresses: new Map<string, readonly string[]>(), services: new Map() };
  const answer = equality(clock, known).difference(["http://late.example.com:1"], ["http://10.0.0.1:1"]);
  await clock.advance(5_000);
  known.addresses.set("late.example.com", ["10.0.0.1"]);
  await clock.advance(1_000);
  expect(await answer).toBeUndefined();
});
