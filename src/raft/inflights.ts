/**
 * The appends sent to a follower and not yet acknowledged, limited by count and by bytes: a ring of (index of the last
 * entry, bytes). Mirrors etcd-io/raft tracker/inflights.go.
 *
 * ```text
 *   ring   [ .  .  5  9  12  .  . ]     freeTo(9) leaves only 12
 *                  ^start, count 3
 * ```
 */
import { assert } from "../base/assert.ts";

export class Inflights {
  /** Most messages in the window. */
  readonly countMax: number;
  /**
   * The window is full from this many bytes on; one message may cross the line. `Infinity`: no limit.
   */
  readonly bytesMax: number;

  #indexes: number[] = [];
  #sizes: number[] = [];
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    assert(countMax > 0, "a window holds at least one message");
    assert(bytesMax > 0, "a window holds at least one byte");
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True when nothing more may be sent for now. */
  get full(): boolean {
    return this.#count === this.countMax || this.#bytes >= this.bytesMax;
  }

  /** Records a message that ends at `index`. Indexes come in ascending order; the window must not be full. */
  add(index: number, bytes: number): void {
    assert(!this.full, "no message is added to a full window");
    if (this.#count === this.#indexes.length) this.#grow();
    const position = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[position] = index;
    this.#sizes[position] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Forgets the messages that end at or before `index`. */
  freeTo(index: number): void {
    while (this.#count > 0 && this.#indexes[this.#start] <= index) {
      this.#bytes -= this.#sizes[this.#start];
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#count--;
    }
    assert(this.#bytes >= 0, "bytes in flight are not negative");
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  clone(): Inflights {
    const copy = new Inflights(this.countMax, this.bytesMax);
    for (let i = 0; i < this.#count; i++) {
      const position = (this.#start + i) % this.#indexes.length;
      copy.#append(this.#indexes[position], this.#sizes[position]);
    }
    return copy;
  }

  #append(index: number, bytes: number): void {
    this.#indexes.push(index);
    this.#sizes.push(bytes);
    this.#count++;
    this.#bytes += bytes;
  }

  /** Doubles the ring on demand, so that a process with many idle followers pays little. */
  #grow(): void {
    const size = Math.min(Math.max(1, this.#count * 2), this.countMax);
    const indexes: number[] = [];
    const sizes: number[] = [];
    for (let i = 0; i < size; i++) {
      const from = (this.#start + i) % Math.max(1, this.#count);
      indexes.push(i < this.#count ? this.#indexes[from] : 0);
      sizes.push(i < this.#count ? this.#sizes[from] : 0);
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
