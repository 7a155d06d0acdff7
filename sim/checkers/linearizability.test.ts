import fc from "fast-check";
import { expect, test } from "vitest";
import type { Operation, Outcome, Request, Result } from "../history/history.ts";
import { EtcdModel } from "./etcd-model.ts";
import { checkLinearizability, collectSeen } from "./linearizability.ts";

const put = (key: string, value: string, lease?: string): Request => ({ kind: "put", key, value, lease });
const get = (key: string): Request => ({ kind: "range", key });
const done = (revision: number): Outcome => ({ kind: "ok", result: { kind: "put", revision } });
const unknown: Outcome = { kind: "unknown", message: "deadline" };

function found(revision: number, ...pairs: [key: string, value: string, mod: number, version: number][]): Outcome {
  const result: Result = {
    kind: "range",
    revision,
    count: pairs.length,
    pairs: pairs.map(([key, value, modRevision, version]) => ({
      key,
      value,
      modRevision,
      createRevision: modRevision - version + 1,
      version,
      lease: "0",
    })),
  };
  return { kind: "ok", result };
}

function operation(client: number, call: number, end: number | null, request: Request, outcome: Outcome): Operation {
  return { client, request, call, return: end, outcome };
}

const verdict = (...operations: Operation[]): string => checkLinearizability(operations).kind;

test("a write and the read after it", () => {
  expect(
    verdict(operation(1, 0, 1, put("a", "1"), done(2)), operation(2, 2, 3, get("a"), found(2, ["a", "1", 2, 1]))),
  ).toBe("linearizable");
});

test("a read that misses a write acknowledged before it began is stale", () => {
  const result = checkLinearizability([
    operation(1, 0, 1, put("a", "1"), done(2)),
    operation(1, 2, 3, put("a", "2"), done(3)),
    operation(2, 4, 5, get("a"), found(2, ["a", "1", 2, 1])),
  ]);
  expect(result.kind).toBe("violated");
  if (result.kind === "violated") expect(result.violation.story.join("\n")).toContain("get a -> {a=1@2v1}");
});

test("a read while the write runs may see it or not, but two reads may not go back", () => {
  const write = operation(1, 0, 10, put("a", "1"), done(2));
  const sees = operation(2, 2, 3, get("a"), found(2, ["a", "1", 2, 1]));
  const missesLater = operation(2, 4, 5, get("a"), found(1));
  const missesBefore = operation(2, 0.5, 1, get("a"), found(1));
  expect(verdict(write, sees, missesBefore)).toBe("linearizable");
  expect(verdict(write, sees, missesLater)).toBe("violated");
});

test("a write with unknown outcome may happen late, or never, but not be undone", () => {
  const lost = operation(1, 0, null, put("a", "1"), unknown);
  const misses = operation(2, 2, 3, get("a"), found(1));
  const sees = operation(2, 4, 5, get("a"), found(2, ["a", "1", 2, 1]));
  expect(verdict(lost)).toBe("linearizable");
  expect(verdict(lost, misses, sees)).toBe("linearizable");
  expect(
    verdict(lost, operation(2, 2, 3, get("a"), found(2, ["a", "1", 2, 1])), operation(2, 4, 5, get("a"), found(1))),
  ).toBe("violated");
});

test("an acknowledged write that was lost: its revision is given to another", () => {
  expect(verdict(operation(1, 0, 1, put("a", "1"), done(2)), operation(1, 2, 3, put("b", "2"), done(2)))).toBe(
    "violated",
  );
});

test("a write that was applied twice shows in the version and in the next revision", () => {
  expect(
    verdict(operation(1, 0, 1, put("a", "1"), done(2)), operation(1, 2, 3, get("a"), found(3, ["a", "1", 3, 2]))),
  ).toBe("violated");
});

test("two compare-and-swaps from one value cannot both succeed", () => {
  const swap = (from: string, to: string): Request => ({
    kind: "txn",
    compare: [{ key: "a", target: "value", is: "=", to: from }],
    success: [{ kind: "put", key: "a", value: to }],
    failure: [{ kind: "range", key: "a" }],
  });
  const succeeded = (revision: number): Outcome => ({
    kind: "ok",
    result: { kind: "txn", revision, succeeded: true, responses: [{ kind: "put", revision: 0 }] },
  });
  const first = operation(1, 0, 1, put("a", "1"), done(2));
  expect(verdict(first, operation(1, 2, 5, swap("1", "2"), succeeded(3)))).toBe("linearizable");
  expect(
    verdict(first, operation(1, 2, 5, swap("1", "2"), succeeded(3)), operation(2, 2, 5, swap("1", "3"), succeeded(4))),
  ).toBe("violated");
});

test("what watchers saw tells which of many unknown writes happened", () => {
  const operations = Array.from({ length: 40 }, (_, index) =>
    operation(index, 0, null, put("a", `v${index}`), unknown),
  );
  operations.push(operation(99, 5, 6, get("a"), found(31, ["a", "v35", 31, 30])));
  const events = Array.from({ length: 30 }, (_, index) => ({
    type: "put" as const,
    key: "a",
    value: `v${index + 6}`,
    modRevision: index + 2,
  }));
  const watch = {
    client: 0,
    watcher: 0,
    key: "a",
    startRevision: 1,
    call: 0,
    messages: [{ kind: "events" as const, at: 5, revision: 31, events }],
  };
  const result = checkLinearizability(operations, collectSeen(operations, [watch]));
  expect(result.kind).toBe("linearizable");
});

