/** Bytes of a virtual file: pages of 4096 bytes, missing ones are zeros, so a segment of 64 MB costs what is written. */

export const PAGE_SIZE = 4096;

export class Contents {
  size = 0;
  readonly #pages = new Map<number, Uint8Array>();

  /** Bytes of the pages that exist. */
  get allocated(): number {
    return this.#pages.size * PAGE_SIZE;
  }

  /** Pages that a write of `length` bytes at `position` would add. */
  missingPages(position: number, length: number): number {
    let missing = 0;
    if (length === 0) return 0;
    for (let page = Math.floor(position / PAGE_SIZE); page * PAGE_SIZE < position + length; page++) {
      if (!this.#pages.has(page)) missing += 1;
    }
    return missing;
  }

  write(source: Uint8Array, position: number): void {
    for (let done = 0; done < source.length;) {
      const at = position + done;
      const offset = at % PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - offset, source.length - done);
      this.#page(Math.floor(at / PAGE_SIZE)).set(source.subarray(done, done + count), offset);
      done += count;
    }
    if (source.length > 0) this.size = Math.max(this.size, position + source.length);
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.size - position));
    for (let done = 0; done < count;) {
      const at = position + done;
      const offset = at % PAGE_SIZE;
      const part = Math.min(PAGE_SIZE - offset, count - done);
      const page = this.#pages.get(Math.floor(at / PAGE_SIZE));
      if (page === undefined) target.fill(0, done, done + part);
      else target.set(page.subarray(offset, offset + part), done);
      done += part;
    }
    return count;
  }

  truncate(size: number): void {
    if (size < this.size) {
      for (const index of this.#pages.keys()) if (index * PAGE_SIZE >= size) this.#pages.delete(index);
      this.#pages.get(Math.floor(size / PAGE_SIZE))?.fill(0, size % PAGE_SIZE);
    }
    this.size = size;
  }

  clone(): Contents {
    const copy = new Contents();
    copy.size = this.size;
    for (const [index, page] of this.#pages) copy.#pages.set(index, new Uint8Array(page));
    return copy;
  }

  #page(index: number): Uint8Array {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(PAGE_SIZE);
      this.#pages.set(index, page);
    }
    return page;
  }
}
