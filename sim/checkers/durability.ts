/**
 * Nothing acknowledged is lost, asked directly: every acknowledged change has a revision of its own, no later than the last,
 * and what it wrote is what the history holds there. The linearizability search finds the same and more; this names it.
 */
import { describeOperation } from "../history/describe.ts";
import type { Operation, Violation } from "../history/history.ts";

export function checkDurability(operations: readonly Operation[], finalRevision: number): Violation[] {
  const violations: Violation[] = [];
  const owners = new Map<number, Operation>();
  for (const operation of operations) {
    const revision = changedRevision(operation);
    if (revision === undefined) continue;
    const other = owners.get(revision);
    const story = [describeOperation(operation)];
    if (revision > finalRevision) {
      const message = `an acknowledged change is gone: in the end the revision is ${finalRevision}`;
      violations.push({ checker: "durability", message, story });
    }
    if (other !== undefined) {
      const message = `revision ${revision} was given to two acknowledged changes`;
      violations.push({ checker: "durability", message, story: [describeOperation(other), ...story] });
    }
    owners.set(revision, operation);
  }
  return violations;
}

/** The revision that an acknowledged operation made; undefined when it made none. */
export function changedRevision({ request, outcome }: Operation): number | undefined {
  if (outcome.kind !== "ok") return undefined;
  const { result } = outcome;
  if (result.kind === "put") return result.revision;
  if (result.kind === "delete") return result.deleted > 0 ? result.revision : undefined;
  if (result.kind !== "txn" || request.kind !== "txn") return undefined;
  const changes = result.responses.some(
    (inner) => inner.kind === "put" || (inner.kind === "delete" && inner.deleted > 0),
  );
  return changes ? result.revision : undefined;
}
