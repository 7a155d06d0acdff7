/**
 * Changes of membership, which are the data of an entry, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes them.
 * Rules are those of `entry-codec.ts`.
 *
 * ```text
 * ConfChange        1 id  2 type  3 nodeId  [4 context]
 * ConfChangeSingle  1 type  2 nodeId
 * ConfChangeV2      1 transition  2 changes*  [3 context]
 * ```
 */
import { emptyBytes } from "../../base/bytes.ts";
import {
  sizeOfBytesField,
  sizeOfLength,
  sizeOfVarint64,
  writeBytesField,
  writeVarint,
  writeVarint64,
} from "../hot/wire-writer.ts";
import { delimited, encode, varint } from "./fields.ts";
import { RaftDecodeError, Reader } from "./reader.ts";
import {
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeV2,
  ConfChangeTransition,
  ConfChangeType,
  NONE,
} from "./types.ts";

export function encodeConfChange(change: ConfChange): Uint8Array {
  const size = 4 + sizeOfVarint64(change.id) + sizeOfVarint64(change.nodeId) + sizeOfBytesField(change.context);
  return encode(size, (target) => {
    target[0] = 0x08;
    let offset = writeVarint64(target, 1, change.id);
    target[offset++] = 0x10;
    target[offset++] = change.type;
    target[offset++] = 0x18;
    offset = writeVarint64(target, offset, change.nodeId);
    return writeBytesField(target, offset, 0x22, change.context);
  });
}

export function decodeConfChange(bytes: Uint8Array): ConfChange {
  const reader = new Reader(bytes);
  const change: ConfChange = { id: 0n, type: ConfChangeType.AddNode, nodeId: NONE, context: emptyBytes };
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === varint(1)) change.id = reader.id();
    else if (key === varint(2)) change.type = confChangeType(reader.counter());
    else if (key === varint(3)) change.nodeId = reader.id();
    else if (key === delimited(4)) change.context = reader.view();
    else reader.skip(key);
  }
  return change;
}

function confChangeType(value: number): ConfChangeType {
  if (value > ConfChangeType.AddLearnerNode) throw new RaftDecodeError(`conf change type ${value}`);
  return value as ConfChangeType;
}

function sizeOfSingle(change: ConfChangeSingle): number {
  return 3 + sizeOfVarint64(change.nodeId);
}

export function encodeConfChangeV2(change: ConfChangeV2): Uint8Array {
  let size = 2 + sizeOfBytesField(change.context);
  for (const single of change.changes) size += sizeOfLength(sizeOfSingle(single));
  return encode(size, (target) => {
    target[0] = 0x08;
    target[1] = change.transition;
    let offset = 2;
    for (const single of change.changes) {
      target[offset++] = 0x12;
      offset = writeVarint(target, offset, sizeOfSingle(single));
      target[offset++] = 0x08;
      target[offset++] = single.type;
      target[offset++] = 0x10;
      offset = writeVarint64(target, offset, single.nodeId);
    }
    return writeBytesField(target, offset, 0x1a, change.context);
  });
}

export function decodeConfChangeV2(bytes: Uint8Array): ConfChangeV2 {
  const reader = new Reader(bytes);
  const change: ConfChangeV2 = { transition: ConfChangeTransition.Auto, changes: [], context: emptyBytes };
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === varint(1)) {
      change.transition = transition(reader.counter());
    } else if (key === delimited(2)) {
      const outer = reader.enter();
      change.changes.push(readSingle(reader));
      reader.leave(outer);
    } else if (key === delimited(3)) {
      change.context = reader.view();
    } else {
      reader.skip(key);
    }
  }
  return change;
}

function readSingle(reader: Reader): ConfChangeSingle {
  const single: ConfChangeSingle = { type: ConfChangeType.AddNode, nodeId: NONE };
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === varint(1)) single.type = confChangeType(reader.counter());
    else if (key === varint(2)) single.nodeId = reader.id();
    else reader.skip(key);
  }
  return single;
}

function transition(value: number): ConfChangeTransition {
  if (value > ConfChangeTransition.JointExplicit) throw new RaftDecodeError(`conf change transition ${value}`);
  return value as ConfChangeTransition;
}
