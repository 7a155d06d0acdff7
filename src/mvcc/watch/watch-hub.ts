/**
 * Delivers what happens in the store to the watchers.
 *
 * A watcher is *synced* when it has been given everything up to the current revision: it then gets each transaction at
 * its end. A watcher that starts in the past, or whose stream has no room, catches up from history (catch-up.ts) and
 * joins the synced ones when it has reached the present. So a slow client costs no memory: what it missed is read again.
 *
 * Pure: the owner calls {@link WatchHub.step} in slices while it returns true, and is told by `onWork` when to begin.
 * Behaviour follows etcd server/storage/mvcc/watchable_store.go; instead of etcd's "victims", which hold their events
 * in memory, a watcher without room is unsynced at once.
 */
import type { Change } from "../change.ts";
import type { Store } from "../store.ts";
import { CatchUpRound } from "./catch-up.ts";
import { EncodedEvents } from "./event-batch.ts";
import type { WatchGroup } from "./watch-group.ts";
import { WatchIndex } from "./watch-index.ts";
import { WatchStream, type WatchSink } from "./watch-stream.ts";
import { Watcher, type WatchOptions } from "./watcher.ts";

/** Watchers that catch up together, as many as in etcd. */
const roundWatchersMax = 512;

/** What the hub needs of the store. */
export type WatchedStore = Pick<Store, "currentRevision" | "compactRevision" | "eventsSince" | "keyValueAt">;

export class WatchHub {
  /** Events delivered since the start. */
  eventsDelivered = 0;
  /** Called when {@link step} has work again. */
  onWork: (() => void) | undefined;
  readonly #store: WatchedStore;
  readonly #synced = new WatchIndex();
  readonly #unsynced = new Set<Watcher>();
  readonly #streams = new Set<WatchStream>();
  readonly #touched: WatchGroup[] = [];
  #round: CatchUpRound | undefined;

  constructor(store: WatchedStore) {
    this.#store = store;
  }

  get currentRevision(): number {
    return this.#store.currentRevision;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get watcherCount(): number {
    return this.#synced.size + this.#unsynced.size;
  }

  /** Watchers that are behind. */
  get slowWatcherCount(): number {
    return this.#unsynced.size;
  }

  openStream(sink: WatchSink): WatchStream {
    const stream = new WatchStream(this, sink);
    this.#streams.add(stream);
    return stream;
  }

  /** For `Store.onCommit`: delivers one transaction to the synced watchers. */
  onCommit(main: number, changes: readonly Change[]): void {
    if (this.#synced.size === 0) return;
    for (let place = 0; place < changes.length; place++) this.#match(changes[place].key, place);
    if (this.#touched.length === 0) return;
    const events = new EncodedEvents(changes, (change) => this.#store.keyValueAt(change.key, change.main - 1));
    for (const group of this.#touched.splice(0)) {
      this.#deliverToGroup(group, main, events);
      group.pending = [];
    }
  }

  /**
   * The store was reloaded from a snapshot, with transactions that nobody was told of: every watcher catches up from
   * history. A history that is compacted ends the watch, as for any watcher that is behind.
   *
   * @param before - the store's revision before that: synced watchers have been given everything up to it.
   */
  resync(before: number): void {
    // What the round had read belongs to the state before; nothing of it was recorded as delivered.
    this.#round?.abandon();
    this.#round = undefined;
    for (const watcher of this.#synced.watchers()) {
      watcher.nextRevision = Math.max(watcher.nextRevision, before + 1);
      this.#synced.remove(watcher);
      this.#fallBehind(watcher);
    }
  }

  /** Use `WatchStream.watch`. */
  createWatcher(stream: WatchStream, id: bigint, options: WatchOptions): Watcher {
    const { currentRevision } = this.#store;
    const { startRevision } = options;
    const isLive = startRevision === 0 || startRevision > currentRevision;
    const watcher = new Watcher(
      id,
      stream,
      options,
      isLive ? Math.max(startRevision, currentRevision + 1) : startRevision,
    );
    if (isLive) this.#join(watcher);
    else this.#fallBehind(watcher);
    return watcher;
  }

  /** Use `WatchStream.cancel`. */
  removeWatcher(watcher: Watcher): void {
    watcher.isRemoved = true;
    if (watcher.isSynced) this.#synced.remove(watcher);
    this.#unsynced.delete(watcher);
  }

  /** Use `WatchStream.close`. */
  closeStream(stream: WatchStream): void {
    this.#streams.delete(stream);
  }

  /** Something may go on: tells the owner to call {@link step}. */
  wake(): void {
    if (this.#unsynced.size > 0) this.onWork?.();
  }

  /**
   * Reads a slice of history for watchers that are behind.
   *
   * @returns true when there is more to do now; false when all are synced or wait for room.
   */
  step(): boolean {
    this.#round ??= this.#startRound();
    if (this.#round === undefined) return false;
    if (!this.#round.step()) return true;
    const { watchers, end } = this.#round;
    this.#round = undefined;
    // Nothing else ran since the round read up to `end`: who has seen all of it is up to date if it is the present.
    const isPresent = end === this.#store.currentRevision + 1;
    for (const watcher of watchers) {
      if (isPresent && !watcher.isRemoved && watcher.nextRevision === end) this.#join(watcher);
    }
    return this.#nextEligible() !== undefined;
  }

  #match(key: Uint8Array, place: number): void {
    this.#synced.match(key, (group) => {
      if (group.pending.length === 0) this.#touched.push(group);
      group.pending.push(place);
    });
  }

  #deliverToGroup(group: WatchGroup, main: number, events: EncodedEvents): void {
    const selected: (Uint8Array[] | undefined)[] = [];
    const { watchers } = group;
    // Backwards, because a watcher that falls behind leaves the group and the last one takes its place.
    for (let slot = watchers.length - 1; slot >= 0; slot--) {
      const watcher = watchers[slot];
      if (watcher.nextRevision > main) continue;
      if (!watcher.stream.sink.hasRoom) {
        watcher.nextRevision = main;
        this.#synced.remove(watcher);
        this.#fallBehind(watcher);
        continue;
      }
      const wanted = (selected[watcher.variant] ??= events.select(group.pending, watcher.variant));
      if (wanted.length === 0) continue;
      this.eventsDelivered += wanted.length;
      watcher.stream.sink.deliver(watcher, main, wanted);
    }
  }

  #join(watcher: Watcher): void {
    this.#unsynced.delete(watcher);
    watcher.isSynced = true;
    this.#synced.add(watcher);
  }

  #fallBehind(watcher: Watcher): void {
    watcher.isSynced = false;
    this.#unsynced.add(watcher);
    this.onWork?.();
  }

  #nextEligible(): Watcher | undefined {
    for (const watcher of this.#unsynced) if (watcher.stream.sink.hasRoom) return watcher;
    return undefined;
  }

  /** Takes the watchers that have room, drops those whose start is compacted, and begins at the oldest of the rest. */
  #startRound(): CatchUpRound | undefined {
    const chosen: Watcher[] = [];
    const { compactRevision } = this.#store;
    for (const watcher of this.#unsynced) {
      if (chosen.length === roundWatchersMax) break;
      if (!watcher.stream.sink.hasRoom) continue;
      if (watcher.nextRevision < compactRevision) {
        this.removeWatcher(watcher);
        watcher.stream.sink.compacted(watcher, compactRevision);
      } else {
        chosen.push(watcher);
      }
    }
    if (chosen.length === 0) return undefined;
    return new CatchUpRound(this.#store, chosen, (count) => {
      this.eventsDelivered += count;
    });
  }
}
