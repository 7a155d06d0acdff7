/** One watch: what it wants to see, how far it has seen, and whose stream it belongs to. */
import type { WatchGroup } from "./watch-group.ts";
import type { WatchStream } from "./watch-stream.ts";

export interface WatchOptions {
  /** Owned by the watcher from now on. */
  readonly key: Uint8Array;
  /** Empty: just `key`. One zero byte: every key from `key` on. Owned by the watcher from now on. */
  readonly rangeEnd: Uint8Array;
  /** First revision to show; 0: what comes after now. */
  readonly startRevision: number;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

export class Watcher {
  /** Unique within its stream. */
  readonly id: bigint;
  readonly stream: WatchStream;
  readonly options: WatchOptions;
  /** Which of the eight forms of an event batch it gets: see `EncodedEvents`. */
  readonly variant: number;
  /** As asked for; a progress answer must wait until the store has reached it. */
  readonly startRevision: number;
  /** Invariant: everything below was delivered (or did not match); nothing from here on was. */
  nextRevision: number;
  /** Gets events as they happen; otherwise it is catching up from history. */
  isSynced = false;
  isRemoved = false;
  /** Place in the index that it is in now. */
  group: WatchGroup | undefined;
  groupSlot = 0;

  constructor(id: bigint, stream: WatchStream, options: WatchOptions, nextRevision: number) {
    this.id = id;
    this.stream = stream;
    this.options = options;
    this.startRevision = options.startRevision;
    this.nextRevision = nextRevision;
    const { prevKv, noPut, noDelete } = options;
    this.variant = (prevKv ? 1 : 0) | (noPut ? 2 : 0) | (noDelete ? 4 : 0);
  }
}
