/**
 * Sends a snapshot: the message, then the database, in the body of one request. The database is read piece by piece as
 * the peer takes it, so memory stays the same whatever its size.
 *
 *     POST /raft/snapshot   u64 length, raftpb.Message, database to the end of the body
 *
 * Source: etcd rafthttp/snapshot_sender.go.
 */
import { formatId } from "../membership/member.ts";
import type { Connection } from "../platform/network.ts";
import type { Message } from "../wire/raft/types.ts";
import { chunkHeadBytes, chunkTailBytes, lastChunk, writeChunkHead, writeChunkTail } from "./http1/body.ts";
import type { HttpExchange } from "./http1/client.ts";
import type { HttpResponse } from "./http1/fetch.ts";
import { HttpSyntaxError, type ResponseHead } from "./http1/head.ts";
import { introduction } from "./introduction.ts";
import {
  connectionTimeoutMs,
  smallBodyBytesMax,
  snapshotAnswerMs,
  snapshotPieceBytes,
  snapshotStallMs,
} from "./limits.ts";
import { MessageEncoder } from "./message-codec.ts";
import type { PipelineParts } from "./pipeline.ts";
import { postProblem, RemovedError } from "./post.ts";
import type { SnapshotImage } from "./types.ts";

export class SnapshotSender {
  readonly #parts: PipelineParts;
  readonly #uploads = new Set<Upload>();

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Owns the image; tells the core how it ended. */
  async send(message: Message, image: SnapshotImage): Promise<void> {
    const { local, peerId, dialer, log, causes, picker, status, counters, handlers } = this.#parts;
    const url = picker.pick();
    const details = {
      "snapshot-index": message.snapshot?.metadata.index ?? 0,
      "remote-peer-id": formatId(peerId),
      bytes: image.size,
      size: humanBytes(image.size),
    };
    log.info("sending database snapshot", details);
    const startedMs = dialer.clock.monotonic();
    counters.snapshotsSending++;
    const upload = new Upload(this.#parts, url, message, image);
    this.#uploads.add(upload);
    const outcome = await upload.finished;
    this.#uploads.delete(upload);
    counters.snapshotsSending--;
    const error =
      outcome instanceof Error
        ? outcome
        : postProblem(outcome, { local, peerId, log, causes, url: `${url.origin}/raft/snapshot` });
    image.close(error === undefined);
    if (upload.isAbandoned) return;
    if (error === undefined) {
      status.activate();
      handlers.reportSnapshot(peerId, true);
      log.info("sent database snapshot", details);
      counters.sentBytes += image.size;
      counters.snapshotsSent++;
      counters.snapshotSendSeconds.observe((dialer.clock.monotonic() - startedMs) / 1000);
      return;
    }
    log.warn("failed to send database snapshot", { ...details, error: error.message });
    if (error instanceof RemovedError) handlers.removedFromCluster(error);
    picker.unreachable(url);
    status.deactivate("post", "sendMsgSnap", error.message);
    handlers.reportUnreachable(peerId);
    handlers.reportSnapshot(peerId, false);
    counters.sendFailures++;
    counters.snapshotSendFailures++;
  }

  /** Breaks off what is under way; nobody is told. */
  stop(): void {
    for (const upload of this.#uploads) upload.abandon();
  }
}

/** One snapshot on its way. */
class Upload {
  /** Never rejects. */
  readonly finished: Promise<HttpResponse | Error>;
  isAbandoned = false;
  readonly #message: Message;
  readonly #image: SnapshotImage;
  readonly #exchange: HttpExchange;
  #settle: (outcome: HttpResponse | Error) => void = () => undefined;
  #drained: (() => void) | undefined;
  #head: ResponseHead | undefined;
  readonly #answer: Uint8Array[] = [];
  #answerBytes = 0;
  #isOver = false;

  constructor({ local, dialer }: PipelineParts, base: URL, message: Message, image: SnapshotImage) {
    this.#message = message;
    this.#image = image;
    this.finished = new Promise((resolve) => (this.#settle = resolve));
    const fields = [["Content-Type", "application/octet-stream"], ...introduction(local)] as const;
    this.#exchange = dialer.send(
      { method: "POST", base, path: "/raft/snapshot", fields, streamsBody: true },
      {
        connected: (connection) => void this.#pump(connection),
        head: (head) => {
          this.#head = head;
          this.#exchange.expireIn(connectionTimeoutMs, "timed out reading the answer to a snapshot");
        },
        data: (view) => this.#collect(view),
        ended: () => this.#finish(this.#response()),
        failed: (error) => this.#finish(error),
        drained: () => this.#wake(),
      },
    );
  }

  abandon(): void {
    this.isAbandoned = true;
    this.#exchange.fail(new Error("stopped"));
  }

  /** Writes the body until it is complete, or the peer answers early, or the request is over. Never rejects. */
  async #pump(connection: Connection): Promise<void> {
    try {
      const encoder = new MessageEncoder();
      const front = new Uint8Array(encoder.size(this.#message));
      encoder.write(this.#message, front, 0);
      await this.#write(connection, frame(front));
      let buffer = Buffer.allocUnsafeSlow(chunkHeadBytes + snapshotPieceBytes + chunkTailBytes);
      for (let position = 0; position < this.#image.size && this.#isWriting;) {
        // What still waits belongs to the connection.
        if (connection.waitingBytes > 0) buffer = Buffer.allocUnsafeSlow(buffer.length);
        const wanted = Math.min(snapshotPieceBytes, this.#image.size - position);
        const count = await this.#image.read(buffer.subarray(chunkHeadBytes, chunkHeadBytes + wanted), position);
        if (count === 0) throw new Error(`the database image ends at ${position} of ${this.#image.size} bytes`);
        if (!this.#isWriting) return;
        position += count;
        const start = writeChunkHead(count, buffer, chunkHeadBytes);
        await this.#write(connection, buffer.subarray(start, writeChunkTail(buffer, chunkHeadBytes + count)));
      }
      if (!this.#isWriting) return;
      connection.write(lastChunk);
      this.#exchange.expireIn(snapshotAnswerMs, "timed out waiting for the answer to a snapshot");
    } catch (error) {
      this.#exchange.fail(error as Error);
    }
  }

  get #isWriting(): boolean {
    return this.#head === undefined && !this.#isOver;
  }

  async #write(connection: Connection, bytes: Uint8Array): Promise<void> {
    if (this.#head === undefined) this.#exchange.expireIn(snapshotStallMs, "the peer takes no more of the snapshot");
    if (connection.write(bytes)) return;
    await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  #wake(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  #collect(view: Uint8Array): void {
    this.#answerBytes += view.length;
    if (this.#answerBytes > smallBodyBytesMax) this.#exchange.fail(new HttpSyntaxError("answer too large"));
    else this.#answer.push(new Uint8Array(view));
  }

  #response(): HttpResponse | Error {
    return this.#head === undefined
      ? new HttpSyntaxError("no response")
      : { head: this.#head, body: Buffer.concat(this.#answer) };
  }

  #finish(outcome: HttpResponse | Error): void {
    this.#isOver = true;
    this.#wake();
    this.#settle(outcome);
  }
}

/** One chunk around `payload`. */
function frame(payload: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(chunkHeadBytes + payload.length + chunkTailBytes);
  buffer.set(payload, chunkHeadBytes);
  const start = writeChunkHead(payload.length, buffer, chunkHeadBytes);
  return buffer.subarray(start, writeChunkTail(buffer, chunkHeadBytes + payload.length));
}

/** `25 kB`, `1.5 MB`: how etcd's logs print sizes (go-humanize, powers of 1000). */
export function humanBytes(count: number): string {
  if (count < 10) return `${count} B`;
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  const exponent = Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  const value = Math.floor((count / 1000 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[exponent]}`;
}
