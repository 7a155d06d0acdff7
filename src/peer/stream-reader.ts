/**
 * The receiving half of a stream: we dial the peer and what it sends flows in the body of its answer, for ever. What
 * ends is dialed again, at most ten times a second, with the peer's next URL after a failure.
 *
 *     GET /raft/stream/message/<own id>  ─►  200, chunked: messages, and a heartbeat of the link at least every 5/3 s
 *
 * Source: etcd rafthttp/stream.go, `streamReader`.
 */
import { copyBytes } from "../base/bytes.ts";
import { formatId } from "../membership/member.ts";
import type { Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { NetworkError } from "../platform/network.ts";
import { RaftDecodeError } from "../wire/raft/reader.ts";
import type { Message } from "../wire/raft/types.ts";
import { CauseLog } from "./cause-log.ts";
import type { HttpDialer, HttpExchange } from "./http1/client.ts";
import type { ResponseHead } from "./http1/head.ts";
import {
  announcedVersion,
  clusterIdMismatchText,
  hasStreams,
  incompatibleVersionText,
  introduction,
} from "./introduction.ts";
import { connectionTimeoutMs, redialMs, streamAnswerMs, watchPeriodMs } from "./limits.ts";
import type { PeerCounters } from "./metrics.ts";
import type { PeerStatus } from "./peer-status.ts";
import { removedError } from "./post.ts";
import { isLinkHeartbeat, SizeLimitError, type StreamDecoder } from "./stream-codec.ts";
import type { LocalMember } from "./types.ts";
import type { UrlPicker } from "./url-picker.ts";

/** Longest text of a refusal that is read. */
const refusalBytesMax = 1024;

export interface StreamReaderParts {
  readonly local: LocalMember;
  readonly peerId: bigint;
  /** etcd's name in logs: `stream Message`, `stream MsgApp v2`. */
  readonly name: string;
  /** `/raft/stream/message`, `/raft/stream/msgapp`. */
  readonly endpoint: string;
  readonly makeDecoder: () => StreamDecoder;
  readonly dialer: HttpDialer;
  readonly log: Logger;
  readonly picker: UrlPicker;
  readonly status: PeerStatus;
  readonly counters: PeerCounters;
  readonly receive: (message: Message) => void;
  readonly removedFromCluster: (error: Error) => void;
}

export class StreamReader {
  /** Drops what comes; for tests of a cut network. */
  isPaused = false;
  readonly #parts: StreamReaderParts;
  readonly #causes: CauseLog;
  readonly #watch: Timer;
  #exchange: HttpExchange | undefined;
  #decoder: StreamDecoder | undefined;
  #redial: Timer | undefined;
  #dialedMs = 0;
  #isStopped = false;

  constructor(parts: StreamReaderParts) {
    this.#parts = parts;
    this.#causes = new CauseLog(parts.dialer.clock);
    this.#watch = parts.dialer.clock.setTicker(this.#checkLife, watchPeriodMs);
    parts.log.info("started stream reader with remote peer", this.#fields());
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    this.#watch.cancel();
    this.#redial?.cancel();
    this.#exchange?.cancel();
    this.#exchange = undefined;
    this.#decoder = undefined;
    this.#parts.log.info("stopped stream reader with remote peer", this.#fields());
  }

  #dial(): void {
    const { local, peerId, dialer, endpoint, picker } = this.#parts;
    const url = picker.pick();
    this.#dialedMs = dialer.clock.monotonic();
    let refusal: ResponseHead | undefined;
    let refusalText = "";
    this.#exchange = dialer.send(
      {
        method: "GET",
        base: url,
        path: `${endpoint}/${formatId(local.memberId)}`,
        fields: [...introduction(local), ["X-Raft-To", formatId(peerId)]],
      },
      {
        head: (head) => {
          if (head.status === 200 && this.#fits(head)) this.#establish();
          else refusal = head;
        },
        data: (view) => {
          if (refusal === undefined) this.#receive(view);
          else if (refusalText.length < refusalBytesMax) refusalText += Buffer.from(view).toString("utf8");
          // An older server may answer with a stream that never ends.
          if (refusal?.status === 200) this.#exchange?.fail(new NetworkError("EPROTO", "unsupported stream type"));
        },
        ended: () => {
          if (refusal !== undefined) this.#refused(url, refusal, refusalText);
          else this.#lost(undefined);
        },
        failed: (error) => {
          if (this.#decoder !== undefined) return this.#lost(error);
          picker.unreachable(url);
          this.#dialFailed(error.message);
        },
      },
    );
  }

  #fits(head: ResponseHead): boolean {
    const version = announcedVersion(head.fields.get("x-server-version"));
    return version !== undefined && hasStreams(version, this.#parts.local);
  }

  #establish(): void {
    this.#decoder = this.#parts.makeDecoder();
    this.#causes.clear();
    this.#parts.status.activate();
    this.#parts.log.info("established TCP streaming connection with remote peer", this.#fields());
  }

  #receive(view: Uint8Array): void {
    const { counters } = this.#parts;
    counters.receivedBytes += view.length;
    try {
      this.#decoder?.push(copyBytes(view), this.#deliver);
    } catch (error) {
      if (!(error instanceof RaftDecodeError || error instanceof SizeLimitError)) throw error;
      this.#exchange?.fail(error);
    }
  }

  readonly #deliver = (message: Message): void => {
    if (this.isPaused || this.#isStopped || isLinkHeartbeat(message)) return;
    this.#parts.receive(message);
  };

  /** A stream that was established has ended: by the peer's will without an error. */
  #lost(error: Error | undefined): void {
    const reason = error?.message ?? "EOF";
    this.#decoder = undefined;
    this.#parts.log.warn("lost TCP streaming connection with remote peer", { ...this.#fields(), error: reason });
    const isClosed = error === undefined || (error instanceof NetworkError && error.code === "ECONNRESET");
    if (!isClosed) this.#parts.status.deactivate("read", this.#parts.name, reason);
    this.#dialAgain();
  }

  #refused(url: URL, head: ResponseHead, text: string): void {
    const { local, peerId, picker } = this.#parts;
    picker.unreachable(url);
    if (head.status === 410) {
      this.#parts.removedFromCluster(removedError());
      return this.#dialFailed(removedError().message);
    }
    if (head.status === 404) {
      return this.#dialFailed(`peer ${formatId(peerId)} failed to find local node ${formatId(local.memberId)}`);
    }
    if (head.status !== 412) return this.#dialFailed(`unhandled http status ${head.status}`);
    this.#dialFailed(this.#preconditionFailed(head, text.replace(/\n$/, "")));
  }

  #preconditionFailed(head: ResponseHead, text: string): string {
    const { local, peerId, log } = this.#parts;
    const ids = { "remote-peer-id": formatId(peerId), "local-member-id": formatId(local.memberId), error: text };
    if (text === incompatibleVersionText) {
      if (this.#causes.isNews(text)) {
        log.warn("request sent was ignored by remote peer due to server version incompatibility", ids);
      }
      return text;
    }
    if (text !== clusterIdMismatchText) return `unhandled error ${JSON.stringify(text)} when precondition failed`;
    if (this.#causes.isNews(text)) {
      log.warn("request sent was ignored by remote peer due to cluster ID mismatch", {
        ...ids,
        "remote-peer-cluster-id": head.fields.get("x-etcd-cluster-id") ?? "",
        "local-member-cluster-id": formatId(local.clusterId),
      });
    }
    return text;
  }

  #dialFailed(reason: string): void {
    this.#parts.status.deactivate("dial", this.#parts.name, reason);
    this.#dialAgain();
  }

  #dialAgain(): void {
    this.#exchange = undefined;
    if (this.#isStopped) return;
    const { clock } = this.#parts.dialer;
    const waitMs = Math.max(0, this.#dialedMs + redialMs - clock.monotonic());
    this.#redial = clock.setTimer(() => this.#dial(), waitMs);
  }

  /** Covers a peer that accepts and says nothing as well as a stream that went silent. */
  readonly #checkLife = (): void => {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.isDialing) return;
    const limitMs = this.#decoder === undefined ? streamAnswerMs : connectionTimeoutMs;
    if (this.#parts.dialer.clock.monotonic() - exchange.lastReceivedMs < limitMs) return;
    exchange.fail(new NetworkError("ETIMEDOUT", "i/o timeout"));
  };

  #fields(): Record<string, string> {
    return {
      "stream-reader-type": this.#parts.name,
      "local-member-id": formatId(this.#parts.local.memberId),
      "remote-peer-id": formatId(this.#parts.peerId),
    };
  }
}
