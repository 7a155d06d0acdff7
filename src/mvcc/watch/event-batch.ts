/**
 * The events of one piece of history in the forms that watchers ask for: with or without the previous pair, without
 * puts, without deletes. Each event is encoded at most once a form and shared by all watchers that get it.
 */
import { encodeEvent } from "../../wire/hot/watch.ts";
import { EventType } from "../../wire/hot/types.ts";
import type { Change } from "../change.ts";

const withPrevious = 1;
const withoutPuts = 2;
const withoutDeletes = 4;

/** Looks up the pair that a change replaced; undefined when there is none or it is compacted. */
export type PreviousLookup = (change: Change) => Uint8Array | undefined;

export class EncodedEvents {
  readonly #changes: readonly Change[];
  readonly #previous: PreviousLookup;
  readonly #plain: (Uint8Array | undefined)[] = [];
  readonly #complete: (Uint8Array | undefined)[] = [];

  constructor(changes: readonly Change[], previous: PreviousLookup) {
    this.#changes = changes;
    this.#previous = previous;
  }

  /** The events of `places` (indexes into the changes) that a watcher of `variant` wants to see; maybe none. */
  select(places: readonly number[], variant: number): Uint8Array[] {
    const events: Uint8Array[] = [];
    for (const place of places) {
      if (isWanted(this.#changes[place], variant)) events.push(this.event(place, variant));
    }
    return events;
  }

  event(place: number, variant: number): Uint8Array {
    const complete = (variant & withPrevious) !== 0;
    const encoded = complete ? this.#complete : this.#plain;
    return (encoded[place] ??= this.#encode(this.#changes[place], complete));
  }

  #encode(change: Change, complete: boolean): Uint8Array {
    const type = change.kind === "put" ? EventType.Put : EventType.Delete;
    return encodeEvent(type, change.kv, complete && !change.isCreate ? this.#previous(change) : undefined);
  }
}

export function isWanted(change: Change, variant: number): boolean {
  return (variant & (change.kind === "put" ? withoutPuts : withoutDeletes)) === 0;
}
