/**
 * The dynamic table of HPACK (RFC 7541 section 2.3.2 and 4), the same for both directions: a ring, newest entry first.
 */
import type { HeaderField } from "./header-field.ts";

export class DynamicTable {
  /** Power of two; grows with the limit. Every entry counts at least 32 bytes, which bounds the number of them. */
  #ring: (HeaderField | undefined)[];
  #mask: number;
  /** Entries ever added; the newest is at `(#added - 1) & #mask`. */
  #added = 0;
  #count = 0;
  #size = 0;
  #sizeLimit: number;

  constructor(sizeLimit: number) {
    const capacity = capacityFor(sizeLimit);
    this.#ring = Array.from<HeaderField | undefined>({ length: capacity }).fill(undefined);
    this.#mask = capacity - 1;
    this.#sizeLimit = sizeLimit;
  }

  get count(): number {
    return this.#count;
  }

  /** Sum of the entries' sizes. Invariant: at most `sizeLimit`. */
  get size(): number {
    return this.#size;
  }

  get sizeLimit(): number {
    return this.#sizeLimit;
  }

  /** The entry at `position` from the newest, 0 to `count - 1`; undefined beyond. */
  at(position: number): HeaderField | undefined {
    if (position >= this.#count) return undefined;
    return this.#ring[(this.#added - 1 - position) & this.#mask];
  }

  /** Adds an entry, evicting the oldest ones. One larger than the whole table empties it. */
  add(field: HeaderField): void {
    this.#evictTo(this.#sizeLimit - field.size);
    if (field.size > this.#sizeLimit) return;
    this.#ring[this.#added & this.#mask] = field;
    this.#added++;
    this.#count++;
    this.#size += field.size;
  }

  /** Changes the limit, evicting what does not fit. */
  resize(sizeLimit: number): void {
    this.#evictTo(sizeLimit);
    this.#sizeLimit = sizeLimit;
    const capacity = capacityFor(sizeLimit);
    if (capacity <= this.#ring.length) return;
    const ring = Array.from<HeaderField | undefined>({ length: capacity }).fill(undefined);
    for (let position = this.#count - 1; position >= 0; position--) {
      ring[this.#count - 1 - position] = this.at(position);
    }
    this.#ring = ring;
    this.#mask = capacity - 1;
    this.#added = this.#count;
  }

  #evictTo(size: number): void {
    while (this.#size > size && this.#count > 0) {
      const oldest = (this.#added - this.#count) & this.#mask;
      this.#size -= this.#ring[oldest]!.size;
      this.#ring[oldest] = undefined;
      this.#count--;
    }
  }
}

function capacityFor(sizeLimit: number): number {
  let capacity = 8;
  while (capacity * 32 < sizeLimit) capacity *= 2;
  return capacity;
}
