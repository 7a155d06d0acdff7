/**
 * The answers that bring events to watchers: a head and the events, encoded.
 *
 * Watchers of one range get the same events, and as every API server opens a stream a watch, most of them under the same
 * watch id: their answers are equal byte for byte. The last one is kept, and laid out to be shared when a second one asks.
 */
import type { StreamCall } from "../../grpc/calls.ts";
import { SharedMessage, sharedMessageMax } from "../../grpc/shared-message.ts";
import { encodeWatchResponseHead } from "../../wire/hot/watch.ts";
import type { ServiceContext } from "./service-context.ts";

const noEvents: readonly Uint8Array[] = [];

export class WatchAnswers {
  readonly #context: ServiceContext;
  #events = noEvents;
  #watchId = -1n;
  /** Head and events. */
  #parts = noEvents;
  #size = 0;
  #shared: SharedMessage | undefined;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  /** @param events - of this revision; never changed afterwards. */
  send(call: StreamCall, watchId: bigint, revision: number, events: readonly Uint8Array[]): void {
    if (events !== this.#events || watchId !== this.#watchId) {
      this.#make(watchId, revision, events);
    } else if (this.#size <= sharedMessageMax) {
      this.#shared ??= new SharedMessage(this.#parts, this.#size);
      call.sendShared(this.#shared);
      return;
    }
    call.sendParts(this.#parts, this.#size);
  }

  #make(watchId: bigint, revision: number, events: readonly Uint8Array[]): void {
    const head = encodeWatchResponseHead(
      { watchId, created: false, canceled: false, compactRevision: 0, cancelReason: "", fragment: false, events },
      this.#context.header(revision),
    );
    this.#events = events;
    this.#watchId = watchId;
    this.#parts = [head, ...events];
    this.#shared = undefined;
    this.#size = head.length;
    for (const event of events) this.#size += event.length;
  }
}
