/**
 * Keys and values of the `meta` bucket. Layouts: etcd server/storage/schema; `consistent_index` and `term` are u64 big
 * endian, `confState` JSON, compaction marks are the 17 bytes of a row key, `storageVersion` is text.
 */
import { CorruptionError } from "../../base/corruption.ts";
import { buckets, type BackendReader, type Bucket } from "./bucket.ts";
import { decodeRowKey, encodeRowKey } from "./row-key.ts";

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "latin1"));
}

/** Names of the rows of `meta`. */
export const metaKeys = {
  consistentIndex: text("consistent_index"),
  term: text("term"),
  confState: text("confState"),
  scheduledCompactRevision: text("scheduledCompactRev"),
  finishedCompactRevision: text("finishedCompactRev"),
  storageVersion: text("storageVersion"),
} as const;

/** What the getters need of a backend. */
export type PairReader = Pick<BackendReader, "get">;

/** What the setters need of a backend. */
export interface BackendWriter {
  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void;
  delete(bucket: Bucket, key: Uint8Array): void;
}

/** Index of the last raft entry whose effect is in the database; 0 when never written. */
export function readConsistentIndex(reader: PairReader): number {
  return readCounter(reader, metaKeys.consistentIndex, "consistent_index");
}

/** Term of the entry at the consistent index; 0 when never written (before 3.5). */
export function readTerm(reader: PairReader): number {
  return readCounter(reader, metaKeys.term, "term");
}

/** Writes both rows; like etcd, a zero is never written. Call from the pre-commit hook. */
export function writeConsistentIndex(writer: BackendWriter, index: number, term: number): void {
  if (index === 0) return;
  writer.put(buckets.meta, metaKeys.consistentIndex, counter(index));
  if (term > 0) writer.put(buckets.meta, metaKeys.term, counter(term));
}

/** The membership after the last applied configuration change, in etcd's JSON: voters, learners and so on. */
export interface StoredConfState {
  readonly voters: readonly bigint[];
  readonly learners: readonly bigint[];
  readonly votersOutgoing: readonly bigint[];
  readonly learnersNext: readonly bigint[];
  readonly autoLeave: boolean;
}

/** @throws {CorruptionError} when the row is not what etcd writes. */
export function readConfState(reader: PairReader): StoredConfState | undefined {
  const value = reader.get(buckets.meta, metaKeys.confState);
  return value === undefined ? undefined : parseConfState(Buffer.from(value).toString("utf8"));
}

export function writeConfState(writer: BackendWriter, state: StoredConfState): void {
  writer.put(buckets.meta, metaKeys.confState, text(formatConfState(state)));
}

/** Go's encoding: fixed order, empty lists left out, ids as bare decimals (beyond 2^53). */
export function formatConfState(state: StoredConfState): string {
  const parts: string[] = [];
  const list = (name: string, ids: readonly bigint[]): void => {
    if (ids.length > 0) parts.push(`"${name}":[${ids.join(",")}]`);
  };
  list("voters", state.voters);
  list("learners", state.learners);
  list("voters_outgoing", state.votersOutgoing);
  list("learners_next", state.learnersNext);
  parts.push(`"auto_leave":${state.autoLeave}`);
  return `{${parts.join(",")}}`;
}

/** Ids exceed what `JSON.parse` can hold exactly, so every run of digits is quoted first. */
export function parseConfState(json: string): StoredConfState {
  const corrupt = (cause?: unknown): CorruptionError =>
    new CorruptionError({ path: "meta/confState" }, `not a configuration state: ${json.slice(0, 200)}`, undefined, {
      cause,
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(json.replace(/(?<=[[,:\s])\d+(?=\s*[,\]}])/g, '"$&"'));
  } catch (cause) {
    throw corrupt(cause);
  }
  if (typeof parsed !== "object" || parsed === null) throw corrupt();
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const ids = (name: string): bigint[] => {
    const value = fields.get(name) ?? [];
    if (!Array.isArray(value)) throw corrupt();
    return value.map((id: unknown) => {
      if (typeof id !== "string" || !/^\d+$/.test(id)) throw corrupt();
      return BigInt(id);
    });
  };
  return {
    voters: ids("voters"),
    learners: ids("learners"),
    votersOutgoing: ids("voters_outgoing"),
    learnersNext: ids("learners_next"),
    autoLeave: fields.get("auto_leave") === true,
  };
}

/** Text such as `3.6.0`; undefined before 3.6. */
export function readStorageVersion(reader: PairReader): string | undefined {
  const value = reader.get(buckets.meta, metaKeys.storageVersion);
  return value === undefined ? undefined : Buffer.from(value).toString("latin1");
}

/** `undefined` removes the row, as a downgrade to 3.5 does. */
export function writeStorageVersion(writer: BackendWriter, version: string | undefined): void {
  if (version === undefined) writer.delete(buckets.meta, metaKeys.storageVersion);
  else writer.put(buckets.meta, metaKeys.storageVersion, text(version));
}

/** Main revision of the compaction that was last ordered; undefined when there was none. */
export function readScheduledCompact(reader: PairReader): number | undefined {
  return readCompact(reader, metaKeys.scheduledCompactRevision);
}

/** Main revision of the compaction that was last completed; undefined when there was none. */
export function readFinishedCompact(reader: PairReader): number | undefined {
  return readCompact(reader, metaKeys.finishedCompactRevision);
}

export function writeScheduledCompact(writer: BackendWriter, revision: number): void {
  writer.put(buckets.meta, metaKeys.scheduledCompactRevision, encodeRowKey(revision, 0, false));
}

export function writeFinishedCompact(writer: BackendWriter, revision: number): void {
  writer.put(buckets.meta, metaKeys.finishedCompactRevision, encodeRowKey(revision, 0, false));
}

/** The pairs that the Hash rpc leaves out: they differ between members by nature. */
export function hashIgnores(bucket: string, key: Uint8Array): boolean {
  if (bucket !== buckets.meta.name) return false;
  return hashIgnored.some((ignored) => Buffer.compare(ignored, key) === 0);
}

const hashIgnored = [metaKeys.consistentIndex, metaKeys.term, metaKeys.storageVersion];

function readCompact(reader: PairReader, key: Uint8Array): number | undefined {
  const value = reader.get(buckets.meta, key);
  return value === undefined ? undefined : decodeRowKey(value).main;
}

function counter(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / 0x1_0000_0000));
  view.setUint32(4, value >>> 0);
  return bytes;
}

function readCounter(reader: PairReader, key: Uint8Array, name: string): number {
  const value = reader.get(buckets.meta, key);
  if (value === undefined) return 0;
  const place = { path: `meta/${name}` };
  if (value.length !== 8) throw new CorruptionError(place, `has ${value.length} bytes, not 8`);
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const high = view.getUint32(0);
  if (high > 0x1f_ffff) throw new CorruptionError(place, "above 2^53 - 1, which no counter can reach");
  return high * 0x1_0000_0000 + view.getUint32(4);
}
