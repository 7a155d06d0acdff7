/**
 * The answer that brings events to a watcher: a head and the events, encoded.
 *
 * Watchers of one range get the same events, and as every API server opens a stream a watch, most of them under the same
 * watch id: their answers are equal byte for byte. The last one is kept and given again to whoever gets the same.
 */
import { encodeWatchResponseHead } from "../../wire/hot/watch.ts";
import type { ServiceContext } from "./service-context.ts";

/** Parts of a message in order, not to be changed. */
export interface WatchAnswer {
  readonly parts: readonly Uint8Array[];
  readonly size: number;
}

const noEvents: readonly Uint8Array[] = [];

export class WatchAnswers {
  readonly #context: ServiceContext;
  #events = noEvents;
  #watchId = -1n;
  #answer: WatchAnswer = { parts: noEvents, size: 0 };

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  /** @param events - of this revision; never changed afterwards. */
  of(watchId: bigint, revision: number, events: readonly Uint8Array[]): WatchAnswer {
    if (events !== this.#events || watchId !== this.#watchId) {
      this.#events = events;
      this.#watchId = watchId;
      this.#answer = this.#make(watchId, revision, events);
    }
    return this.#answer;
  }

  #make(watchId: bigint, revision: number, events: readonly Uint8Array[]): WatchAnswer {
    const head = encodeWatchResponseHead(
      { watchId, created: false, canceled: false, compactRevision: 0, cancelReason: "", fragment: false, events },
      this.#context.header(revision),
    );
    let size = head.length;
    for (const event of events) size += event.length;
    return { parts: [head, ...events], size };
  }
}
