/**
 * The sorting of Go's `sort.Sort`: pattern-defeating quicksort, not stable but deterministic. Clients see in which order
 * equal elements come out of a sorted range, and members and versions of etcd agree on it; so do we.
 *
 * The algorithm, as Go 1.19 and later have it: insertion sort up to 12 elements; pivot by median of three or of medians
 * (Tukey's ninther) with the swaps counted, to notice ascending and descending input; partial insertion sort when the
 * input looks sorted; elements shuffled by a xorshift seeded with the length when partitions come out unbalanced;
 * heapsort when that happens too often. See Go's src/sort/zsortinterface.go and Orson Peters' pdqsort.
 */

const insertionMax = 12;
const nintherMin = 50;

type Hint = "unknown" | "increasing" | "decreasing";

/** Sorts `items` in place as Go would with `less`. */
export function goSort<Item>(items: Item[], less: (a: Item, b: Item) => boolean): void {
  new PatternDefeatingSort(items, less).sort(0, items.length, 32 - Math.clz32(items.length));
}

class PatternDefeatingSort<Item> {
  readonly #items: Item[];
  readonly #lessThan: (a: Item, b: Item) => boolean;
  /** Outputs of the pivot choice and of partitioning, beside the place they return. */
  #hint: Hint = "unknown";
  #wasPartitioned = false;
  #swaps = 0;

  constructor(items: Item[], less: (a: Item, b: Item) => boolean) {
    this.#items = items;
    this.#lessThan = less;
  }

  sort(from: number, to: number, badAllowed: number): void {
    let start = from;
    let end = to;
    let limit = badAllowed;
    let wasBalanced = true;
    let wasPartitioned = true;
    for (;;) {
      const length = end - start;
      if (length <= insertionMax) {
        this.#insertionSort(start, end);
        return;
      }
      if (limit === 0) {
        this.#heapSort(start, end);
        return;
      }
      if (!wasBalanced) {
        this.#breakPatterns(start, end);
        limit--;
      }
      let pivot = this.#choosePivot(start, end);
      let hint = this.#hint;
      if (hint === "decreasing") {
        this.#reverse(start, end);
        pivot = end - 1 - (pivot - start);
        hint = "increasing";
      }
      if (wasBalanced && wasPartitioned && hint === "increasing" && this.#partialInsertionSort(start, end)) return;
      // Equal to the pivot on the left of this part: everything equal goes to the front and is done.
      if (start > 0 && !this.#less(start - 1, pivot)) {
        start = this.#partitionEqual(start, end, pivot);
        continue;
      }
      const middle = this.#partition(start, end, pivot);
      wasPartitioned = this.#wasPartitioned;
      const left = middle - start;
      const right = end - middle;
      const balanced = Math.floor(length / 8);
      if (left < right) {
        wasBalanced = left >= balanced;
        this.sort(start, middle, limit);
        start = middle + 1;
      } else {
        wasBalanced = right >= balanced;
        this.sort(middle + 1, end, limit);
        end = middle;
      }
    }
  }

  #less(a: number, b: number): boolean {
    return this.#lessThan(this.#items[a], this.#items[b]);
  }

