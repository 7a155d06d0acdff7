/** How long applying entries takes, by request and outcome, as etcd's histogram `etcd_server_apply_duration_seconds` has it. */
import { exponentialBounds, Histogram } from "../../base/histogram.ts";

const bounds = exponentialBounds(0.0001, 2, 20);

interface Outcomes {
  readonly succeeded: Histogram;
  readonly failed: Histogram;
}

export class ApplyDurations {
  readonly #byKind = new Map<string, Outcomes>();

  /** @param kind - the request's field name, such as `leaseGrant`. */
  observe(kind: string, hasSucceeded: boolean, seconds: number): void {
    let outcomes = this.#byKind.get(kind);
    if (outcomes === undefined) {
      outcomes = { succeeded: new Histogram(bounds), failed: new Histogram(bounds) };
      this.#byKind.set(kind, outcomes);
    }
    (hasSucceeded ? outcomes.succeeded : outcomes.failed).observe(seconds);
  }

  /** Those that have values; the key is etcd's name of the operation, a blank, and `true` or `false` for its success. */
  toMap(): Map<string, Histogram> {
    const map = new Map<string, Histogram>();
    for (const [kind, { succeeded, failed }] of this.#byKind) {
      const operation = kind.charAt(0).toUpperCase() + kind.slice(1);
      if (succeeded.count > 0) map.set(`${operation} true`, succeeded);
      if (failed.count > 0) map.set(`${operation} false`, failed);
    }
    return map;
  }
}
