/**
 * A member that introduced itself before we knew of it: we are catching up, and it must hear our answers for that. It
 * is reached by the pipeline alone, and forgotten when it turns out to be a peer. Source: etcd rafthttp/remote.go.
 */
import type { Logger } from "../platform/logger.ts";
import type { Message } from "../wire/raft/types.ts";
import { formatId } from "../membership/member.ts";
import { CauseLog } from "./cause-log.ts";
import type { HttpDialer } from "./http1/client.ts";
import type { PeerCounters } from "./metrics.ts";
import { typeName } from "./peer.ts";
import { PeerStatus } from "./peer-status.ts";
import { Pipeline } from "./pipeline.ts";
import type { LocalMember, PeerHandlers } from "./types.ts";
import { UrlPicker } from "./url-picker.ts";

export interface RemoteParts {
  readonly peerId: bigint;
  readonly urls: readonly string[];
  readonly local: LocalMember;
  readonly dialer: HttpDialer;
  readonly log: Logger;
  readonly counters: PeerCounters;
  readonly handlers: PeerHandlers;
}

export class Remote {
  readonly #parts: RemoteParts;
  readonly #status: PeerStatus;
  readonly #pipeline: Pipeline;
  readonly #causes: CauseLog;

  constructor(parts: RemoteParts) {
    const { peerId, dialer, log, counters } = parts;
    this.#parts = parts;
    this.#causes = new CauseLog(dialer.clock);
    this.#status = new PeerStatus({ peerId, clock: dialer.clock, log, counters });
    this.#pipeline = new Pipeline({
      ...parts,
      causes: this.#causes,
      picker: new UrlPicker(parts.urls),
      status: this.#status,
    });
  }

  send(message: Message): void {
    if (this.#pipeline.push(message)) return;
    const { log, local, peerId, counters } = this.#parts;
    counters.sendFailures++;
    if (!this.#causes.isNews("full")) return;
    const which = this.#status.isActive ? "internal Raft message" : "Raft message";
    log.warn(`dropped ${which} since sending buffer is full (overloaded network)`, {
      "message-type": typeName(message.type),
      "local-member-id": formatId(local.memberId),
      from: formatId(message.from),
      "remote-peer-id": formatId(peerId),
      "remote-peer-active": this.#status.isActive,
    });
  }

  stop(): void {
    this.#pipeline.stop();
    this.#status.retire();
  }
}
