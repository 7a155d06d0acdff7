/**
 * Values by sequence: what waits, found by the dense and growing number it was given (see RequestIds), taken out in about
 * the order it came.
 *
 * An open hash table with linear probing in two plain arrays. Sequences that follow each other lie next to each other, so
 * a probe rarely takes a second step. While all lie where they want to be, which is nearly always, taking one out touches
 * nothing else: a search for those that would have to move up walks over everything that waits (a tenth of the CPU time of
 * a put, with a thousand clients). The table is here in place of a `Map` for the garbage collector's sake: a `Map` that is
 * filled and emptied is copied into a new table every few hundred entries, and each old table keeps the next one alive
 * with what it held at that time. Once the first is promoted to the old generation, so is a third of everything that
 * waits, with the call and the request behind it: 240 bytes a put, until the next full collection.
 */

/** Places at first; a power of two. */
const PLACES_FIRST = 256;

export class SequenceTable<Value> {
  /** Below it there is nothing. */
  #oldest = 0;
  /** Above every sequence so far. */
  #end = 0;
  #count = 0;
  /** Of them, those that found their place taken by another. */
  #displaced = 0;
  /** Invariant: twice the entries have room, so that every probe ends. */
  #sequences = new Float64Array(PLACES_FIRST);
  #values: (Value | undefined)[] = Array.from({ length: PLACES_FIRST }, () => undefined);

  get size(): number {
    return this.#count;
  }

  /** @param sequence - above all that were added before. */
  add(sequence: number, value: Value): void {
    if (this.#count * 2 >= this.#values.length) this.#grow();
    if (this.#count === 0) this.#oldest = sequence;
    this.#end = sequence + 1;
    this.#count++;
    this.#put(sequence, value);
  }

  has(sequence: number): boolean {
    return this.#placeOf(sequence) >= 0;
  }

  /** Takes a value out; undefined when there is none. */
  take(sequence: number): Value | undefined {
    const place = this.#placeOf(sequence);
    if (place < 0) return undefined;
    const value = this.#values[place];
    this.#count--;
    if (this.#displaced === 0) this.#values[place] = undefined;
    else this.#close(place);
    return value;
  }

  /** The oldest sequence that has a value, or -1. What lies before it is passed once, not each time. */
  oldest(): number {
    if (this.#count === 0) return -1;
    while (this.#oldest < this.#end && !this.has(this.#oldest)) this.#oldest++;
    return this.#oldest;
  }

  get(sequence: number): Value | undefined {
    const place = this.#placeOf(sequence);
    return place < 0 ? undefined : this.#values[place];
  }

  #placeOf(sequence: number): number {
    const mask = this.#values.length - 1;
    for (let place = sequence & mask; this.#values[place] !== undefined; place = (place + 1) & mask) {
      if (this.#sequences[place] === sequence) return place;
    }
    return -1;
  }

  #put(sequence: number, value: Value): void {
    const mask = this.#values.length - 1;
    let place = sequence & mask;
    while (this.#values[place] !== undefined) place = (place + 1) & mask;
    if (place !== (sequence & mask)) this.#displaced++;
    this.#sequences[place] = sequence;
    this.#values[place] = value;
  }

  /** Empties a place; entries behind it that were pushed on from at or before it move up, so that probes find them. */
  #close(place: number): void {
    const mask = this.#values.length - 1;
    let hole = place;
    if ((this.#sequences[place] & mask) !== place) this.#displaced--;
    for (let at = (hole + 1) & mask; this.#values[at] !== undefined; at = (at + 1) & mask) {
      const wanted = this.#sequences[at] & mask;
      // How far the entry is from where it wants to be, against how far the hole is.
      if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
      if (wanted === hole) this.#displaced--;
      this.#sequences[hole] = this.#sequences[at];
      this.#values[hole] = this.#values[at];
      hole = at;
    }
    this.#values[hole] = undefined;
  }

  #grow(): void {
    const sequences = this.#sequences;
    const values = this.#values;
    this.#displaced = 0;
    this.#sequences = new Float64Array(values.length * 2);
    this.#values = Array.from({ length: values.length * 2 }, () => undefined);
    for (const [place, value] of values.entries()) if (value !== undefined) this.#put(sequences[place], value);
  }
}
