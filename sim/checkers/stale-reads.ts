/**
 * Reads that need not see the newest state, but must see a state that really was: those at an old revision, and serializable
 * ones, whose header says at which revision the member stood. And history may be refused only when somebody had it compacted.
 */
import { describeOperation, describePair } from "../history/describe.ts";
import type { Operation, Pair, RangeRequest, RangeResult, Violation } from "../history/history.ts";
import { covers } from "../history/history.ts";
import type { Linearization } from "./linearizability.ts";

export function checkStaleReads(
  operations: readonly Operation[],
  { effects, finalRevision }: Pick<Linearization, "effects" | "finalRevision">,
): Violation[] {
  const reads = operations.flatMap((operation) => {
    const { request, outcome } = operation;
    if (request.kind !== "range" || outcome.kind !== "ok" || outcome.result.kind !== "range") return [];
    const at = request.revision ? request.revision : outcome.result.revision;
    if (request.isSerializable !== true && !request.revision) return [];
    return [{ operation, request, result: outcome.result, at }];
  });
  reads.sort((a, b) => a.at - b.at);
  const violations = wrongRefusals(operations);
  // Walks through the revisions once, as all reads are in their order.
  const pairs = new Map<string, Omit<Pair, "lease">>();
  let revision = 1;
  for (const { operation, request, result, at } of reads) {
    if (at > finalRevision) {
      violations.push(violationOf(operation, `revision ${at} never was`, []));
      continue;
    }
    for (; revision < at; revision++) {
      for (const event of effects.get(revision + 1) ?? []) {
        const { key, type, value = "", modRevision, createRevision = modRevision, version = 1 } = event;
        if (type === "delete") pairs.delete(key);
        else pairs.set(key, { key, value, modRevision, createRevision, version });
      }
    }
    const expected = [...pairs.values()].filter(({ key }) => covers(request, key)).sort(byKey);
    if (!agrees(request, result, expected)) {
      const truth = expected.map((pair) => describePair({ ...pair, lease: "0" })).join(", ");
      violations.push(violationOf(operation, `not what the store held at revision ${at}`, [`it held {${truth}}`]));
    }
  }
  return violations;
}

/** Reads that were told that their revision is compacted, although nobody had asked for that. */
function wrongRefusals(operations: readonly Operation[]): Violation[] {
  const compactions = operations.flatMap(({ request, outcome, call }) =>
    request.kind === "compact" && outcome.kind !== "failed" ? [{ revision: request.revision, call }] : [],
  );
  return operations.flatMap((operation) => {
    const { request, outcome, return: end } = operation;
    if (request.kind !== "range" || outcome.kind !== "failed" || outcome.reason !== "compacted") return [];
    const at = request.revision ?? 0;
    const isDue = compactions.some(({ revision, call }) => revision > at && call < (end ?? Infinity));
    return isDue
      ? []
      : [violationOf(operation, `revision ${at} is refused as compacted, but nobody compacted that far`, [])];
  });
}

function violationOf(operation: Operation, message: string, more: readonly string[]): Violation {
  return { checker: "stale reads", message, story: [describeOperation(operation), ...more] };
}

function agrees(
  { limit = 0 }: RangeRequest,
  { pairs, count }: RangeResult,
  expected: readonly Omit<Pair, "lease">[],
): boolean {
  const shown = limit > 0 ? expected.slice(0, limit) : expected;
  if (count !== expected.length || pairs.length !== shown.length) return false;
  return pairs.every(
    ({ key, value, modRevision, createRevision, version }, index) =>
      key === shown[index].key &&
      value === shown[index].value &&
      modRevision === shown[index].modRevision &&
      createRevision === shown[index].createRevision &&
      version === shown[index].version,
  );
}

function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
