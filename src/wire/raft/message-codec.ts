/**
 * What members say to each other, byte for byte as the gogoproto code of etcd-io/raft v3.6.0 writes it. Rules are those of
 * `entry-codec.ts`.
 *
 * ```text
 * Message  1 type  2 to  3 from  4 term  5 logTerm  6 index  7 entries*  8 commit  [9 snapshot]  10 reject
 *          11 rejectHint  [12 context]  13 vote  14 responses*
 * ```
 */
import {
  sizeOfBytesField,
  sizeOfLength,
  sizeOfVarint,
  sizeOfVarint64,
  writeBytesField,
  writeVarint,
  writeVarint64,
} from "../hot/wire-writer.ts";
import { delimited, encode, varint } from "./fields.ts";
import { readEntry, sizeOfEntry, writeEntry } from "./entry-codec.ts";
import { readSnapshot, sizeOfSnapshot, writeSnapshot } from "./snapshot-codec.ts";
import { RaftDecodeError, Reader } from "./reader.ts";
import { type Entry, type Message, MessageType, NONE, createMessage } from "./types.ts";

export function sizeOfMessage(message: Message): number {
  let size =
    12 +
    sizeOfVarint64(message.to) +
    sizeOfVarint64(message.from) +
    sizeOfVarint(message.term) +
    sizeOfVarint(message.logTerm) +
    sizeOfVarint(message.index) +
    sizeOfVarint(message.commit) +
    sizeOfVarint(message.rejectHint) +
    sizeOfBytesField(message.context) +
    sizeOfVarint64(message.vote);
  for (const entry of message.entries) size += sizeOfLength(sizeOfEntry(entry));
  if (message.snapshot !== undefined) size += sizeOfLength(sizeOfSnapshot(message.snapshot));
  for (const response of message.responses) size += sizeOfLength(sizeOfMessage(response));
  return size;
}

export function writeMessage(message: Message, target: Uint8Array, offset: number): number {
  target[offset++] = 0x08;
  target[offset++] = message.type;
  target[offset++] = 0x10;
  offset = writeVarint64(target, offset, message.to);
  target[offset++] = 0x18;
  offset = writeVarint64(target, offset, message.from);
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
  offset = writeBytesField(target, offset, 0x62, message.context);
  target[offset++] = 0x68;
  offset = writeVarint64(target, offset, message.vote);
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
