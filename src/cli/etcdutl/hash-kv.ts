/**
 * HashKV of a file: the same number that the HashKV rpc of a member with this database gives. See src/mvcc/hash.ts for
 * the rules; here they are applied to the rows alone, in two passes: which rows a compaction keeps, then the hash.
 */
import { updateCrc32c } from "../../base/crc32c.ts";
import type { Tx } from "../../storage/bbolt/tx.ts";
import { buckets } from "../../storage/backend/bucket.ts";
import { decodeRowKey } from "../../storage/backend/row-key.ts";
import { decodeKeyValue } from "../../wire/hot/key-value.ts";
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { compactRevision, pairsOf } from "./database.ts";

export interface FileHash {
  readonly hash: number;
  readonly hashRevision: number;
  /** -1 when nothing was ever compacted. */
  readonly compactRevision: number;
}

/** @param revision - 0 = the newest. @throws {CommandFailure} when the file does not hold it. */
export function hashKeyValues(tx: Tx, revision: number): FileHash {
  const compacted = compactRevision(tx);
  const current = Math.max(newestRevision(tx), compacted, 1);
  if (revision > 0 && revision < compacted) throw failure("mvcc: required revision has been compacted");
  if (revision > current) throw failure("mvcc: required revision is a future revision");
  const hashRevision = revision === 0 ? current : revision;
  const kept = compacted > 0 ? keptRows(tx, hashRevision) : new Set<string>();
  let hash = updateCrc32c(0, buckets.key.bytes);
  for (const [key, value] of pairsOf(tx, buckets.key)) {
    const { main, sub, tombstone } = decodeRowKey(key);
    if (main > hashRevision) continue;
    if (main <= compacted && kept.size > 0 && !kept.has(position(main, sub))) continue;
    if (main === compacted && tombstone) continue;
    hash = updateCrc32c(updateCrc32c(hash, key), value);
  }
  return { hash, hashRevision, compactRevision: compacted };
}

function newestRevision(tx: Tx): number {
  const cursor = tx.bucket(buckets.key.bytes)?.cursor();
  return cursor?.last() === true ? decodeRowKey(cursor.key).main : 0;
}

/** Of every key that lives at `revision`, the row that holds. */
function keptRows(tx: Tx, revision: number): Set<string> {
  const newest = new Map<string, string | undefined>();
  for (const [key, value] of pairsOf(tx, buckets.key)) {
    const { main, sub, tombstone } = decodeRowKey(key);
    if (main > revision) break;
    const name = Buffer.from(decodeKeyValue(value).key).toString("latin1");
    newest.set(name, tombstone ? undefined : position(main, sub));
  }
  return new Set([...newest.values()].filter((row) => row !== undefined));
}

function position(main: number, sub: number): string {
  return `${main}/${sub}`;
}

function failure(message: string): CommandFailure {
  return new CommandFailure(ExitCode.Error, message);
}
