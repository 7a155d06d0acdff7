/**
 * Snapshots, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes them. Rules are those of `entry-codec.ts`.
 *
 * ```text
 * SnapshotMetadata  1 confState  2 index  3 term
 * Snapshot          [1 data]  2 metadata
 * ```
 */
import { sizeOfBytesField, sizeOfLength, sizeOfVarint, writeBytesField, writeVarint } from "../hot/wire-writer.ts";
import { delimited, encode, varint } from "./fields.ts";
import { readConfState, sizeOfConfState, writeConfState } from "./conf-state-codec.ts";
import { Reader } from "./reader.ts";
import { type Snapshot, type SnapshotMetadata, createSnapshot } from "./types.ts";

function sizeOfMetadata(metadata: SnapshotMetadata): number {
  return (
    sizeOfLength(sizeOfConfState(metadata.confState)) + 2 + sizeOfVarint(metadata.index) + sizeOfVarint(metadata.term)
  );
}

function writeMetadata(metadata: SnapshotMetadata, target: Uint8Array, offset: number): number {
  target[offset++] = 0x0a;
  offset = writeVarint(target, offset, sizeOfConfState(metadata.confState));
  offset = writeConfState(metadata.confState, target, offset);
  target[offset++] = 0x10;
  offset = writeVarint(target, offset, metadata.index);
  target[offset++] = 0x18;
  return writeVarint(target, offset, metadata.term);
}

export function sizeOfSnapshot(snapshot: Snapshot): number {
  return sizeOfBytesField(snapshot.data) + sizeOfLength(sizeOfMetadata(snapshot.metadata));
}

export function writeSnapshot(snapshot: Snapshot, target: Uint8Array, offset: number): number {
  offset = writeBytesField(target, offset, 0x0a, snapshot.data);
  target[offset++] = 0x12;
  offset = writeVarint(target, offset, sizeOfMetadata(snapshot.metadata));
  return writeMetadata(snapshot.metadata, target, offset);
}

export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  return encode(sizeOfSnapshot(snapshot), (target) => writeSnapshot(snapshot, target, 0));
}

export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  return readSnapshot(new Reader(bytes));
}

export function readSnapshot(reader: Reader): Snapshot {
  const snapshot = createSnapshot();
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === delimited(1)) {
      snapshot.data = reader.view();
    } else if (key === delimited(2)) {
      const outer = reader.enter();
      readMetadata(reader, snapshot.metadata);
      reader.leave(outer);
    } else {
      reader.skip(key);
    }
  }
  return snapshot;
}

function readMetadata(reader: Reader, metadata: SnapshotMetadata): void {
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === delimited(1)) {
      const outer = reader.enter();
      metadata.confState = readConfState(reader);
      reader.leave(outer);
    } else if (key === varint(2)) {
      metadata.index = reader.counter();
    } else if (key === varint(3)) {
      metadata.term = reader.counter();
    } else {
      reader.skip(key);
    }
  }
}
