/**
 * What the index knows per key, as typed-array columns in pages of 16,384 slots (40 bytes a key): growing allocates one
 * page and copies nothing.
 *
 *     address   u32   where the key's bytes are (key-slabs.ts)
 *     main      f64   newest revision of the key
 *     sub       u32   its sub, with the tombstone and leased bits
 *     create    f64   create_revision of the living generation
 *     version   f64   puts in the living generation; 0 when the key is deleted
 *     history   u32   older revisions (revision-pool.ts)
 *     chunk     u32   which chunk of the key order holds the slot (sorted-slots.ts)
 */
import { unusedAddress } from "./key-slabs.ts";

const pageShift = 14;
const pageSlots = 1 << pageShift;
const pageMask = pageSlots - 1;

/** Set in `sub` when the newest row names a lease: only then can the lessor know the key. */
export const leasedBit = 0x4000_0000;
export const subMask = 0x3fff_ffff;

interface Page {
  readonly address: Uint32Array;
  readonly main: Float64Array;
  readonly sub: Uint32Array;
  readonly create: Float64Array;
  readonly version: Float64Array;
  readonly history: Uint32Array;
  readonly chunk: Uint32Array;
}

export class Columns {
  readonly pages: Page[] = [];
  readonly #free: number[] = [];
  /** Slots ever given out: every slot number is below it. */
  slotCount = 0;

  get allocatedBytes(): number {
    return this.pages.length * pageSlots * 40;
  }

  allocate(): number {
    const reused = this.#free.pop();
    if (reused !== undefined) return reused;
    const slot = this.slotCount++;
    if (slot >>> pageShift === this.pages.length) this.pages.push(newPage());
    return slot;
  }

  release(slot: number): void {
    this.page(slot).address[slot & pageMask] = unusedAddress;
    this.#free.push(slot);
  }

  page(slot: number): Page {
    return this.pages[slot >>> pageShift];
  }

  at(slot: number): number {
    return slot & pageMask;
  }

  address(slot: number): number {
    return this.pages[slot >>> pageShift].address[slot & pageMask];
  }

  isUsed(slot: number): boolean {
    return this.address(slot) !== unusedAddress;
  }
}

function newPage(): Page {
  return {
    address: new Uint32Array(pageSlots).fill(unusedAddress),
    main: new Float64Array(pageSlots),
    sub: new Uint32Array(pageSlots),
    create: new Float64Array(pageSlots),
    version: new Float64Array(pageSlots),
    history: new Uint32Array(pageSlots),
    chunk: new Uint32Array(pageSlots),
  };
}
