/** Sizes of runs of entries, and cutting a run at a size. Two sizes are told apart: encoded (what travels) and payload. */
import { sizeOfEntry } from "../wire/raft/entry-codec.ts";
import type { Entry } from "../wire/raft/types.ts";

/** Bytes of all entries when encoded. */
export function encodedSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += sizeOfEntry(entry);
  return size;
}

/** Bytes of all entries' data. Entries without data, which the core itself appends, count nothing. */
export function payloadSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += entry.data.length;
  return size;
}

/**
 * End of the longest run `[start, end)` whose encoded size is at most `bytesMax`, at most `limit`; it has one entry at
 * least, if there is one, whatever its size.
 */
export function endOfRun(entries: readonly Entry[], start: number, limit: number, bytesMax: number): number {
  if (bytesMax === Infinity || start >= limit) return limit;
  let size = sizeOfEntry(entries[start]);
  for (let end = start + 1; end < limit; end++) {
    size += sizeOfEntry(entries[end]);
    if (size > bytesMax) return end;
  }
  return limit;
}
