/**
 * Pages kept in memory, limited by bytes. Second chance ("clock"): a hand goes round; a page that was used since the
 * hand last passed is spared once. A hit costs one map look-up and one store.
 *
 * Pages are immutable and owned by the garbage collector: a view that somebody still holds stays good after eviction.
 */
import type { Page } from "./page.ts";

/** What a page costs beside its bytes: the objects around it. */
const pageOverheadBytes = 400;

export class PageCache {
  readonly #bytesMax: number;
  readonly #pages = new Map<number, Page>();
  /** The ring of the hand. Entries whose page was replaced or removed are stale and dropped when the hand meets them. */
  #ring: Page[] = [];
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

  /** Adds a page; one of the same id (whose memory was reused in the file) is replaced. */
  add(page: Page): void {
    this.remove(page.id);
    this.#pages.set(page.id, page);
    this.#bytes += costOf(page);
    if (this.#bytes > this.#bytesMax) this.#evict();
    this.#ring.push(page);
  }

  remove(id: number): void {
    const page = this.#pages.get(id);
    if (page === undefined) return;
    this.#pages.delete(id);
    this.#bytes -= costOf(page);
  }

  clear(): void {
    this.#pages.clear();
    this.#ring = [];
    this.#hand = 0;
    this.#bytes = 0;
  }

  #evict(): void {
    // Every step drops a ring entry or takes a mark away, so two rounds always suffice.
    while (this.#bytes > this.#bytesMax && this.#ring.length > 0) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const page = this.#ring[this.#hand];
      const current = this.#pages.get(page.id) === page;
      if (current && page.referenced) {
        page.referenced = false;
        this.#hand++;
        continue;
      }
      if (current) this.remove(page.id);
      const last = this.#ring.pop();
      if (last !== undefined && last !== page) this.#ring[this.#hand] = last;
    }
    // Replaced pages leave stale entries behind; without this they would pin memory when nothing has to be evicted.
    if (this.#ring.length > 2 * this.#pages.size + 1024) {
      this.#ring = [...this.#pages.values()];
      this.#hand = 0;
    }
  }
}

function costOf(page: Page): number {
  return page.bytes.length + pageOverheadBytes;
}
