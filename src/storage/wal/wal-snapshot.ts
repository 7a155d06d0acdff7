/**
 * The snapshot record: "the state up to this index is in a file". Source: etcd walpb.Snapshot.
 *
 * ```text
 * 1 index (always)  2 term (always)  3 confState (always when index > 0)
 * ```
 */
import { decodeConfState, sizeOfConfState, writeConfState } from "../../wire/raft/conf-state-codec.ts";
import { Reader } from "../../wire/raft/reader.ts";
import { sizeOfVarint, writeVarint } from "../../wire/hot/wire-writer.ts";
import type { ConfState } from "../../wire/raft/types.ts";

export interface WalSnapshot {
  readonly index: number;
  readonly term: number;
  /** Written since etcd 3.5; absent in the record of index 0 that begins every log. */
  readonly confState?: ConfState;
}

export function encodeWalSnapshot({ index, term, confState }: WalSnapshot): Uint8Array {
  const confSize = confState === undefined ? 0 : sizeOfConfState(confState);
  const nested = confState === undefined ? 0 : 1 + sizeOfVarint(confSize) + confSize;
  const bytes = new Uint8Array(2 + sizeOfVarint(index) + sizeOfVarint(term) + nested);
  bytes[0] = 0x08;
  let offset = writeVarint(bytes, 1, index);
  bytes[offset++] = 0x10;
  offset = writeVarint(bytes, offset, term);
  if (confState !== undefined) {
    bytes[offset++] = 0x1a;
    offset = writeVarint(bytes, offset, confSize);
    writeConfState(confState, bytes, offset);
  }
  return bytes;
}

/** @throws {RaftDecodeError} when the bytes are not a snapshot record. */
export function decodeWalSnapshot(bytes: Uint8Array): WalSnapshot {
  const reader = new Reader(bytes);
  let index = 0;
  let term = 0;
  let confState: ConfState | undefined;
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === 0x08) index = reader.counter();
    else if (key === 0x10) term = reader.counter();
    else if (key === 0x1a) confState = decodeConfState(reader.view());
    else reader.skip(key);
  }
  return confState === undefined ? { index, term } : { index, term, confState };
}
