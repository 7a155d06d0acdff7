/**
 * Entries and hard states, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes them: fields in the order of their
 * numbers, scalars always written even when zero, `bytes` left out when empty.
 *
 * ```text
 * Entry      1 type  2 term  3 index  [4 data]
 * HardState  1 term  2 vote  3 commit
 * ```
 *
 * Decoders accept any valid encoding: missing scalars are zero, unknown fields are passed over, a repeated scalar's last value
 * wins. They throw {@link RaftDecodeError}. Bytes in what they return are views of the input. `writeX` returns the offset
 * behind what it wrote and needs `sizeOfX` bytes of room.
 */
import { emptyBytes } from "../../base/bytes.ts";
import {
  sizeOfBytesField,
  sizeOfVarint,
  sizeOfVarint64,
  writeBytesField,
  writeVarint,
  writeVarint64,
} from "../hot/wire-writer.ts";
import { delimited, encode, varint } from "./fields.ts";
import { RaftDecodeError, Reader } from "./reader.ts";
import { type Entry, type HardState, EntryType, NONE } from "./types.ts";

export function sizeOfEntry(entry: Entry): number {
  return 4 + sizeOfVarint(entry.term) + sizeOfVarint(entry.index) + sizeOfBytesField(entry.data);
}

export function writeEntry(entry: Entry, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  target[offset++] = entry.type;
  target[offset++] = 0x10;
  offset = writeVarint(target, offset, entry.term);
  target[offset++] = 0x18;
  offset = writeVarint(target, offset, entry.index);
  return writeBytesField(target, offset, 0x22, entry.data);
}

export function encodeEntry(entry: Entry): Uint8Array {
  return encode(sizeOfEntry(entry), (target) => writeEntry(entry, target, 0));
}

/** Decodes `[start, end)` of `bytes`. `data` is a view: copy it if it must outlive the buffer it came in. */
export function decodeEntry(bytes: Uint8Array, start = 0, end: number = bytes.length): Entry {
  return readEntry(new Reader(bytes, start, end));
}

export function readEntry(reader: Reader): Entry {
  const entry: Entry = { type: EntryType.Normal, term: 0, index: 0, data: emptyBytes };
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    switch (key) {
      case varint(1):
        entry.type = entryType(reader.counter());
        break;
      case varint(2):
        entry.term = reader.counter();
        break;
      case varint(3):
        entry.index = reader.counter();
        break;
      case delimited(4):
        entry.data = reader.view();
        break;
      default:
        reader.skip(key);
    }
  }
  return entry;
}

function entryType(value: number): EntryType {
  if (value > EntryType.ConfChangeV2) throw new RaftDecodeError(`entry type ${value}`);
  return value as EntryType;
}

export function sizeOfHardState(state: HardState): number {
  return 3 + sizeOfVarint(state.term) + sizeOfVarint64(state.vote) + sizeOfVarint(state.commit);
}

export function writeHardState(state: HardState, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  offset = writeVarint(target, offset, state.term);
  target[offset++] = 0x10;
  offset = writeVarint64(target, offset, state.vote);
  target[offset++] = 0x18;
  return writeVarint(target, offset, state.commit);
}

export function encodeHardState(state: HardState): Uint8Array {
  return encode(sizeOfHardState(state), (target) => writeHardState(state, target, 0));
}

export function decodeHardState(bytes: Uint8Array): HardState {
  const reader = new Reader(bytes);
  const state: HardState = { term: 0, vote: NONE, commit: 0 };
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === varint(1)) state.term = reader.counter();
    else if (key === varint(2)) state.vote = reader.id();
    else if (key === varint(3)) state.commit = reader.counter();
    else reader.skip(key);
  }
  return state;
}
