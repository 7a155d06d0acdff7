/** HashKV: see the class. */
import type { KeyValueHash } from "./store.ts";

export interface HashJob {
  /** Looks at up to `maxRows` more rows; true when the hash is known. */
  step(maxRows: number): boolean;
  /** Only after `step` has returned true. */
  readonly result: KeyValueHash;
  /** Releases what the job pins. Idempotent; implied by a `step` that returned true. */
  close(): void;
}
