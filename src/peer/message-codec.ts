/**
 * The general stream, and the front of a snapshot: any message, each with its length.
 *
 * ```text
 * u64 big endian   length
 * <length> bytes   raftpb.Message
 * ```
 *
 * Source: etcd server/etcdserver/api/rafthttp/msg_codec.go.
 */
import { decodeMessage, sizeOfMessage, writeMessage } from "../wire/raft/message-codec.ts";
import type { Message } from "../wire/raft/types.ts";
import { ByteQueue, writeCounter } from "./byte-queue.ts";
import { messageBytesMax } from "./limits.ts";
import { SizeLimitError, type StreamDecoder, type StreamEncoder } from "./stream-codec.ts";

export class MessageEncoder implements StreamEncoder {
  size(message: Message): number {
    return 8 + sizeOfMessage(message);
  }

  write(message: Message, target: Uint8Array, offset: number): number {
    const end = writeMessage(message, target, offset + 8);
    writeCounter(target, offset, end - offset - 8);
    return end;
  }
}

export class MessageDecoder implements StreamDecoder {
  readonly #queue = new ByteQueue();
  #size = -1;

  push(piece: Uint8Array, sink: (message: Message) => void): void {
    this.#queue.push(piece);
    for (;;) {
      if (this.#size < 0) {
        if (this.#queue.length < 8) return;
        this.#size = this.#queue.takeCounter();
        if (this.#size > messageBytesMax) throw new SizeLimitError();
      }
      if (this.#queue.length < this.#size) return;
      // An empty message is a valid one; there may be no piece to take it from.
      const bytes = this.#size === 0 ? noBytes : this.#queue.take(this.#size);
      this.#size = -1;
      sink(decodeMessage(bytes));
    }
  }
}

const noBytes = new Uint8Array(0);
