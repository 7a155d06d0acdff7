/** A growing list of (main, sub, slot), reused between reads so that a range allocates nothing for its index part. */
const initialCapacity = 256;
/** A list that grew beyond this gives its memory back when cleared (1 MiB). */
const keptCapacity = 65_536;

export class RevisionList {
  main = new Float64Array(initialCapacity);
  sub = new Uint32Array(initialCapacity);
  slot = new Uint32Array(initialCapacity);
  length = 0;

  push(main: number, sub: number, slot: number): void {
    const index = this.length++;
    if (index === this.main.length) this.#grow();
    this.main[index] = main;
    this.sub[index] = sub;
    this.slot[index] = slot;
  }

  clear(): void {
    this.length = 0;
    if (this.main.length > keptCapacity) this.#allocate(initialCapacity);
  }

  #allocate(capacity: number): void {
    this.main = new Float64Array(capacity);
    this.sub = new Uint32Array(capacity);
    this.slot = new Uint32Array(capacity);
  }

  #grow(): void {
    const { main, sub, slot } = this;
    this.#allocate(this.main.length * 2);
    this.main.set(main);
    this.sub.set(sub);
    this.slot.set(slot);
  }
}
