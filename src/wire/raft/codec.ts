/**
 * Encoding of the raft messages, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes it: fields in the
 * order of their numbers, scalars always written even when zero, `bytes` left out when empty, ids unpacked.
 *
 * ```text
 * Entry             1 type  2 term  3 index  [4 data]
 * HardState         1 term  2 vote  3 commit
 * ConfState         1 voters*  2 learners*  3 votersOutgoing*  4 learnersNext*  5 autoLeave
 * SnapshotMetadata  1 confState  2 index  3 term
 * Snapshot          [1 data]  2 metadata
 * Message           1 type  2 to  3 from  4 term  5 logTerm  6 index  7 entries*  8 commit  [9 snapshot]  10 reject
 *                   11 rejectHint  [12 context]  13 vote  14 responses*
 * ConfChange        1 id  2 type  3 nodeId  [4 context]
 * ConfChangeSingle  1 type  2 nodeId
 * ConfChangeV2      1 transition  2 changes*  [3 context]
 * ```
 *
 * Decoders accept any valid encoding: missing scalars are zero, unknown fields are passed over, repeated ids may be
 * packed, a repeated scalar's last value wins. They throw {@link RaftDecodeError}. Bytes in what they return are views
 * of the input. `writeX` returns the offset behind what it wrote and needs `sizeOfX` bytes of room.
 */
import { assert } from "../../base/assert.ts";
import { emptyBytes } from "../../base/bytes.ts";
import { RaftDecodeError, Reader, sizeOfId, sizeOfVarint, writeId, writeVarint } from "./proto.ts";
import {
  ConfChangeTransition,
  ConfChangeType,
  createConfState,
  createMessage,
  createSnapshot,
  EntryType,
  MessageType,
  NONE,
} from "./types.ts";
import type {
  ConfChange,
  ConfChangeSingle,
  ConfChangeV2,
  ConfState,
  Entry,
  HardState,
  Message,
  Snapshot,
  SnapshotMetadata,
} from "./types.ts";

export { RaftDecodeError } from "./proto.ts";

// Keys: field number << 3 | wire type (0 varint, 2 length-delimited).
const varint = (field: number): number => field << 3;
const delimited = (field: number): number => (field << 3) | 2;

function sizeOfBytes(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 1 + sizeOfVarint(bytes.length) + bytes.length;
}

function writeBytes(target: Uint8Array, offset: number, key: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return offset;
  target[offset++] = key;
  offset = writeVarint(target, offset, bytes.length);
  target.set(bytes, offset);
  return offset + bytes.length;
}

function sizeOfNested(size: number): number {
  return 1 + sizeOfVarint(size) + size;
}

// ---------------------------------------------------------------------------------------------------------- Entry

export function sizeOfEntry(entry: Entry): number {
  return 4 + sizeOfVarint(entry.term) + sizeOfVarint(entry.index) + sizeOfBytes(entry.data);
}

export function writeEntry(entry: Entry, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  target[offset++] = entry.type;
  target[offset++] = 0x10;
  offset = writeVarint(target, offset, entry.term);
  target[offset++] = 0x18;
  offset = writeVarint(target, offset, entry.index);
  return writeBytes(target, offset, 0x22, entry.data);
}

export function encodeEntry(entry: Entry): Uint8Array {
  return encode(sizeOfEntry(entry), (target) => writeEntry(entry, target, 0));
}

/** Decodes `[start, end)` of `bytes`. `data` is a view: copy it if it must outlive the buffer it came in. */
export function decodeEntry(bytes: Uint8Array, start = 0, end: number = bytes.length): Entry {
  return readEntry(new Reader(bytes, start, end));
}

