/** A binary heap of leases by due time, with places remembered so that moving one entry costs O(log n) and no garbage. */
export interface Due {
  readonly leaseId: bigint;
  dueMs: number;
  /** Place in the heap; -1 when not in it. */
  place: number;
}

export class DueHeap {
  #entries: Due[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** The entry due first. */
  peek(): Due | undefined {
    return this.#entries[0];
  }

  /** Adds the entry, or moves it when it is there already. */
  schedule(entry: Due, dueMs: number): void {
    entry.dueMs = dueMs;
    if (entry.place < 0) {
      entry.place = this.#entries.length;
      this.#entries.push(entry);
    }
    this.#sink(this.#rise(entry.place));
  }

  /** Does nothing when the entry is not there. */
  remove(entry: Due): void {
    const { place } = entry;
    if (place < 0) return;
    entry.place = -1;
    const last = this.#entries.pop()!;
    if (last === entry) return;
    this.#put(last, place);
    this.#sink(this.#rise(place));
  }

  clear(): void {
    for (const entry of this.#entries) entry.place = -1;
    this.#entries = [];
  }

  #rise(from: number): number {
    const entry = this.#entries[from];
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (this.#entries[parent].dueMs <= entry.dueMs) break;
      this.#put(this.#entries[parent], place);
      place = parent;
    }
    this.#put(entry, place);
    return place;
  }

  #sink(from: number): void {
    const entry = this.#entries[from];
    const { length } = this.#entries;
    let place = from;
    for (let child = 2 * place + 1; child < length; child = 2 * place + 1) {
      if (child + 1 < length && this.#entries[child + 1].dueMs < this.#entries[child].dueMs) child++;
      if (this.#entries[child].dueMs >= entry.dueMs) break;
      this.#put(this.#entries[child], place);
      place = child;
    }
    this.#put(entry, place);
  }

  #put(entry: Due, place: number): void {
    this.#entries[place] = entry;
    entry.place = place;
  }
}