  #swap(a: number, b: number): void {
    const item = this.#items[a];
    this.#items[a] = this.#items[b];
    this.#items[b] = item;
  }

  #reverse(start: number, end: number): void {
    for (let low = start, high = end - 1; low < high; low++, high--) this.#swap(low, high);
  }

  #insertionSort(start: number, end: number): void {
    for (let index = start + 1; index < end; index++) {
      for (let place = index; place > start && this.#less(place, place - 1); place--) this.#swap(place, place - 1);
    }
  }

  #heapSort(start: number, end: number): void {
    const length = end - start;
    for (let root = (length - 1) >> 1; root >= 0; root--) this.#siftDown(root, length, start);
    for (let last = length - 1; last >= 0; last--) {
      this.#swap(start, start + last);
      this.#siftDown(0, last, start);
    }
  }

  #siftDown(from: number, length: number, first: number): void {
    let root = from;
    for (;;) {
      let child = 2 * root + 1;
      if (child >= length) return;
      if (child + 1 < length && this.#less(first + child, first + child + 1)) child++;
      if (!this.#less(first + root, first + child)) return;
      this.#swap(first + root, first + child);
      root = child;
    }
  }

  /** Elements below the pivot go left of the returned place, the pivot to it, the others right. */
  #partition(start: number, end: number, pivot: number): number {
    this.#swap(start, pivot);
    let low = start + 1;
    let high = end - 1;
    while (low <= high && this.#less(low, start)) low++;
    while (low <= high && !this.#less(high, start)) high--;
    this.#wasPartitioned = low > high;
    if (this.#wasPartitioned) {
      this.#swap(high, start);
      return high;
    }
    this.#swap(low++, high--);
    for (;;) {
      while (low <= high && this.#less(low, start)) low++;
      while (low <= high && !this.#less(high, start)) high--;
      if (low > high) break;
      this.#swap(low++, high--);
    }
    this.#swap(high, start);
    return high;
  }

  /** Elements equal to the pivot go left (none is below it); returns where the greater ones start. */
  #partitionEqual(start: number, end: number, pivot: number): number {
    this.#swap(start, pivot);
    let low = start + 1;
    let high = end - 1;
    for (;;) {
      while (low <= high && !this.#less(start, low)) low++;
      while (low <= high && this.#less(start, high)) high--;
      if (low > high) return low;
      this.#swap(low++, high--);
    }
  }

  /** Repairs an almost sorted part with at most five moves; true when it is sorted then. */
  #partialInsertionSort(start: number, end: number): boolean {
    const movesMax = 5;
    const shiftMin = 50;
    let index = start + 1;
    for (let move = 0; move < movesMax; move++) {
      while (index < end && !this.#less(index, index - 1)) index++;
      if (index === end) return true;
      if (end - start < shiftMin) return false;
      this.#swap(index, index - 1);
      if (index - start >= 2) {
        for (let place = index - 1; place >= 1 && this.#less(place, place - 1); place--) this.#swap(place, place - 1);
      }
      if (end - index >= 2) {
        for (let place = index + 1; place < end && this.#less(place, place - 1); place++) this.#swap(place, place - 1);
      }
    }
    return false;
  }

  /** Swaps three elements around the middle with ones chosen by a 64-bit xorshift. */
  #breakPatterns(start: number, end: number): void {
    const length = end - start;
    if (length < 8) return;
    let random = BigInt(length);
    const mask = (1 << (32 - Math.clz32(length))) - 1;
    const middle = start + Math.floor(length / 4) * 2;
    for (let step = 0; step < 3; step++) {
      random ^= BigInt.asUintN(64, random << 13n);
      random ^= random >> 7n;
      random ^= BigInt.asUintN(64, random << 17n);
      let other = Number(BigInt.asUintN(32, random)) & mask;
      if (other >= length) other -= length;
      this.#swap(middle - 1 + step, start + other);
    }
  }

  #choosePivot(start: number, end: number): number {
    const swapsMax = 4 * 3;
    const length = end - start;
    this.#swaps = 0;
    const quarter = Math.floor(length / 4);
    let first = start + quarter;
    let second = start + quarter * 2;
    let third = start + quarter * 3;
    if (length >= 8) {
      if (length >= nintherMin) {
        first = this.#median(first - 1, first, first + 1);
        second = this.#median(second - 1, second, second + 1);
        third = this.#median(third - 1, third, third + 1);
      }
      second = this.#median(first, second, third);
    }
    if (this.#swaps === 0) this.#hint = "increasing";
    else this.#hint = this.#swaps === swapsMax ? "decreasing" : "unknown";
    return second;
  }

  /** Place of the median of three places; counts the exchanges that ordering them takes. */
  #median(placeA: number, placeB: number, placeC: number): number {
    let a = placeA;
    let b = placeB;
    let c = placeC;
    if (this.#less(b, a)) {
      this.#swaps++;
      [a, b] = [b, a];
    }
    if (this.#less(c, b)) {
      this.#swaps++;
      [b, c] = [c, b];
    }
    if (this.#less(b, a)) {
      this.#swaps++;
      [a, b] = [b, a];
    }
    return b;
  }
}
