/**
 * Who votes, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes it: ids unpacked, `autoLeave` always there.
 *
 * ```text
 * ConfState  1 voters*  2 learners*  3 votersOutgoing*  4 learnersNext*  5 autoLeave
 * ```
 *
 * The decoder takes packed ids too. For the rest see `entry-codec.ts`.
 */
import { sizeOfVarint64, writeVarint64 } from "../hot/wire-writer.ts";
import { encode, varint } from "./fields.ts";
import { RaftDecodeError, Reader } from "./reader.ts";
import { type ConfState, createConfState } from "./types.ts";

export function sizeOfConfState(state: ConfState): number {
  return (
    2 +
    sizeOfIds(state.voters) +
    sizeOfIds(state.learners) +
    sizeOfIds(state.votersOutgoing) +
    sizeOfIds(state.learnersNext)
  );
}

export function writeConfState(state: ConfState, target: Uint8Array, offset: number): number {
  offset = writeIds(target, offset, 0x08, state.voters);
  offset = writeIds(target, offset, 0x10, state.learners);
  offset = writeIds(target, offset, 0x18, state.votersOutgoing);
  offset = writeIds(target, offset, 0x20, state.learnersNext);
  target[offset++] = 0x28;
  target[offset++] = state.autoLeave ? 1 : 0;
  return offset;
}

export function encodeConfState(state: ConfState): Uint8Array {
  return encode(sizeOfConfState(state), (target) => writeConfState(state, target, 0));
}

export function decodeConfState(bytes: Uint8Array): ConfState {
  return readConfState(new Reader(bytes));
}

export function readConfState(reader: Reader): ConfState {
  const state = createConfState();
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    const field = key >>> 3;
    if (field === 1) readIds(reader, key, state.voters);
    else if (field === 2) readIds(reader, key, state.learners);
    else if (field === 3) readIds(reader, key, state.votersOutgoing);
    else if (field === 4) readIds(reader, key, state.learnersNext);
    else if (key === varint(5)) state.autoLeave = reader.bool();
    else reader.skip(key);
  }
  return state;
}

function sizeOfIds(ids: readonly bigint[]): number {
  let size = ids.length;
  for (const id of ids) size += sizeOfVarint64(id);
  return size;
}

function writeIds(target: Uint8Array, offset: number, key: number, ids: readonly bigint[]): number {
  for (const id of ids) {
    target[offset++] = key;
    offset = writeVarint64(target, offset, id);
  }
  return offset;
}

function readIds(reader: Reader, key: number, ids: bigint[]): void {
  if ((key & 7) === 0) {
    ids.push(reader.id());
  } else if ((key & 7) === 2) {
    const outer = reader.enter();
    while (reader.position < reader.end) ids.push(reader.id());
    reader.leave(outer);
  } else {
    throw new RaftDecodeError(`wire type ${key & 7} for an id`);
  }
}
