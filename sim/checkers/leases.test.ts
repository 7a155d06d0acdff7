import { expect, test } from "vitest";
import type { Operation, Outcome, Request } from "../history/history.ts";
import { checkLeases } from "./leases.ts";
import { checkLinearizability } from "./linearizability.ts";

const rules = { clockDrift: 0, quietSince: 0, slackMs: 2_000 };
const granted: Outcome = { kind: "ok", result: { kind: "leaseGrant", revision: 1 } };
const grant: Request = { kind: "leaseGrant", lease: "7", ttlSeconds: 5 };
const attach: Request = { kind: "put", key: "a", value: "1", lease: "7" };

function operation(call: number, end: number, request: Request, outcome: Outcome): Operation {
  return { client: 1, call, return: end, request, outcome };
}

function read(at: number, revision: number, isThere: boolean): Operation {
  const pairs = isThere ? [{ key: "a", value: "1", createRevision: 2, modRevision: 2, version: 1, lease: "7" }] : [];
  return operation(
    at,
    at + 1,
    { kind: "range", key: "a" },
    {
      kind: "ok",
      result: { kind: "range", revision, pairs, count: pairs.length },
    },
  );
}

function problems(...more: Operation[]): string[] {
  const operations = [
    operation(0, 10, grant, granted),
    operation(20, 30, attach, { kind: "ok", result: { kind: "put", revision: 2 } }),
    ...more,
  ];
  const result = checkLinearizability(operations);
  if (result.kind !== "linearizable") throw new Error(`the history is ${result.kind}`);
  return checkLeases(operations, [], result.linearization, rules).map(({ message }) => message);
}

const keptAlive = (at: number): Operation =>
  operation(
    at,
    at + 1,
    { kind: "leaseKeepAlive", lease: "7" },
    {
      kind: "ok",
      result: { kind: "leaseKeepAlive", revision: 0, ttlSeconds: 5 },
    },
  );

test("a key goes when its lease's time is over", () => {
  expect(problems(read(4_000, 2, true), read(6_000, 3, false))).toEqual([]);
});

test("a key that goes before its time", () => {
  expect(problems(read(4_000, 3, false))[0]).toContain("should live until 5000.0");
  expect(problems(keptAlive(4_000), read(6_000, 3, false))[0]).toContain("should live until 9000.0");
});

test("a revoked lease may end at any time", () => {
  const revoke = operation(
    100,
    110,
    { kind: "leaseRevoke", lease: "7" },
    {
      kind: "ok",
      result: { kind: "leaseRevoke", revision: 3 },
    },
  );
  expect(problems(revoke, read(4_000, 3, false))).toEqual([]);
});

test("a key that stays after its time, unless its lease was kept alive", () => {
  expect(problems(read(7_500, 2, true))[0]).toContain("is still there");
  expect(problems(keptAlive(4_000), read(7_500, 2, true))).toEqual([]);
});
