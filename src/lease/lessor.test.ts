import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryBackend } from "../../test/support/memory-backend.ts";
import { buckets } from "../storage/backend/bucket.ts";
import { EtcdError } from "../wire/errors.ts";
import { DueHeap, type Due } from "./due-heap.ts";
import { Lessor, type LessorOptions } from "./lessor.ts";

const options: LessorOptions = { minTtlSeconds: 2, persistCheckpoints: false };

function open(more: Partial<LessorOptions> = {}, backend = new MemoryBackend()): Lessor {
  const lessor = Lessor.open(backend, { ...options, ...more });
  lessor.bind({ keyOf: (item) => new Uint8Array([item]), deleteKeys: (_keys, alongside) => alongside() });
  return lessor;
}

function reasonOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof EtcdError) return error.reason;
    throw error;
  }
  return "none";
}

test("grants are checked, raised to the minimum TTL, and stored as etcd stores them", () => {
  const backend = new MemoryBackend();
  const lessor = open({}, backend);
  expect(reasonOf(() => lessor.grant(0n, 5, 0))).toBe("leaseNotFound");
  expect(reasonOf(() => lessor.grant(1n, 9_000_000_001, 0))).toBe("leaseTtlTooLarge");
  expect(lessor.grant(1n, -5, 0).ttlSeconds).toBe(2);
  expect(reasonOf(() => lessor.grant(1n, 5, 0))).toBe("leaseExists");
  lessor.grant(0x7fff_ffff_ffff_fff1n, 300, 0);
  const rows: string[] = [];
  backend.range(buckets.lease, new Uint8Array(0), undefined, 0, (key, value) => {
    rows.push(`${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`);
    return true;
  });
  expect(rows).toEqual(["0000000000000001 08011002", "7ffffffffffffff1 08f1ffffffffffffff7f10ac02"]);
  lessor.revoke(1n);
  expect(reasonOf(() => lessor.revoke(1n))).toBe("leaseNotFound");
  expect(open({}, backend).leaseIds()).toEqual([0x7fff_ffff_ffff_fff1n]);
});

test("only the primary watches expiry; promotion gives every lease its time again plus the extension", () => {
  const lessor = open();
  lessor.grant(1n, 10, 0);
  expect(lessor.takeExpired(1e12, 10)).toEqual([]);
  expect(lessor.remainingSeconds(1n, 0)).toBe(Infinity);
  lessor.promote(1000, 5000);
  expect(lessor.remainingSeconds(1n, 5001)).toBe(10);
  expect(lessor.takeExpired(15_999, 10)).toEqual([]);
  expect(lessor.takeExpired(16_000, 10)).toEqual([1n]);
  lessor.demote();
  expect(lessor.takeExpired(1e12, 10)).toEqual([]);
  expect(lessor.remainingSeconds(2n, 0)).toBeUndefined();
});

test("expired leases come in batches, soonest first, and again after a pause until they are revoked", () => {
  const lessor = open({ expiredRetryMs: 7000 });
  lessor.promote(0, 0);
  for (let id = 1n; id <= 5n; id++) lessor.grant(id, 20 - Number(id), 0);
  expect(lessor.takeExpired(20_000, 2)).toEqual([5n, 4n]);
  expect(lessor.takeExpired(20_000, 10)).toEqual([3n, 2n, 1n]);
  expect(lessor.takeExpired(26_999, 10)).toEqual([]);
  lessor.revoke(5n);
  expect(new Set(lessor.takeExpired(27_000, 10))).toEqual(new Set([1n, 2n, 3n, 4n]));
});

test("a renewal starts the time again; of an expired lease it must wait for the revocation", () => {
  const lessor = open();
  lessor.promote(0, 0);
  lessor.grant(1n, 10, 0);
  expect(lessor.renew(1n, 9999)).toMatchObject({ id: 1n, ttlSeconds: 10 });
  expect(lessor.takeExpired(19_998, 10)).toEqual([]);
  expect(lessor.renew(1n, 19_999)).toBe("expired");
  const revoked: bigint[] = [];
  lessor.onRevoked = (id) => revoked.push(id);
  lessor.revoke(1n);
  expect(revoked).toEqual([1n]);
  expect(reasonOf(() => lessor.renew(1n, 20_000))).toBe("leaseNotFound");
});

