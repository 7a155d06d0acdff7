/**
 * Takes a snapshot that a leader posts: the message in front is kept, the database behind it goes to disk as it comes.
 * When that is durable under its name, raft hears of it; the answer tells the leader how it ended.
 *
 * A body that breaks off, or holds no whole database, leaves nothing behind; etcd notices the second when it opens it, and
 * ends. (What a crash leaves, `tmp*`, is removed at the next start, as in etcd.)
 * Source: etcd rafthttp/http.go, `snapshotHandler`.
 */
import { copyBytes } from "../base/bytes.ts";
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { decodeMessage } from "../wire/raft/message-codec.ts";
import { MessageType, type Message } from "../wire/raft/types.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Exchange, HeaderFields } from "./http1/server-connection.ts";
import { snapshotMessageBytesMax } from "./limits.ts";
import type { PeerMetrics } from "./metrics.ts";
import { respondError } from "./server.ts";
import { SnapshotFile } from "./snapshot-file.ts";
import { humanBytes } from "./snapshot-sender.ts";
import { SizeLimitError } from "./stream-codec.ts";

export interface SnapshotReceiverParts {
  readonly platform: Platform;
  readonly log: Logger;
  readonly localId: bigint;
  readonly directory: string;
  /** Throws when a received database cannot be used: see {@link PeerTransportOptions}. */
  readonly checkDatabase: (path: string, index: number) => void;
  readonly metrics: PeerMetrics;
  /** Answers for a refused message itself and returns false. */
  readonly process: (exchange: Exchange, message: Message, dropped: (reason: string) => void) => boolean;
  /** Fields of every answer. */
  readonly fields: HeaderFields;
}

export class SnapshotReceiver {
  readonly #parts: SnapshotReceiverParts;
  readonly #exchange: Exchange;
  readonly #startedMs: number;
  readonly #front = new ByteQueue();
  #frontBytes = -1;
  #message: Message | undefined;
  #file: SnapshotFile | undefined;
  #isOver = false;

  constructor(parts: SnapshotReceiverParts, exchange: Exchange) {
    this.#parts = parts;
    this.#exchange = exchange;
    this.#startedMs = parts.platform.clock.monotonic();
  }

  /** Reads the body of the exchange, whose method and sender have been checked, and answers. */
  start(): void {
    this.#exchange.readBody({
      data: (view) => this.#data(view),
      end: () => void this.#end(),
      failed: (error) => void this.#broken(error),
    });
  }

  #data(view: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#file !== undefined) return this.#append(copyBytes(view));
    this.#front.push(copyBytes(view));
    this.#decodeFront();
  }

  /** The message in front of the database. */
  #decodeFront(): void {
    const front = this.#front;
    try {
      if (this.#frontBytes < 0) {
        if (front.length < 8) return;
        this.#frontBytes = front.takeCounter();
        if (this.#frontBytes > snapshotMessageBytesMax) throw new SizeLimitError();
      }
      if (front.length < this.#frontBytes) return;
      this.#message = decodeMessage(this.#frontBytes === 0 ? new Uint8Array(0) : front.take(this.#frontBytes));
    } catch (error) {
      return this.#refuseFront((error as Error).message);
    }
    this.#begin(this.#message, this.#frontBytes);
  }

  #refuseFront(reason: string): void {
    this.#isOver = true;
    this.#parts.log.warn("failed to decode Raft message", { ...this.#ids(), error: reason });
    this.#counters.receiveFailures++;
    this.#counters.snapshotReceiveFailures++;
    respondError(this.#exchange, 400, `failed to decode raft message (${reason})`, this.#parts.fields);
  }

  #begin(message: Message, messageBytes: number): void {
    const { log, platform, directory, fields } = this.#parts;
    this.#counters.receivedBytes += messageBytes;
    if (message.type !== MessageType.Snap || message.snapshot === undefined) {
      this.#isOver = true;
      log.warn("unexpected Raft message type", { ...this.#ids(), "message-type": message.type });
      this.#counters.snapshotReceiveFailures++;
      return respondError(this.#exchange, 400, "wrong raft message type", fields);
    }
    this.#counters.snapshotsReceiving++;
    log.info("receiving database snapshot", {
      ...this.#ids(),
      "incoming-snapshot-index": this.#index,
      "incoming-snapshot-message-size-bytes": messageBytes,
      "incoming-snapshot-message-size": humanBytes(messageBytes),
    });
    try {
      this.#file = new SnapshotFile(platform, directory, () => this.#progress());
    } catch (error) {
      return this.#notSaved(error as Error);
    }
    if (this.#front.length > 0) this.#append(this.#front.take(this.#front.length));
  }

  #append(piece: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) return;
    file.append(piece);
    if (file.isFull && !this.#exchange.isPaused) this.#exchange.pause();
  }

  #progress(): void {
    const file = this.#file;
    if (file === undefined || this.#isOver) return;
    if (file.error !== undefined) {
      void file.abandon();
      return this.#notSaved(file.error);
    }
    if (!file.isFull && this.#exchange.isPaused) this.#exchange.resume();
  }

  async #end(): Promise<void> {
    if (this.#isOver) return;
    const { log, platform, fields, process, checkDatabase } = this.#parts;
    const file = this.#file;
    const message = this.#message;
    if (file === undefined || message === undefined) {
      return this.#refuseFront(this.#front.length === 0 ? "EOF" : "unexpected EOF");
    }
    try {
      await file.finish(this.#index, checkDatabase);
    } catch (error) {
      return this.#notSaved(error as Error);
    }
    if (this.#isOver) return; // the disk refused meanwhile
    this.#over();
    this.#counters.receivedBytes += file.size;
    const seconds = (platform.clock.monotonic() - this.#startedMs) / 1000;
    log.info("received and saved database snapshot", {
      ...this.#ids(),
      "incoming-snapshot-index": this.#index,
      "incoming-snapshot-size-bytes": file.size,
      "incoming-snapshot-size": humanBytes(file.size),
      "download-took": `${seconds}s`,
    });
    const dropped = (reason: string): void => {
      this.#counters.snapshotReceiveFailures++;
      respondError(this.#exchange, 500, `failed to process raft message (${reason})`, fields);
    };
    if (!process(this.#exchange, message, dropped)) return;
    this.#counters.snapshotsReceived++;
    this.#counters.snapshotReceiveSeconds.observe(seconds);
    this.#exchange.respond(204, fields);
  }

  #notSaved(error: Error): void {
    if (this.#isOver) return;
    this.#over();
    this.#parts.log.warn("failed to save incoming database snapshot", {
      ...this.#ids(),
      "incoming-snapshot-index": this.#index,
      error: error.message,
    });
    this.#counters.snapshotReceiveFailures++;
    respondError(this.#exchange, 500, `failed to save KV snapshot (${error.message})`, this.#parts.fields);
  }

  /** The sender has gone in the middle. */
  async #broken(error: Error): Promise<void> {
    if (this.#isOver) return;
    const file = this.#file;
    if (file === undefined) {
      this.#refuseFront(error.message);
    } else {
      this.#notSaved(error);
      await file.abandon();
    }
  }

  #over(): void {
    this.#isOver = true;
    this.#counters.snapshotsReceiving--;
  }

  get #index(): number {
    return this.#message?.snapshot?.metadata.index ?? 0;
  }

  get #counters() {
    return this.#parts.metrics.of(this.#message?.from ?? 0n);
  }

  #ids(): Record<string, string> {
    return {
      "local-member-id": formatId(this.#parts.localId),
      "remote-snapshot-sender-id": formatId(this.#message?.from ?? 0n),
    };
  }
}
