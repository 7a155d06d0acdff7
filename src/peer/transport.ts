/**
 * etcd's peer protocol: carries raft messages between members, over HTTP/1.1 on the peer URLs.
 *
 *     send ──► Peer ─┬─ streams that the peer dialed ──►            ◄── streams that we dialed ─┐
 *                    ├─ POST /raft ────────────────────►  network   ◄── POST /raft ─────────────┼─► receive
 *                    └─ POST /raft/snapshot ───────────►            ◄── POST /raft/snapshot ────┘
 *
 * Whoever receives dials: between two members there are four long-lived connections. Nothing here waits and nothing is
 * queued without limit; raft repeats what is lost. Source: etcd server/etcdserver/api/rafthttp.
 */
import { assert } from "../base/assert.ts";
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { decodeMessage } from "../wire/raft/message-codec.ts";
import { RaftDecodeError } from "../wire/raft/reader.ts";
import { MessageType, NONE, type Message } from "../wire/raft/types.ts";
import { CauseLog } from "./cause-log.ts";
import { HttpDialer } from "./http1/client.ts";
import type { Exchange, HeaderFields } from "./http1/server-connection.ts";
import { incompatibility, introducedBy, tryParseId } from "./introduction.ts";
import { messageBytesMax } from "./limits.ts";
import { PeerMetrics } from "./metrics.ts";
import { Peer, typeName, type StreamKind } from "./peer.ts";
import { Remote } from "./remote.ts";
import { onlyMethod, readWhole, respondError, type PeerServer } from "./server.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import type { LocalMember, PeerHandlers, PeerTransportOptions, SnapshotImage } from "./types.ts";

const removedText = "cannot process message from removed member";

/** Senders that are no members (yet) and get answers; a cluster that we join has a handful. */
const remotesMax = 64;

export class PeerTransport {
  readonly metrics = new PeerMetrics();
  readonly #platform: Platform;
  readonly #log: Logger;
  readonly #local: LocalMember;
  readonly #handlers: PeerHandlers;
  readonly #snapshotDirectory: string;
  readonly #checkDatabase: (path: string, index: number) => void;
  readonly #dialer: HttpDialer;
  readonly #causes: CauseLog;
  readonly #peers = new Map<bigint, Peer>();
  readonly #remotes = new Map<bigint, Remote>();
  readonly #flushing: Peer[] = [];
  /** Fields of every answer of the raft endpoints. */
  readonly #answerFields: HeaderFields;
  #isStopped = false;

  constructor(options: PeerTransportOptions) {
    this.#platform = options.platform;
    this.#log = options.platform.log.withCaller("peer/transport.ts");
    this.#local = options.local;
    this.#handlers = options.handlers;
    this.#snapshotDirectory = options.snapshotDirectory;
    this.#checkDatabase = options.checkDatabase ?? (() => undefined);
    this.#dialer = new HttpDialer(options);
    this.#causes = new CauseLog(options.platform.clock);
    this.#answerFields = [["X-Etcd-Cluster-Id", formatId(options.local.clusterId)]];
  }

