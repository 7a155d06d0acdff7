/**
 * What the index knows per key, as typed-array columns in pages of 16,384 slots (32 bytes a key): growing allocates one
 * page and copies nothing.
 *
 *     address   u32   where the key's bytes are (key-slabs.ts)
 *     main      f64   newest revision of the key
 *     sub       u32   its sub, with the tombstone and leased bits
 *     age       u32   main - create_revision of the living generation, or `wide`
 *     version   u32   puts in the living generation, or `wide`; 0 when the key is deleted
 *     history   u32   older revisions (revision-pool.ts)
 *     chunk     u32   which chunk of the key order holds the slot (sorted-slots.ts)
 *
 * `wide` stands for a number that four bytes do not hold, which is in a map then: next to no key ever has one.
 */
import { unusedAddress } from "./key-slabs.ts";

const pageShift = 14;
const pageSlots = 1 << pageShift;
const pageMask = pageSlots - 1;

/** Set in `sub` when the newest row names a lease: only then can the lessor know the key. */
export const leasedBit = 0x4000_0000;
export const subMask = 0x3fff_ffff;

const wide = 0xffff_ffff;

interface Page {
  readonly address: Uint32Array;
  readonly main: Float64Array;
  readonly sub: Uint32Array;
  readonly age: Uint32Array;
  readonly version: Uint32Array;
  readonly history: Uint32Array;
  readonly chunk: Uint32Array;
}

export class Columns {
  readonly pages: Page[] = [];
  readonly #free: number[] = [];
  /** Create revisions and versions of the slots whose column says `wide`. */
  readonly #wideCreates = new Map<number, number>();
  readonly #wideVersions = new Map<number, number>();
  /** Slots ever given out: every slot number is below it. */
  slotCount = 0;

  get allocatedBytes(): number {
    return this.pages.length * pageSlots * 32;
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

  create(slot: number): number {
    const page = this.page(slot);
    const age = page.age[slot & pageMask];
    return age === wide ? this.#wideCreates.get(slot)! : page.main[slot & pageMask] - age;
  }

  /** To be called after every change of `main` while the key lives. A damaged row may say anything. */
  setCreate(slot: number, create: number): void {
    const { age, main } = this.page(slot);
    const at = slot & pageMask;
    const value = main[at] - create;
    const isWide = value < 0 || value >= wide;
    if (isWide) this.#wideCreates.set(slot, create);
    else if (age[at] === wide) this.#wideCreates.delete(slot);
    age[at] = isWide ? wide : value;
  }

  version(slot: number): number {
    const version = this.page(slot).version[slot & pageMask];
    return version === wide ? this.#wideVersions.get(slot)! : version;
  }

  setVersion(slot: number, value: number): void {
    const { version } = this.page(slot);
    const at = slot & pageMask;
    const isWide = value >= wide;
    if (isWide) this.#wideVersions.set(slot, value);
    else if (version[at] === wide) this.#wideVersions.delete(slot);
    version[at] = isWide ? wide : value;
  }

  isLive(slot: number): boolean {
    return this.page(slot).version[slot & pageMask] !== 0;
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
    age: new Uint32Array(pageSlots),
    version: new Uint32Array(pageSlots),
    history: new Uint32Array(pageSlots),
    chunk: new Uint32Array(pageSlots),
  };
}
