/**
 * One other member, and the ways to it.
 *
 *     App                ─► append stream  ┐ the first that is attached,
 *     App, all others    ─► message stream ┘ else the pipeline
 *     Snap               ─► snapshot sender
 *
 * Every way has a bounded queue; what does not fit is dropped and the core told, so a peer that is slow or dead costs
 * no memory and holds up nobody. Source: etcd rafthttp/peer.go.
 */
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import { MessageType, type Message } from "../wire/raft/types.ts";
import { AppendDecoder, AppendEncoder } from "./append-codec.ts";
import { CauseLog } from "./cause-log.ts";
import { MessageDecoder, MessageEncoder } from "./message-codec.ts";
import type { HttpDialer } from "./http1/client.ts";
import type { PeerCounters } from "./metrics.ts";
import { PeerStatus } from "./peer-status.ts";
import { Pipeline } from "./pipeline.ts";
import { Prober } from "./prober.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamWriter } from "./stream-writer.ts";
import type { LocalMember, PeerHandlers, SnapshotImage } from "./types.ts";
import { UrlPicker } from "./url-picker.ts";

/** The two streams that a peer dials and that we dial. */
export type StreamKind = "append" | "message";

export interface PeerParts {
  readonly peerId: bigint;
  readonly urls: readonly string[];
  readonly local: LocalMember;
  readonly dialer: HttpDialer;
  readonly log: Logger;
  readonly counters: PeerCounters;
  readonly handlers: PeerHandlers;
  /** Takes what the streams bring. */
  readonly receive: (message: Message) => void;
}

const streamNames = { append: "stream MsgApp v2", message: "stream Message" } as const;

export class Peer {
  readonly status: PeerStatus;
  isPaused = false;
  /** In the transport's list of peers to flush. */
  needsFlush = false;
  readonly #parts: PeerParts;
  readonly #picker: UrlPicker;
  readonly #writers: Readonly<Record<StreamKind, StreamWriter>>;
  readonly #readers: readonly StreamReader[];
  readonly #pipeline: Pipeline;
  readonly #snapshots: SnapshotSender;
  readonly #causes: CauseLog;
  #prober: Prober;

  constructor(parts: PeerParts) {
    const { peerId, dialer, log, counters, local, handlers } = parts;
    log.info("starting remote peer", { "remote-peer-id": formatId(peerId) });
    this.#parts = parts;
    this.#picker = new UrlPicker(parts.urls);
    this.#causes = new CauseLog(dialer.clock);
    this.status = new PeerStatus({ peerId, clock: dialer.clock, log, counters });
    const posting = {
      local,
      peerId,
      dialer,
      log,
      causes: this.#causes,
      picker: this.#picker,
      status: this.status,
      counters,
      handlers,
    };
    this.#pipeline = new Pipeline(posting);
    this.#snapshots = new SnapshotSender(posting);
    this.#writers = { append: this.#makeWriter("append"), message: this.#makeWriter("message") };
    this.#readers = [this.#makeReader("append"), this.#makeReader("message")];
    this.#prober = new Prober(parts);
    log.info("started remote peer", { "remote-peer-id": formatId(peerId) });
  }

  /** Queues a message; {@link flush} sends what the streams have. */
  send(message: Message): void {
    if (this.isPaused) return;
    const writer = this.#writerFor(message);
    if (writer === undefined ? this.#pipeline.push(message) : writer.push(message)) return;
    const { peerId, handlers, counters } = this.#parts;
    handlers.reportUnreachable(peerId);
    counters.sendFailures++;
    this.#logDropped(message, writer === undefined ? "pipeline" : "stream");
  }

  flush(): void {
    this.#writers.append.flush();
    this.#writers.message.flush();
  }

  sendSnapshot(message: Message, image: SnapshotImage): void {
    void this.#snapshots.send(message, image);
  }

  /** The way by which the peer will get what we send: see {@link StreamWriter.attach}. */
  writer(kind: StreamKind): StreamWriter {
    return this.#writers[kind];
  }

  update(urls: readonly string[]): void {
    this.#picker.update(urls);
    this.#prober.stop();
    this.#prober = new Prober({ ...this.#parts, urls });
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    for (const reader of this.#readers) reader.isPaused = isPaused;
  }

  stop(): void {
    const { log, peerId } = this.#parts;
    log.info("stopping remote peer", { "remote-peer-id": formatId(peerId) });
    this.#writers.append.stop();
    this.#writers.message.stop();
    this.#pipeline.stop();
    this.#snapshots.stop();
    for (const reader of this.#readers) reader.stop();
    this.#prober.stop();
    this.status.retire();
    log.info("stopped remote peer", { "remote-peer-id": formatId(peerId) });
  }

  #writerFor({ type }: Message): StreamWriter | undefined {
    const { append, message } = this.#writers;
    if (type === MessageType.App && append.isWorking) return append;
    return message.isWorking ? message : undefined;
  }

  #makeWriter(kind: StreamKind): StreamWriter {
    const { local, peerId, dialer, log, counters, handlers } = this.#parts;
    return new StreamWriter({
      localId: local.memberId,
      peerId,
      name: streamNames[kind],
      makeEncoder: () => (kind === "append" ? new AppendEncoder() : new MessageEncoder()),
      clock: dialer.clock,
      log,
      status: this.status,
      counters,
      reportUnreachable: (id) => handlers.reportUnreachable(id),
    });
  }

  #makeReader(kind: StreamKind): StreamReader {
    const { local, peerId, dialer, log, counters, handlers } = this.#parts;
    return new StreamReader({
      local,
      peerId,
      name: streamNames[kind],
      endpoint: kind === "append" ? "/raft/stream/msgapp" : "/raft/stream/message",
      makeDecoder: () => (kind === "append" ? new AppendDecoder(local.memberId, peerId) : new MessageDecoder()),
      dialer,
      log,
      picker: this.#picker,
      status: this.status,
      counters,
      receive: this.#parts.receive,
      removedFromCluster: (error) => handlers.removedFromCluster(error),
    });
  }

  #logDropped({ type, from }: Message, way: string): void {
    if (!this.#causes.isNews(way)) return;
    this.#parts.log.warn("dropped internal Raft message since sending buffer is full", {
      "message-type": typeName(type),
      "local-member-id": formatId(this.#parts.local.memberId),
      from: formatId(from),
      "remote-peer-id": formatId(this.#parts.peerId),
      "remote-peer-name": way,
      "remote-peer-active": this.status.isActive,
    });
  }
}

/** `MsgApp`, as raft's logs name it. */
export function typeName(type: number): string {
  for (const [name, value] of Object.entries(MessageType)) if (value === type) return `Msg${name}`;
  return String(type);
}