test("checkpoints are offered while a lease runs, and what they leave counts at the next promotion", () => {
  const backend = new MemoryBackend();
  const lessor = open({ checkpointIntervalMs: 300_000, persistCheckpoints: true }, backend);
  lessor.promote(0, 0);
  lessor.grant(1n, 1000, 0);
  lessor.grant(2n, 300, 0);
  expect(lessor.takeCheckpoints(299_999, 10)).toEqual([]);
  expect(lessor.takeCheckpoints(300_000, 10)).toEqual([{ id: 1n, remainingTtlSeconds: 700 }]);
  lessor.checkpoint(1n, 700, 300_000);
  lessor.checkpoint(99n, 5, 300_000);
  expect(lessor.takeCheckpoints(600_000, 10)).toEqual([{ id: 1n, remainingTtlSeconds: 400 }]);

  const reopened = open({ checkpointIntervalMs: 300_000, persistCheckpoints: true }, backend);
  expect(reopened.lookup(1n)).toMatchObject({ ttlSeconds: 1000, remainingTtlSeconds: 700 });
  reopened.promote(0, 0);
  expect(reopened.remainingSeconds(1n, 0)).toBe(700);
});

test("a checkpoint is not written unless checkpoints persist", () => {
  const backend = new MemoryBackend();
  const lessor = open({}, backend);
  lessor.grant(1n, 1000, 0);
  lessor.checkpoint(1n, 10, 0);
  expect(open({}, backend).lookup(1n)?.remainingTtlSeconds).toBe(0);
  lessor.persistCheckpoints = true;
  lessor.checkpoint(1n, 10, 0);
  expect(open({}, backend).lookup(1n)?.remainingTtlSeconds).toBe(10);
});

test("promotion spreads thousands of equal expiries so that no second has more than can be revoked", () => {
  const lessor = open();
  const count = 5000;
  for (let id = 1; id <= count; id++) lessor.grant(BigInt(id), 60, 0);
  lessor.promote(0, 0);
  const perSecond = new Map<number, number>();
  for (let id = 1; id <= count; id++) {
    const second = lessor.remainingSeconds(BigInt(id), 0)!;
    expect(second).toBeGreaterThanOrEqual(60);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(1000);
});

test("leases are listed soonest expiry first, and keys of a lease in byte order", () => {
  const lessor = open();
  lessor.promote(0, 0);
  lessor.grant(1n, 30, 0);
  lessor.grant(2n, 10, 0);
  expect(lessor.leaseIds()).toEqual([2n, 1n]);
  for (const item of [200, 3, 70]) expect(lessor.attach(1n, item)).toBe(true);
  expect(lessor.attach(9n, 1)).toBe(false);
  expect(lessor.detach(9n, 3)).toBe(false);
  lessor.detach(1n, 70);
  expect([lessor.leaseOf(3), lessor.leaseOf(70)]).toEqual([1n, 0n]);
  expect(lessor.keysOf(1n)).toEqual([new Uint8Array([3]), new Uint8Array([200])]);
});

test("the heap gives entries in order of due time through any schedule, move and removal", () => {
  const step = fc.record({ entry: fc.nat(9), due: fc.nat(50), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const heap = new DueHeap();
      const entries: Due[] = Array.from({ length: 10 }, (_, at) => ({ leaseId: BigInt(at), dueMs: 0, place: -1 }));
      const model = new Map<Due, number>();
      for (const { entry, due, remove } of steps) {
        if (remove) {
          heap.remove(entries[entry]);
          model.delete(entries[entry]);
        } else {
          heap.schedule(entries[entry], due);
          model.set(entries[entry], due);
        }
        expect(heap.size).toBe(model.size);
        expect(heap.peek()?.dueMs).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
      }
      const drained: number[] = [];
      for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
        drained.push(top.dueMs);
        heap.remove(top);
      }
      expect(drained).toEqual([...model.values()].sort((a, b) => a - b));
    }),
  );
});
