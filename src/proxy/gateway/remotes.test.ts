/** Choosing among the members behind a gateway. */
import { expect, test } from "vitest";
import { Remotes, type RemoteAddress } from "./remotes.ts";

function remotesOf(addresses: readonly Omit<RemoteAddress, "port">[], seed = 1): Remotes {
  let state = seed;
  const float = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
  return new Remotes(
    addresses.map((address) => ({ port: 2379, ...address })),
    { float },
  );
}

function counts(remotes: Remotes, picks: number): Record<string, number> {
  const found: Record<string, number> = {};
  for (let index = 0; index < picks; index++) {
    const host = remotes.pick()?.host ?? "none";
    found[host] = (found[host] ?? 0) + 1;
  }
  return found;
}

test("without weights they are taken in turn", () => {
  expect(counts(remotesOf([{ host: "a" }, { host: "b" }, { host: "c" }]), 30)).toEqual({ a: 10, b: 10, c: 10 });
});

test("one that is down is left out, and all down is nobody", () => {
  const remotes = remotesOf([{ host: "a" }, { host: "b" }, { host: "c" }]);
  remotes.all[1].isActive = false;
  expect(counts(remotes, 30)).toEqual({ a: 15, c: 15 });
  for (const remote of remotes.all) remote.isActive = false;
  expect(remotes.pick()).toBeUndefined();
});

test("a worse priority is used only when all of the better one are down", () => {
  const remotes = remotesOf([
    { host: "far", priority: 20 },
    { host: "near", priority: 10 },
    { host: "near2", priority: 10 },
  ]);
  expect(counts(remotes, 10)).toEqual({ near: 5, near2: 5 });
  remotes.all[1].isActive = false;
  remotes.all[2].isActive = false;
  expect(counts(remotes, 10)).toEqual({ far: 10 });
});

test("weights are shares, and a record without weight gets very little", () => {
  const found = counts(
    remotesOf([
      { host: "heavy", weight: 75 },
      { host: "light", weight: 25 },
      { host: "zero", weight: 0 },
    ]),
    10_000,
  );
  expect(found["heavy"] / found["light"]).toBeGreaterThan(2.5);
  expect(found["heavy"] / found["light"]).toBeLessThan(3.5);
  expect(found["zero"]).toBeGreaterThan(20);
  expect(found["zero"]).toBeLessThan(300);
});
