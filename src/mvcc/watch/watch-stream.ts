/** The watches of one client stream, and the rules about their ids. */
import { compareBytes } from "../../base/bytes.ts";
import { EtcdError } from "../../wire/errors.ts";
import type { WatchHub } from "./watch-hub.ts";
import type { WatchOptions, Watcher } from "./watcher.ts";

/** Where a stream's events go: the service that encodes and sends them. */
export interface WatchSink {
  /**
   * Takes the events of one watch; they are in order, complete up to and including the last revision among them, and shared:
   * nobody may change them. `revision` is what the header shows.
   */
  deliver(watcher: Watcher, revision: number, events: readonly Uint8Array[]): void;
  /**
   * The history that the watch asked for is compacted: it gets nothing any more. As in etcd its id stays taken, and the
   * stream without progress, until the client cancels it.
   */
  compacted(watcher: Watcher, compactRevision: number): void;
  /** False while so much waits to be sent that the watches should fall back to history. */
  readonly hasRoom: boolean;
}

/** Why a watch was not created; the text is what the client gets as `cancel_reason`. */
export class WatchRefused extends Error {
  override readonly name = "WatchRefused";
}

export class WatchStream {
  readonly sink: WatchSink;
  readonly watchers = new Map<bigint, Watcher>();
  readonly #hub: WatchHub;
  #nextId = 0n;

  /** Use `WatchHub.openStream`. */
  constructor(hub: WatchHub, sink: WatchSink) {
    this.#hub = hub;
    this.sink = sink;
  }

  /**
   * @param id - 0n lets the stream pick the next free one; any other is used as given.
   * @throws {WatchRefused} nothing was created.
   */
  watch(id: bigint, options: WatchOptions): Watcher {
    const { key, rangeEnd, startRevision } = options;
    const toTheEnd = rangeEnd.length === 1 && rangeEnd[0] === 0;
    if (rangeEnd.length > 0 && !toTheEnd && compareBytes(key, rangeEnd) >= 0) {
      throw new WatchRefused("mvcc: watcher range is empty");
    }
    if (startRevision < 0) throw new WatchRefused(new EtcdError("compacted").message);
    if (id !== 0n && this.watchers.has(id)) {
      throw new WatchRefused("mvcc: duplicate watch ID provided on the WatchStream");
    }
    const watcher = this.#hub.createWatcher(this, id === 0n ? this.#freeId() : id, options);
    this.watchers.set(watcher.id, watcher);
    return watcher;
  }

  /** @returns false when there is no such watch. */
  cancel(id: bigint): boolean {
    const watcher = this.watchers.get(id);
    if (watcher === undefined) return false;
    this.watchers.delete(id);
    this.#hub.removeWatcher(watcher);
    return true;
  }

  /** The sink has room again: what fell behind may catch up. */
  resume(): void {
    this.#hub.wake();
  }

  /**
   * The revision up to which this watch (or, without one, every watch of the stream) has been given everything, if that
   * is the newest one; undefined when something is still to come or its start is not reached.
   */
  progress(watcher?: Watcher): number | undefined {
    const watchers = watcher === undefined ? [...this.watchers.values()] : [watcher];
    const revision = this.#hub.currentRevision;
    if (watchers.length === 0) return undefined;
    const complete = watchers.every((one) => one.isSynced && one.startRevision <= revision);
    return complete ? revision : undefined;
  }

  /** Removes every watch. */
  close(): void {
    for (const watcher of this.watchers.values()) this.#hub.removeWatcher(watcher);
    this.watchers.clear();
    this.#hub.closeStream(this);
  }

  #freeId(): bigint {
    while (this.watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }
}
