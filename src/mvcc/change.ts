/**
 * One change of one key, as watchers see it: what a write transaction did (see `Store.onCommit`) or what history shows
 * (`Store.eventsSince`). `sub` orders the changes of one main revision.
 */

export type ChangeKind = "put" | "delete";

export interface Change {
  readonly kind: ChangeKind;
  /** View of bytes nobody writes to; may be kept for a while, but pins a larger buffer. */
  readonly key: Uint8Array;
  /** Encoded `KeyValue` of the event, ready to embed: for a put the stored bytes, for a delete key and mod_revision only. */
  readonly kv: Uint8Array;
  readonly main: number;
  readonly sub: number;
  /** True for a put that made the key in this transaction: its event has no prev_kv, even when one was deleted just before. */
  readonly isCreate: boolean;
}

/** A place in history; ordered by `main`, then `sub`. */
export interface Revision {
  readonly main: number;
  readonly sub: number;
}
