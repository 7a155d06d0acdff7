/**
 * Sorts many keys by eight of their bytes at once: least significant digit first, so that every pass runs through memory
 * in order. Digits that are the same in all keys cost no pass. For {@link sortSlots}.
 */

/** Six digits of 11 bits cover the 64, the upper one of each word having 10. */
const digitBits = 11;
const digitMask = (1 << digitBits) - 1;
const digitShifts = [0, 11, 22];

/** Units of work, of about 10 ns, between two yields. */
export const unitsPerStep = 100_000;
const elementsPerStep = unitsPerStep >>> 1;

export class RadixSorter {
  /** Bytes 0 to 3 and 4 to 7 of each key's window, big endian; filled by the caller in `[0, length)`. */
  high: Uint32Array;
  low: Uint32Array;
  slots: Uint32Array;
  #otherHigh: Uint32Array;
  #otherLow: Uint32Array;
  #otherSlots: Uint32Array;
  readonly #counts = new Uint32Array(1 << digitBits);

  constructor(lengthMax: number) {
    this.high = new Uint32Array(lengthMax);
    this.low = new Uint32Array(lengthMax);
    this.slots = new Uint32Array(lengthMax);
    this.#otherHigh = new Uint32Array(lengthMax);
    this.#otherLow = new Uint32Array(lengthMax);
    this.#otherSlots = new Uint32Array(lengthMax);
  }

  /** Sorts `[0, length)` of the three arrays, which may be other arrays afterwards. */
  *sort(length: number): Generator<undefined, void, undefined> {
    for (const ofHigh of [false, true]) {
      for (const shift of digitShifts) {
        const words = ofHigh ? this.high : this.low;
        this.#counts.fill(0);
        for (let start = 0; start < length; start += elementsPerStep) {
          this.#count(words, shift, start, Math.min(length, start + elementsPerStep));
          yield;
        }
        if (this.#counts[(words[0] >>> shift) & digitMask] === length) continue;
        this.#countsToPlaces();
        for (let start = 0; start < length; start += elementsPerStep) {
          this.#distribute(words, shift, start, Math.min(length, start + elementsPerStep));
          yield;
        }
        this.#swapArrays();
      }
    }
  }

  #count(words: Uint32Array, shift: number, start: number, end: number): void {
    const counts = this.#counts;
    for (let index = start; index < end; index++) counts[(words[index] >>> shift) & digitMask]++;
  }

  #countsToPlaces(): void {
    const counts = this.#counts;
    let place = 0;
    for (let digit = 0; digit < counts.length; digit++) {
      const count = counts[digit];
      counts[digit] = place;
      place += count;
    }
  }

  #distribute(words: Uint32Array, shift: number, start: number, end: number): void {
    const places = this.#counts;
    const { high, low, slots } = this;
    const otherHigh = this.#otherHigh;
    const otherLow = this.#otherLow;
    const otherSlots = this.#otherSlots;
    for (let index = start; index < end; index++) {
      const place = places[(words[index] >>> shift) & digitMask]++;
      otherHigh[place] = high[index];
      otherLow[place] = low[index];
      otherSlots[place] = slots[index];
    }
  }

  #swapArrays(): void {
    [this.high, this.#otherHigh] = [this.#otherHigh, this.high];
    [this.low, this.#otherLow] = [this.#otherLow, this.low];
    [this.slots, this.#otherSlots] = [this.#otherSlots, this.slots];
  }
}
