/**
 * The append stream ("msgappv2"): only appends, and each one that follows from the one before leaves out all that the
 * receiver knows.
 *
 * ```text
 * 0                                                                     the link lives
 * 1  u64 n   n x (u64 size, raftpb.Entry)   u64 commit                  entries that follow
 * 2  u64 size, raftpb.Message                                           anything else
 * ```
 *
 * Counts are big endian. Both sides keep (term, index): a message of kind 2 sets them to its term and its last entry's
 * index (its own index without entries), one of kind 1 adds n to the index. Kind 1 is used when the message begins
 * where the last one ended and nothing about its terms is new.
 *
 * Source: etcd server/etcdserver/api/rafthttp/msgappv2_codec.go.
 */
import { decodeEntry, sizeOfEntry, writeEntry } from "../wire/raft/entry-codec.ts";
import { decodeMessage, sizeOfMessage, writeMessage } from "../wire/raft/message-codec.ts";
import { RaftDecodeError } from "../wire/raft/reader.ts";
import { createMessage, MessageType, type Entry, type Message } from "../wire/raft/types.ts";
import { ByteQueue, writeCounter } from "./byte-queue.ts";
import { messageBytesMax } from "./limits.ts";
import {
  isLinkHeartbeat,
  linkHeartbeat,
  SizeLimitError,
  type StreamDecoder,
  type StreamEncoder,
} from "./stream-codec.ts";

const Kind = { LinkHeartbeat: 0, Entries: 1, Message: 2 } as const;

export class AppendEncoder implements StreamEncoder {
  #term = 0;
  #index = 0;

  size(message: Message): number {
    if (isLinkHeartbeat(message)) return 1;
    if (!this.#follows(message)) return 9 + sizeOfMessage(message);
    let size = 17;
    for (const entry of message.entries) size += 8 + sizeOfEntry(entry);
    return size;
  }

  write(message: Message, target: Uint8Array, offset: number): number {
    if (isLinkHeartbeat(message)) {
      target[offset] = Kind.LinkHeartbeat;
      return offset + 1;
    }
    return this.#follows(message)
      ? this.#writeEntries(message, target, offset)
      : this.#writeMessage(message, target, offset);
  }

  #follows({ index, logTerm, term }: Message): boolean {
    return this.#index === index && this.#term === logTerm && logTerm === term;
  }

  #writeEntries({ entries, commit }: Message, target: Uint8Array, offset: number): number {
    target[offset] = Kind.Entries;
    offset = writeCounter(target, offset + 1, entries.length);
    for (const entry of entries) {
      const end = writeEntry(entry, target, offset + 8);
      writeCounter(target, offset, end - offset - 8);
      offset = end;
    }
    this.#index += entries.length;
    return writeCounter(target, offset, commit);
  }

  #writeMessage(message: Message, target: Uint8Array, offset: number): number {
    target[offset] = Kind.Message;
    const end = writeMessage(message, target, offset + 9);
    writeCounter(target, offset + 1, end - offset - 9);
    this.#term = message.term;
    this.#index = lastIndexOf(message);
    return end;
  }
}

/** Where the decoder stands inside a message. */
type Awaiting = "kind" | "count" | "entrySize" | "entry" | "commit" | "messageSize" | "message";

export class AppendDecoder implements StreamDecoder {
  readonly #localId: bigint;
  readonly #remoteId: bigint;
  readonly #queue = new ByteQueue();
  #term = 0;
  #index = 0;
  #awaiting: Awaiting = "kind";
  /** Size of the entry or message that comes next. */
  #size = 0;
  #entriesLeft = 0;
  #entries: Entry[] = [];

  constructor(localId: bigint, remoteId: bigint) {
    this.#localId = localId;
    this.#remoteId = remoteId;
  }

  push(piece: Uint8Array, sink: (message: Message) => void): void {
    this.#queue.push(piece);
    while (this.#queue.length >= this.#needed()) {
      const message = this.#step();
      if (message !== undefined) sink(message);
      if (this.#queue.length === 0) return;
    }
  }

  #needed(): number {
    switch (this.#awaiting) {
      case "kind":
        return 1;
      case "entry":
      case "message":
        return this.#size;
      default:
        return 8;
    }
  }

  /** Takes one field; returns a message when it was the last one. */
  #step(): Message | undefined {
    const queue = this.#queue;
    switch (this.#awaiting) {
      case "count":
        this.#entriesLeft = queue.takeCounter();
        this.#entries = [];
        this.#awaiting = this.#entriesLeft > 0 ? "entrySize" : "commit";
        return undefined;
      case "entrySize":
        this.#awaitBytes("entry");
        return undefined;
      case "entry":
        this.#entries.push(decodeEntry(queue.take(this.#size)));
        this.#awaiting = --this.#entriesLeft > 0 ? "entrySize" : "commit";
        return undefined;
      case "commit":
        return this.#appendOf(queue.takeCounter());
      case "messageSize":
        this.#awaitBytes("message");
        return undefined;
      case "message":
        return this.#wholeMessage(queue.take(this.#size));
      default:
        return this.#takeKind(queue.takeByte());
    }
  }

  #takeKind(kind: number): Message | undefined {
    if (kind === Kind.LinkHeartbeat) return linkHeartbeat;
    if (kind === Kind.Entries) this.#awaiting = "count";
    else if (kind === Kind.Message) this.#awaiting = "messageSize";
    else throw new RaftDecodeError(`failed to parse type ${kind} in msgappv2 stream`);
    return undefined;
  }

  #awaitBytes(what: "entry" | "message"): void {
    this.#size = this.#queue.takeCounter();
    if (this.#size > messageBytesMax) throw new SizeLimitError();
    // Our types are never empty, and an empty take could find no piece.
    if (this.#size === 0) throw new RaftDecodeError(`empty ${what} in msgappv2 stream`);
    this.#awaiting = what;
  }

  #appendOf(commit: number): Message {
    const message = createMessage(MessageType.App, this.#localId);
    message.from = this.#remoteId;
    message.term = this.#term;
    message.logTerm = this.#term;
    message.index = this.#index;
    message.entries = this.#entries;
    message.commit = commit;
    this.#index += this.#entries.length;
    this.#entries = [];
    this.#awaiting = "kind";
    return message;
  }

  #wholeMessage(bytes: Uint8Array): Message {
    const message = decodeMessage(bytes);
    this.#term = message.term;
    this.#index = lastIndexOf(message);
    this.#awaiting = "kind";
    return message;
  }
}

function lastIndexOf({ entries, index }: Message): number {
  return entries.length === 0 ? index : entries[entries.length - 1].index;
}
