/**
 * One round of catching up: reads history once, from the oldest revision that any of its watchers needs to the present,
 * and gives each watcher its part. Works in slices; what a watcher has been given is recorded at whole revisions, so it
 * may leave the round at any slice and go on later without a gap or a repetition.
 */
import { EtcdError } from "../../wire/errors.ts";
import type { Change, Revision } from "../change.ts";
import { EncodedEvents, isWanted } from "./event-batch.ts";
import type { WatchedStore } from "./watch-hub.ts";
import { WatchIndex } from "./watch-index.ts";
import type { Watcher } from "./watcher.ts";

/** Rows looked at in one slice; about a millisecond. */
const sliceRowsMax = 1000;
/** Their pairs, beyond which a slice ends early: large values must not add up to a response that no client takes. */
const sliceBytesMax = 2 * 1024 * 1024;
/** Different revisions in one response at most, as in etcd. */
const responseRevisionsMax = 1000;
/** Event bytes gathered for one watcher before they are handed on. */
const responseBytesMax = 512 * 1024;
/** Event bytes gathered for all watchers of a round before all are handed on. */
const roundBytesMax = 16 * 1024 * 1024;

/** Events gathered for one watcher, not yet delivered. */
class Gathered {
  events: Uint8Array[] = [];
  bytes = 0;
  revisions = 0;
  lastMain = 0;

  add(event: Uint8Array, main: number): void {
    this.events.push(event);
    this.bytes += event.length;
    if (main === this.lastMain) return;
    this.lastMain = main;
    this.revisions++;
  }
}

export class CatchUpRound {
  readonly watchers: readonly Watcher[];
  /** Everything below this revision is read when the round is over. */
  readonly end: number;
  readonly #store: WatchedStore;
  readonly #index = new WatchIndex();
  readonly #gathered = new Map<Watcher, Gathered>();
  readonly #delivered: (count: number) => void;
  #at: Revision;

  constructor(store: WatchedStore, watchers: readonly Watcher[], delivered: (count: number) => void) {
    this.#store = store;
    this.#delivered = delivered;
    this.watchers = watchers;
    this.end = store.currentRevision + 1;
    let oldest = this.end;
    for (const watcher of watchers) {
      oldest = Math.min(oldest, watcher.nextRevision);
      this.#index.add(watcher);
      this.#gathered.set(watcher, new Gathered());
    }
    this.#at = { main: oldest, sub: 0 };
  }

  /** Lets its watchers go without giving them what was gathered. */
  abandon(): void {
    this.#leave();
  }

  /** Reads a slice. @returns true when the round is over. */
  step(): boolean {
    const changes: Change[] = [];
    let bytes = 0;
    let next: Revision | undefined;
    try {
      next = this.#store.eventsSince(this.#at, this.end, sliceRowsMax, (change) => {
        changes.push(change);
        bytes += change.kv.length;
        return bytes < sliceBytesMax;
      });
    } catch (error) {
      // Compacted in the meantime: the next round tells the watchers that are concerned.
      if (error instanceof EtcdError && error.reason === "compacted") return this.#leave();
      throw error;
    }
    if (next !== undefined) next = this.#cutAtRevision(changes, next);
    this.#gather(changes);
    const reached = next?.main ?? this.end;
    const isDue = next === undefined || this.#gatheredBytes() >= roundBytesMax;
    for (const watcher of this.watchers) this.#advance(watcher, reached, isDue);
    if (next === undefined) return this.#leave();
    this.#at = next;
    return this.watchers.every((watcher) => watcher.group === undefined) ? this.#leave() : false;
  }

  /** When the slice ended inside a revision, its changes so far wait for the next slice. */
  #cutAtRevision(changes: Change[], next: Revision): Revision {
    if (next.sub === 0) return next;
    const from = changes.findIndex((change) => change.main === next.main);
    // A transaction larger than a slice: read on from where it stopped, and deliver when it is whole.
    if (from <= 0) return next;
    changes.length = from;
    return { main: next.main, sub: 0 };
  }

  #gather(changes: readonly Change[]): void {
    const encoded = new EncodedEvents(changes, (change) => this.#store.keyValueAt(change.key, change.main - 1));
    for (let place = 0; place < changes.length; place++) {
      const change = changes[place];
      this.#index.match(change.key, (group) => {
        for (const watcher of group.watchers) {
          if (change.main < watcher.nextRevision || !isWanted(change, watcher.variant)) continue;
          this.#gathered.get(watcher)!.add(encoded.event(place, watcher.variant), change.main);
        }
      });
    }
  }

  #gatheredBytes(): number {
    let bytes = 0;
    for (const gathered of this.#gathered.values()) bytes += gathered.bytes;
    return bytes;
  }

  /** Hands on what is enough for a response, or everything when due; a watcher without room leaves the round. */
  #advance(watcher: Watcher, reached: number, isDue: boolean): void {
    if (watcher.group === undefined) return;
    const gathered = this.#gathered.get(watcher)!;
    if (watcher.isRemoved) {
      this.#index.remove(watcher);
      return;
    }
    const isFull = gathered.revisions >= responseRevisionsMax || gathered.bytes >= responseBytesMax;
    if (gathered.events.length > 0 && !isDue && !isFull) return;
    // A transaction that is not complete yet must not be cut.
    if (gathered.events.length > 0 && gathered.lastMain >= reached) return;
    if (gathered.events.length > 0) {
      this.#delivered(gathered.events.length);
      watcher.stream.sink.deliver(watcher, this.#store.currentRevision, gathered.events);
      this.#gathered.set(watcher, new Gathered());
    }
    watcher.nextRevision = Math.max(watcher.nextRevision, reached);
    if (!watcher.stream.sink.hasRoom) this.#index.remove(watcher);
  }

  #leave(): true {
    for (const watcher of this.watchers) if (watcher.group !== undefined) this.#index.remove(watcher);
    return true;
  }
}