test("a lease may expire by itself, taking its keys in one revision", () => {
  const grant = operation(
    1,
    0,
    1,
    { kind: "leaseGrant", lease: "7", ttlSeconds: 5 },
    { kind: "ok", result: { kind: "leaseGrant", revision: 1 } },
  );
  const attach = operation(1, 2, 3, put("a", "1", "7"), done(2));
  expect(verdict(grant, attach, operation(1, 9, 10, get("a"), found(3)))).toBe("linearizable");
  expect(verdict(attach)).toBe("violated");
  const late = operation(1, 11, 12, put("b", "1", "7"), { kind: "failed", reason: "leaseNotFound", message: "" });
  expect(verdict(grant, attach, operation(1, 9, 10, get("a"), found(3)), late)).toBe("linearizable");
});

test("a grant whose answer was lost may happen late, after its lease was once not there", () => {
  const grant = operation(1, 0, null, { kind: "leaseGrant", lease: "7", ttlSeconds: 5 }, unknown);
  const refused = operation(1, 2, 3, put("a", "1", "7"), { kind: "failed", reason: "leaseNotFound", message: "" });
  const works = operation(1, 4, 5, put("a", "2", "7"), done(2));
  expect(verdict(grant, refused, works)).toBe("linearizable");
});

/** Clients that run requests on the model with the times that `ticks` give: linearizable by construction. */
function simulate(
  requests: readonly (readonly [client: number, request: Request, losesAnswer: boolean])[],
): Operation[] {
  const model = new EtcdModel();
  let now = 0;
  return requests.map(([client, request, losesAnswer]) => {
    now += 1;
    const step = model.step(request);
    if ("refused" in step) {
      return operation(client, now - 0.9, now + 0.9, request, { kind: "failed", reason: step.refused, message: "" });
    }
    if (losesAnswer) return operation(client, now - 0.9, null, request, unknown);
    // They overlap with their neighbours.
    return operation(client, now - 0.9, now + 0.9, request, { kind: "ok", result: step.result });
  });
}

const key = fc.constantFrom("a", "b", "c");
const request: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), key, value: fc.string({ maxLength: 4 }) }) },
  fc.record({ kind: fc.constant("delete" as const), key }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("range" as const), key }) },
  fc.record({
    kind: fc.constant("txn" as const),
    compare: fc.array(
      fc.record({
        key,
        target: fc.constant("version" as const),
        is: fc.constantFrom("=" as const, ">" as const),
        to: fc.nat(2),
      }),
      { maxLength: 2 },
    ),
    success: fc.constant([{ kind: "put" as const, key: "c", value: "x" }]),
    failure: fc.constant([{ kind: "range" as const, key: "a", end: "\0" }]),
  }),
);

test("whatever clients do, a history of the model itself is linearizable", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), request, fc.boolean()), { maxLength: 40 }), (requests) => {
      expect(checkLinearizability(simulate(requests)).kind).toBe("linearizable");
    }),
    { numRuns: 200 },
  );
});

test("a history in which one answer is changed is not linearizable", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), request, fc.constant(false)), { minLength: 2, maxLength: 25 }),
      fc.nat(),
      (requests, pick) => {
        const history = simulate(requests);
        const answered = history.filter(({ outcome }) => outcome.kind === "ok");
        fc.pre(answered.length > 0);
        const victim = answered[pick % answered.length];
        const { outcome } = victim;
        if (outcome.kind !== "ok") return;
        const changed = {
          ...victim,
          outcome: { kind: "ok", result: { ...outcome.result, revision: outcome.result.revision + 7 } },
        };
        const broken = history.map((one) => (one === victim ? (changed as Operation) : one));
        // A revision seven ahead is never reached in the few operations around it.
        expect(checkLinearizability(broken).kind).toBe("violated");
      },
    ),
    { numRuns: 100 },
  );
});

test("of writes of unknown outcome those happened that leave the key as old as a reader saw it", () => {
  const old = operation(1, 0, 1, put("a", "1"), done(2));
  const deletion = operation(2, 2, null, { kind: "delete", key: "a" }, unknown);
  const other = operation(3, 2, null, put("b", "1"), unknown);
  const again = operation(4, 2, null, put("a", "2"), unknown);
  const seen = { key: "a", value: "2", modRevision: 4, createRevision: 2, version: 2, lease: "0" };
  const read = operation(
    5,
    5,
    6,
    { kind: "range", key: "a", isSerializable: true },
    { kind: "ok", result: { kind: "range", revision: 4, count: 1, pairs: [seen] } },
  );
  const last = operation(1, 8, 9, put("c", "1"), done(5));
  const operations = [old, deletion, other, again, read, last];
  const result = checkLinearizability(operations, collectSeen(operations, []));
  expect(result.kind).toBe("linearizable");
  if (result.kind === "linearizable") expect(result.linearization.effects.get(3)?.[0]?.key).toBe("b");
});
