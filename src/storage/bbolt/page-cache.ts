/**
 * Pages kept in memory, limited by bytes. Second chance ("clock"): a hand goes round; a page that was used since the
 * hand last passed is spared once. A hit costs one map look-up and one store.
 *
 * Pages are immutable and owned by the garbage collector: a view that somebody still holds stays good after eviction.
 */
import { Page } from "./page.ts";

/** What a page costs beside its bytes: the objects around it. */
const pageOverheadBytes = 400;

export class PageCache {
  readonly #bytesMax: number;
  readonly #pages = new Map<number, Page>();
  /** The ring of the hand. A page knows its slot; slots of removed pages are empty until another takes them. */
  readonly #ring: (Page | undefined)[] = [];
  readonly #emptySlots: number[] = [];
  #hand = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(id: number): Page | undefined {
    const page = this.#pages.get(id);
    if (page !== undefined) page.referenced = true;
    return page;
  }

  /** Adds a page; one of the same id (whose place in the file was reused) is replaced. */
  add(page: Page): void {
    this.remove(page.id);
    this.#bytes += costOf(page);
    if (this.#bytes > this.#bytesMax) this.#evict();
    // The slot emptied last lies right behind the hand, so the page has a whole round to prove useful.
    const slot = this.#emptySlots.pop() ?? this.#ring.length;
    this.#ring[slot] = page;
    page.cacheSlot = slot;
    this.#pages.set(page.id, page);
  }

  remove(id: number): void {
    const page = this.#pages.get(id);
    if (page === undefined) return;
    this.#pages.delete(id);
    this.#bytes -= costOf(page);
    this.#ring[page.cacheSlot] = undefined;
    this.#emptySlots.push(page.cacheSlot);
  }

  clear(): void {
    this.#pages.clear();
    this.#ring.length = 0;
    this.#emptySlots.length = 0;
    this.#hand = 0;
    this.#bytes = 0;
  }

  #evict(): void {
    // The first round takes all marks away at the latest, so the second frees whatever is needed.
    for (let steps = this.#ring.length * 2; this.#bytes > this.#bytesMax && steps > 0; steps--) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const page = this.#ring[this.#hand];
      this.#hand++;
      if (page === undefined) continue;
      if (page.referenced) this.#spare(page);
      else this.remove(page.id);
    }
  }

  /** A page that shares its memory with others moves to its own, or it would pin theirs beyond their eviction. */
  #spare(page: Page): void {
    page.referenced = false;
    if (page.bytes.length === page.bytes.buffer.byteLength) return;
    const moved = new Page(page.id, new Uint8Array(page.bytes));
    moved.cacheSlot = page.cacheSlot;
    this.#ring[page.cacheSlot] = moved;
    this.#pages.set(page.id, moved);
  }
}

function costOf(page: Page): number {
  return page.bytes.length + pageOverheadBytes;
}
