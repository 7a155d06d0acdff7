/**
 * Messages posted one by one, for a peer whose streams are not attached (yet): a few requests at a time, a short queue.
 * Source: etcd rafthttp/pipeline.go.
 */
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import { encodeMessage } from "../wire/raft/message-codec.ts";
import type { Message } from "../wire/raft/types.ts";
import type { CauseLog } from "./cause-log.ts";
import type { HttpDialer } from "./http1/client.ts";
import { fetchWhole } from "./http1/fetch.ts";
import { introduction } from "./introduction.ts";
import { pipelineConcurrency, pipelineQueueMax, pipelineTimeoutMs, smallBodyBytesMax } from "./limits.ts";
import type { PeerCounters } from "./metrics.ts";
import type { PeerStatus } from "./peer-status.ts";
import { postProblem, RemovedError } from "./post.ts";
import type { LocalMember, PeerHandlers } from "./types.ts";
import type { UrlPicker } from "./url-picker.ts";

export interface PipelineParts {
  readonly local: LocalMember;
  readonly peerId: bigint;
  readonly dialer: HttpDialer;
  readonly log: Logger;
  readonly causes: CauseLog;
  readonly picker: UrlPicker;
  readonly status: PeerStatus;
  readonly counters: PeerCounters;
  readonly handlers: PeerHandlers;
}

export class Pipeline {
  readonly #parts: PipelineParts;
  #queue: Message[] = [];
  #posting = 0;
  #isStopped = false;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    parts.log.info("started HTTP pipelining with remote peer", this.#fields());
  }

  /** False when the queue is full. */
  push(message: Message): boolean {
    if (this.#queue.length >= pipelineQueueMax) return false;
    this.#queue.push(message);
    if (this.#posting < pipelineConcurrency) void this.#work();
    return true;
  }

  /** What is queued is dropped; what is under way ends unheard. */
  stop(): void {
    this.#isStopped = true;
    this.#queue = [];
    this.#parts.log.info("stopped HTTP pipelining with remote peer", this.#fields());
  }

  /** One of the workers: posts until the queue is empty. Never rejects. */
  async #work(): Promise<void> {
    this.#posting++;
    for (let message = this.#queue.shift(); message !== undefined; message = this.#queue.shift()) {
      const error = await this.#post(encodeMessage(message));
      if (this.#isStopped) break;
      if (error === undefined) this.#parts.status.activate();
      else this.#failed(error);
    }
    this.#posting--;
  }

  async #post(body: Uint8Array): Promise<Error | undefined> {
    const { local, peerId, dialer, log, causes, picker, counters } = this.#parts;
    const url = picker.pick();
    const fields = [["Content-Type", "application/protobuf"], ...introduction(local)] as const;
    const limits = { timeoutMs: pipelineTimeoutMs, bodyBytesMax: smallBodyBytesMax };
    try {
      const response = await fetchWhole(dialer, { method: "POST", base: url, path: "/raft", fields, body }, limits);
      const problem = postProblem(response, { local, peerId, log, causes, url: `${url.origin}/raft` });
      if (problem === undefined) counters.sentBytes += body.length;
      else picker.unreachable(url);
      return problem;
    } catch (error) {
      picker.unreachable(url);
      return error as Error;
    }
  }

  #failed(error: Error): void {
    const { peerId, status, counters, handlers } = this.#parts;
    status.deactivate("write", "pipeline", error.message);
    if (error instanceof RemovedError) handlers.removedFromCluster(error);
    handlers.reportUnreachable(peerId);
    counters.sendFailures++;
  }

  #fields(): Record<string, string> {
    return {
      "local-member-id": formatId(this.#parts.local.memberId),
      "remote-peer-id": formatId(this.#parts.peerId),
    };
  }
}