function readEntry(reader: Reader): Entry {
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

// ------------------------------------------------------------------------------------------------------ HardState

export function sizeOfHardState(state: HardState): number {
  return 3 + sizeOfVarint(state.term) + sizeOfId(state.vote) + sizeOfVarint(state.commit);
}

export function writeHardState(state: HardState, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  offset = writeVarint(target, offset, state.term);
  target[offset++] = 0x10;
  offset = writeId(target, offset, state.vote);
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

// ------------------------------------------------------------------------------------------- ConfState, Snapshot

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

function readConfState(reader: Reader): ConfState {
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
  for (const id of ids) size += sizeOfId(id);
  return size;
}

function writeIds(target: Uint8Array, offset: number, key: number, ids: readonly bigint[]): number {
  for (const id of ids) {
    target[offset++] = key;
    offset = writeId(target, offset, id);
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

function sizeOfMetadata(metadata: SnapshotMetadata): number {
  return (
    sizeOfNested(sizeOfConfState(metadata.confState)) + 2 + sizeOfVarint(metadata.index) + sizeOfVarint(metadata.term)
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
  return sizeOfBytes(snapshot.data) + sizeOfNested(sizeOfMetadata(snapshot.metadata));
}

export function writeSnapshot(snapshot: Snapshot, target: Uint8Array, offset: number): number {
  offset = writeBytes(target, offset, 0x0a, snapshot.data);
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

function readSnapshot(reader: Reader): Snapshot {
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

// -------------------------------------------------------------------------------------------------------- Message

export function sizeOfMessage(message: Message): number {
  let size =
    12 +
    sizeOfId(message.to) +
    sizeOfId(message.from) +
    sizeOfVarint(message.term) +
    sizeOfVarint(message.logTerm) +
    sizeOfVarint(message.index) +
    sizeOfVarint(message.commit) +
    sizeOfVarint(message.rejectHint) +
    sizeOfBytes(message.context) +
    sizeOfId(message.vote);
  for (const entry of message.entries) size += sizeOfNested(sizeOfEntry(entry));
  if (message.snapshot !== undefined) size += sizeOfNested(sizeOfSnapshot(message.snapshot));
  for (const response of message.responses) size += sizeOfNested(sizeOfMessage(response));
  return size;
}

export function writeMessage(message: Message, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  target[offset++] = message.type;
  target[offset++] = 0x10;
  offset = writeId(target, offset, message.to);
  target[offset++] = 0x18;
  offset = writeId(target, offset, message.from);
  target[offset++] = 0x20;
  offset = writeVarint(target, offset, message.term);
  target[offset++] = 0x28;
  offset = writeVarint(target, offset, message.logTerm);
  target[offset++] = 0x30;
  offset = writeVarint(target, offset, message.index);
  for (const entry of message.entries) {
    target[offset++] = 0x3a;
    offset = writeVarint(target, offset, sizeOfEntry(entry));
    offset = writeEntry(entry, target, offset);
  }
  target[offset++] = 0x40;
  offset = writeVarint(target, offset, message.commit);
  if (message.snapshot !== undefined) {
    target[offset++] = 0x4a;
    offset = writeVarint(target, offset, sizeOfSnapshot(message.snapshot));
    offset = writeSnapshot(message.snapshot, target, offset);
  }
  target[offset++] = 0x50;
  target[offset++] = message.reject ? 1 : 0;
  target[offset++] = 0x58;
  offset = writeVarint(target, offset, message.rejectHint);
  offset = writeBytes(target, offset, 0x62, message.context);
  target[offset++] = 0x68;
  offset = writeId(target, offset, message.vote);
  for (const response of message.responses) {
    target[offset++] = 0x72;
    offset = writeVarint(target, offset, sizeOfMessage(response));
    offset = writeMessage(response, target, offset);
  }
  return offset;
}

export function encodeMessage(message: Message): Uint8Array {
  return encode(sizeOfMessage(message), (target) => writeMessage(message, target, 0));
}

/** Decodes `[start, end)` of `bytes`. Entry data, snapshot data and context are views of it. */
export function decodeMessage(bytes: Uint8Array, start = 0, end: number = bytes.length): Message {
  return readMessage(new Reader(bytes, start, end));
}

function readMessage(reader: Reader): Message {
  const message = createMessage(MessageType.Hup, NONE);
  const entries: Entry[] = [];
  const responses: Message[] = [];
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    switch (key) {
      case varint(1):
        message.type = messageType(reader.counter());
        break;
      case varint(2):
        message.to = reader.id();
        break;
      case varint(3):
        message.from = reader.id();
        break;
      case varint(4):
        message.term = reader.counter();
        break;
      case varint(5):
        message.logTerm = reader.counter();
        break;
      case varint(6):
        message.index = reader.counter();
        break;
      case delimited(7): {
        const outer = reader.enter();
        entries.push(readEntry(reader));
        reader.leave(outer);
        break;
      }
      case varint(8):
        message.commit = reader.counter();
        break;
      case delimited(9): {
        const outer = reader.enter();
        message.snapshot = readSnapshot(reader);
        reader.leave(outer);
        break;
      }
      case varint(10):
        message.reject = reader.bool();
        break;
      case varint(11):
        message.rejectHint = reader.counter();
        break;
      case delimited(12):
        message.context = reader.view();
        break;
      case varint(13):
        message.vote = reader.id();
        break;
      case delimited(14): {
        const outer = reader.enter();
        responses.push(readMessage(reader));
        reader.leave(outer);
        break;
      }
      default:
        reader.skip(key);
    }
  }
  if (entries.length > 0) message.entries = entries;
  if (responses.length > 0) message.responses = responses;
  return message;
}

/** Types that we do not know go on to the core, which ignores them, as long as one byte can hold them. */
function messageType(value: number): MessageType {
  if (value > 0x7f) throw new RaftDecodeError(`message type ${value}`);
  return value as MessageType;
}

// ---------------------------------------------------------------------------------------------------- ConfChange*

export function encodeConfChange(change: ConfChange): Uint8Array {
  const size = 4 + sizeOfId(change.id) + sizeOfId(change.nodeId) + sizeOfBytes(change.context);
  return encode(size, (target) => {
    target[0] = 0x08;
    let offset = writeId(target, 1, change.id);
    target[offset++] = 0x10;
    target[offset++] = change.type;
    target[offset++] = 0x18;
    offset = writeId(target, offset, change.nodeId);
    return writeBytes(target, offset, 0x22, change.context);
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
  return 3 + sizeOfId(change.nodeId);
}

export function encodeConfChangeV2(change: ConfChangeV2): Uint8Array {
  let size = 2 + sizeOfBytes(change.context);
  for (const single of change.changes) size += sizeOfNested(sizeOfSingle(single));
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
      offset = writeId(target, offset, single.nodeId);
    }
    return writeBytes(target, offset, 0x1a, change.context);
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

function encode(size: number, write: (target: Uint8Array) => number): Uint8Array {
  const target = new Uint8Array(size);
  const end = write(target);
  assert(end === size, "a message is as long as its computed size");
  return target;
}
