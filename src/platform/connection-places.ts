/**
 * How many accepted connections may be open at a time. Files and sockets share one limit of the process: without room kept
 * free, clients that only connect would keep the member from opening its next log segment.
 *
 * @see etcd server/embed/etcd.go, `reservedInternalFDNum` and `LimitListener`. Go's listener leaves the client in the
 *   kernel's queue; here it is closed at once, which a client library answers with the next endpoint.
 */
import { assert } from "../base/assert.ts";

/** Refusals are told of again once so much is free. */
const calmShare = 0.9;

export class ConnectionPlaces {
  readonly #max: number;
  readonly #onFull: () => void;
  /** Invariant: 0 <= taken <= max. */
  #taken = 0;
  #isToldOf = false;

  /** @param onFull - called for the first connection that finds no place, and again only after many have left. */
  constructor(max: number, onFull: () => void) {
    assert(max > 0, "nobody could connect");
    this.#max = max;
    this.#onFull = onFull;
  }

  get taken(): number {
    return this.#taken;
  }

  /** False when there is no place; else {@link free} must be called once. */
  take(): boolean {
    if (this.#taken < this.#max) {
      this.#taken++;
      return true;
    }
    if (!this.#isToldOf) {
      this.#isToldOf = true;
      this.#onFull();
    }
    return false;
  }

  free(): void {
    assert(this.#taken > 0, "a place is given back once");
    this.#taken--;
    if (this.#taken < this.#max * calmShare) this.#isToldOf = false;
  }
}