  /** Serves the raft endpoints on the peer port. */
  register(server: PeerServer): void {
    server.route("/raft", (exchange) => this.#servePipeline(exchange));
    server.route("/raft/stream/", (exchange) => this.#serveStream(exchange));
    server.route("/raft/snapshot", (exchange) => this.#serveSnapshot(exchange));
    server.route("/raft/probing", (exchange) => this.#serveProbe(exchange));
  }

  // ---------------------------------------------------------------------------------------------------- who is there

  /** Dials a member and lets it dial us. Ignored for one that is there. @param urls - valid peer URLs, at least one. */
  addPeer(peerId: bigint, urls: readonly string[]): void {
    assert(!this.#isStopped, "the transport runs");
    assert(peerId !== NONE, "a peer has an id");
    assert(peerId !== this.#local.memberId, "a member is no peer of its own");
    if (this.#peers.has(peerId)) return;
    this.#remotes.get(peerId)?.stop();
    this.#remotes.delete(peerId);
    const parts = { ...this.#partsOf(peerId, urls), receive: this.#receive };
    this.#peers.set(peerId, new Peer(parts));
    this.#log.info("added remote peer", this.#ids(peerId, { "remote-peer-urls": urls }));
  }

  /** Lets answers go to a member that the cluster has and we do not know yet. */
  addRemote(peerId: bigint, urls: readonly string[]): void {
    if (this.#isStopped || urls.length === 0 || peerId === this.#local.memberId || peerId === NONE) return;
    if (this.#peers.has(peerId) || this.#remotes.has(peerId) || this.#remotes.size >= remotesMax) return;
    this.#remotes.set(peerId, new Remote(this.#partsOf(peerId, urls)));
    this.#log.info("added new remote peer", this.#ids(peerId, { "remote-peer-urls": urls }));
  }

  updatePeer(peerId: bigint, urls: readonly string[]): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    peer.update(urls);
    this.#log.info("updated remote peer", {
      "local-member-id": formatId(this.#local.memberId),
      "updated-remote-peer-id": formatId(peerId),
      "updated-remote-peer-urls": urls,
    });
  }

  /** Closes all ways to a member; entries that are applied again at start may remove one that is not there. */
  removePeer(peerId: bigint): void {
    const peer = this.#peers.get(peerId);
    const fields = {
      "local-member-id": formatId(this.#local.memberId),
      "removed-remote-peer-id": formatId(peerId),
    };
    if (peer === undefined) {
      this.#log.warn("skipped removing already removed peer", fields);
      return;
    }
    this.#peers.delete(peerId);
    peer.stop();
    this.#log.info("removed remote peer", fields);
  }

  removeAllPeers(): void {
    for (const peerId of this.#peers.keys()) this.removePeer(peerId);
  }

  /** Monotonic time since which the peer can be reached; undefined while it cannot, or is unknown. */
  activeSince(peerId: bigint): number | undefined {
    return this.#peers.get(peerId)?.status.activeSinceMs;
  }

  /** How many peers can be reached. */
  activePeers(): number {
    let count = 0;
    for (const peer of this.#peers.values()) if (peer.status.isActive) count++;
    return count;
  }

  /** For tests: nothing goes to the peer, and what its streams bring is dropped. */
  pausePeer(peerId: bigint): void {
    this.#peers.get(peerId)?.pause(true);
  }

  resumePeer(peerId: bigint): void {
    this.#peers.get(peerId)?.pause(false);
  }

  // --------------------------------------------------------------------------------------------------------- sending

  /**
   * Sends what it can; the rest is dropped and reported as unreachable. Give all messages of a turn at once: each stream
   * gets one write. Messages to unknown members and to {@link NONE} are ignored. Snapshots go by {@link sendSnapshot}.
   *
   * @param messages - and their entries are not changed afterwards.
   */
  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === NONE) continue;
      assert(message.type !== MessageType.Snap, "a snapshot is sent with its database");
      const peer = this.#peers.get(message.to);
      if (peer === undefined) {
        this.#sendToRemote(message);
        continue;
      }
      peer.send(message);
      if (peer.needsFlush) continue;
      peer.needsFlush = true;
      this.#flushing.push(peer);
    }
    for (const peer of this.#flushing) {
      peer.needsFlush = false;
      peer.flush();
    }
    this.#flushing.length = 0;
  }

  /**
   * Sends a snapshot and its database; ends with `reportSnapshot`.
   *
   * @param message - of type `Snap`; describes the same state as `image`.
   * @param image - the transport's from now on; it closes it.
   */
  sendSnapshot(message: Message, image: SnapshotImage): void {
    assert(message.type === MessageType.Snap, "the message in front of a database is a snapshot");
    const peer = this.#peers.get(message.to);
    if (peer === undefined || peer.isPaused) {
      image.close(false);
      this.#handlers.reportSnapshot(message.to, false);
    } else {
      peer.sendSnapshot(message, image);
    }
  }

  /** Closes every connection and stops all timers. Afterwards nothing is received or reported. */
  stop(): Promise<void> {
    this.#isStopped = true;
    for (const remote of this.#remotes.values()) remote.stop();
    for (const peer of this.#peers.values()) peer.stop();
    this.#remotes.clear();
    this.#peers.clear();
    this.#dialer.close();
    return Promise.resolve();
  }

  #sendToRemote(message: Message): void {
    const remote = this.#remotes.get(message.to);
    if (remote !== undefined) {
      remote.send(message);
    } else if (this.#log.enabled("debug")) {
      this.#log.debug("ignored message send request; unknown remote peer target", {
        type: typeName(message.type),
        "unknown-target-peer-id": formatId(message.to),
      });
    }
  }

  #partsOf(peerId: bigint, urls: readonly string[]) {
    return {
      peerId,
      urls,
      local: this.#local,
      dialer: this.#dialer,
      log: this.#log,
      counters: this.metrics.of(peerId),
      handlers: this.#handlers,
    };
  }

  // ------------------------------------------------------------------------------------------------------- receiving

  /** What a stream brought. */
  readonly #receive = (message: Message): void => {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) {
      if (this.#causes.isNews(`${refusal} ${message.from}`)) {
        this.#log.warn("failed to process Raft message", { error: refusal });
      }
      return;
    }
    if (this.#handlers.receive(message)) return;
    this.metrics.of(message.from).receiveFailures++;
    // Nobody leads now, or leadership is being handed over: the member that sent it tells its client.
    if (message.type === MessageType.Prop) {
      if (!this.#causes.isNews(`proposal ${message.from}`)) return;
      return this.#log.warn("failed to process Raft message", { error: "raft proposal dropped" });
    }
    if (!this.#causes.isNews(`full ${message.from}`)) return;
    this.#log.warn("dropped internal Raft message since receiving buffer is full (overloaded network)", {
      "message-type": typeName(message.type),
      "local-member-id": formatId(this.#local.memberId),
      from: formatId(message.from),
      "remote-peer-id": formatId(message.to),
    });
  };

  /** Hands a posted message on. Answers for one that is refused, and then returns false. */
  readonly #process = (exchange: Exchange, message: Message, dropped: (reason: string) => void): boolean => {
    const refusal = this.#isStopped ? "stopped" : this.#refusal(message);
    if (refusal === removedText) {
      // 403 makes the sender stop for good: only for this reason.
      const fields: HeaderFields = [...this.#answerFields, ["Content-Type", "application/json"]];
      exchange.respond(403, fields, Buffer.from(JSON.stringify({ message: refusal })));
      return false;
    }
    if (refusal === undefined && this.#handlers.receive(message)) return true;
    dropped(refusal ?? "dropped");
    return false;
  };

  #refusal({ from, to }: Message): string | undefined {
    if (this.#handlers.isRemoved(from)) {
      if (this.#causes.isNews(`removed ${from}`)) {
        this.#log.warn("rejected Raft message from removed member", {
          "local-member-id": formatId(this.#local.memberId),
          "removed-member-id": formatId(from),
        });
      }
      return removedText;
    }
    if (to === this.#local.memberId) return undefined;
    if (this.#causes.isNews(`mismatch ${from} ${to}`)) {
      this.#log.warn("rejected Raft message to mismatch member", {
        "local-member-id": formatId(this.#local.memberId),
        "mismatch-member-id": formatId(to),
      });
    }
    return "cannot process message to mismatch member";
  }

  // ------------------------------------------------------------------------------------------------------- endpoints

  #servePipeline(exchange: Exchange): void {
    if (!onlyMethod(exchange, "POST") || !this.#isCompatible(exchange, this.#answerFields)) return;
    this.#noteSender(exchange);
    readWhole(exchange, messageBytesMax, (body) => {
      if (body === undefined) {
        this.#badMessage(exchange, "failed to read Raft message", "error reading raft message");
        return;
      }
      let message: Message;
      try {
        message = decodeMessage(body);
      } catch (error) {
        if (!(error instanceof RaftDecodeError)) throw error;
        this.#badMessage(exchange, "failed to unmarshal Raft message", "error unmarshalling raft message");
        return;
      }
      this.metrics.of(message.from).receivedBytes += body.length;
      const dropped = (): void => {
        this.metrics.of(message.from).receiveFailures++;
        respondError(exchange, 500, "error processing raft message", this.#answerFields);
      };
      if (this.#process(exchange, message, dropped)) exchange.respond(204, this.#answerFields);
    });
  }

  #badMessage(exchange: Exchange, log: string, text: string): void {
    const { from } = introducedBy(exchange);
    if (this.#causes.isNews(`${log} ${from}`)) {
      this.#log.warn(log, { "local-member-id": formatId(this.#local.memberId), error: text });
    }
    this.metrics.of(from ?? NONE).receiveFailures++;
    respondError(exchange, 400, text, this.#answerFields);
  }

  #serveSnapshot(exchange: Exchange): void {
    if (!onlyMethod(exchange, "POST") || !this.#isCompatible(exchange, this.#answerFields)) return;
    this.#noteSender(exchange);
    const receiver = new SnapshotReceiver(
      {
        platform: this.#platform,
        log: this.#log,
        localId: this.#local.memberId,
        directory: this.#snapshotDirectory,
        checkDatabase: this.#checkDatabase,
        metrics: this.metrics,
        process: this.#process,
        fields: this.#answerFields,
      },
      exchange,
    );
    receiver.start();
  }

  #serveProbe(exchange: Exchange): void {
    const now = new Date(this.#platform.clock.now()).toISOString();
    const fields: HeaderFields = [["Content-Type", "text/plain; charset=utf-8"]];
    exchange.respond(200, fields, Buffer.from(`{"OK":true,"Now":"${now}"}\n`));
  }

  /** A member asks for what we send to it. */
  #serveStream(exchange: Exchange): void {
    if (!onlyMethod(exchange, "GET")) return;
    const fields: HeaderFields = [["X-Server-Version", this.#local.serverVersion], ...this.#answerFields];
    if (!this.#isCompatible(exchange, fields)) return;
    const [, endpoint, fromText] = /^\/raft\/stream\/(.*?)\/?([^/]*)$/.exec(exchange.path) ?? [];
    const kind = streamKinds[endpoint ?? ""];
    if (kind === undefined) return respondError(exchange, 404, "invalid path", fields);
    const from = tryParseId(fromText);
    if (from === undefined) {
      this.#refuseStream("failed to parse path into ID", { path: fromText });
      return respondError(exchange, 404, "invalid from", fields);
    }
    const sender = { "remote-peer-id-from": formatId(from) };
    if (this.#handlers.isRemoved(from)) {
      this.#refuseStream("rejected stream from remote peer because it was removed", sender);
      return respondError(exchange, 410, "removed member", fields);
    }
    const peer = this.#peers.get(from);
    if (peer === undefined) {
      this.addRemote(from, introducedBy(exchange).peerUrls);
      this.#refuseStream("failed to find remote peer in cluster", {
        ...sender,
        "cluster-id": formatId(this.#local.clusterId),
      });
      return respondError(exchange, 404, "error sender not found", fields);
    }
    const to = exchange.field("x-raft-to") ?? "";
    if (to !== formatId(this.#local.memberId)) {
      this.#refuseStream("ignored streaming request; ID mismatch", { ...sender, "remote-peer-id-header": to });
      return respondError(exchange, 412, "to field mismatch", fields);
    }
    peer.writer(kind).attach(exchange.stream(fields));
  }

  #refuseStream(message: string, fields: Record<string, unknown>): void {
    if (!this.#causes.isNews(`${message} ${JSON.stringify(fields)}`)) return;
    const localId = formatId(this.#local.memberId);
    this.#log.warn(message, { "local-member-id": localId, "remote-peer-id-stream-handler": localId, ...fields });
  }

  #isCompatible(exchange: Exchange, fields: HeaderFields): boolean {
    const problem = incompatibility(exchange, this.#local, this.#log, this.#causes);
    if (problem === undefined) return true;
    respondError(exchange, 412, problem, fields);
    return false;
  }

  #noteSender(exchange: Exchange): void {
    const { from, peerUrls } = introducedBy(exchange);
    if (from !== undefined) this.addRemote(from, peerUrls);
  }

  #ids(peerId: bigint, more: Record<string, unknown>): Record<string, unknown> {
    return { "local-member-id": formatId(this.#local.memberId), "remote-peer-id": formatId(peerId), ...more };
  }
}

const streamKinds: Readonly<Record<string, StreamKind>> = { msgapp: "append", message: "message" };
