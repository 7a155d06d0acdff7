/**
 * What the store needs of the backend: rows of the `key` bucket, its own marks in `meta`, commits and pinned views.
 * `Backend` (src/storage/backend) is one; tests use a twin in memory.
 */
import type { BackendReader, PinnedView } from "../storage/backend/bucket.ts";
import type { BackendWriter } from "../storage/backend/schema.ts";

export interface RowStore extends BackendReader, BackendWriter {
  /** `value` belongs to the row store from now on. */
  putRow(main: number, sub: number, tombstone: boolean, value: Uint8Array): void;
  deleteRow(main: number, sub: number, tombstone: boolean): void;
  /** Closes the batch; resolves when everything written so far is durable. */
  commit(): Promise<void>;
  pin(): PinnedView;
}
