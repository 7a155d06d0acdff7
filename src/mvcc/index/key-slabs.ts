/**
 * Bytes of all keys of the index, in slabs of 128 KiB: no object per key, nothing for the garbage collector to walk.
 *
 * An entry is 2-aligned:
 *
 *     +0  u16: length of the key, or 0x7fff when it has a slab of its own, with 0x8000 when it is freed
 *     +2  key bytes, padded to a multiple of 2
 *
 * and is named by its address: slab number in the upper 16 bits, offset / 2 in the lower 16. A key too long to share a
 * slab gets one of its own. Written bytes never change: a view of a key stays valid even after its slab is evacuated.
 *
 * Removing only marks. {@link evacuate} moves what still lives in a mostly dead slab to the tail, one slab per call.
 */
import { assert } from "../../base/assert.ts";

const slabBytes = 128 * 1024;
const headerBytes = 2;
/** Longer entries live alone, so that at most an eighth of a slab is lost at its end. */
const sharedBytesMax = slabBytes / 8;
/** 16 bits of an address, without {@link unusedAddress}: 8 GiB of keys. */
const slabsMax = 0xffff;
const freed = 0x8000;
const lengthMask = 0x7fff;
const alone = 0x7fff;

/** Who must learn the new address of a moved key. */
export interface KeyOwner {
  /** `key` is at its old place still, and at `address` too. */
  keyMoved(key: Uint8Array, address: number): void;
}

export class KeySlabs {
  readonly #bytes: Uint8Array[] = [];
  readonly #halves: Uint16Array[] = [];
  /** Bytes of living entries per slab; 0 with an empty array for a slab number not in use. */
  readonly #live: number[] = [];
  readonly #unused: number[] = [];
  #tail = -1;
  #tailEnd = slabBytes;
  #allocated = 0;
  #evacuateNext = 0;

  /** Memory held, in bytes. */
  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** Copies `key` in; returns its address. */
  add(key: Uint8Array): number {
    const size = entrySize(key.length);
    if (size > sharedBytesMax) return this.#addAlone(key);
    if (this.#tailEnd + size > slabBytes) {
      this.#tail = this.#newSlab(slabBytes);
      this.#tailEnd = 0;
    }
    const slab = this.#tail;
    const offset = this.#tailEnd;
    this.#tailEnd += size;
    this.#halves[slab][offset >>> 1] = key.length;
    this.#bytes[slab].set(key, offset + headerBytes);
    this.#live[slab] += size;
    return ((slab << 16) | (offset >>> 1)) >>> 0;
  }

  #addAlone(key: Uint8Array): number {
    const size = headerBytes + key.length;
    const slab = this.#newSlab(size);
    this.#halves[slab][0] = alone;
    this.#bytes[slab].set(key, headerBytes);
    this.#live[slab] = size;
    return (slab << 16) >>> 0;
  }

  remove(address: number): void {
    const slab = address >>> 16;
    const halves = this.#halves[slab];
    const half = address & 0xffff;
    assert(halves[half] < freed, "key removed twice");
    this.#live[slab] -= halves[half] === alone ? this.#live[slab] : entrySize(halves[half]);
    halves[half] |= freed;
    if (this.#live[slab] === 0 && slab !== this.#tail) this.#dropSlab(slab);
  }

  /** A view, see the head of the file. */
  view(address: number): Uint8Array {
    const start = startOf(address);
    return this.#bytes[address >>> 16].subarray(start, start + this.length(address));
  }

  length(address: number): number {
    const slab = address >>> 16;
    const length = this.#halves[slab][address & 0xffff] & lengthMask;
    return length === alone ? this.#bytes[slab].length - headerBytes : length;
  }

  equals(address: number, key: Uint8Array): boolean {
    const { length } = key;
    if (this.length(address) !== length) return false;
    const bytes = this.#bytes[address >>> 16];
    const start = startOf(address);
    for (let index = 0; index < length; index++) if (bytes[start + index] !== key[index]) return false;
    return true;
  }

  /** Length of the common prefix of the key at `address` and `key`, given that the first `from` bytes are equal. */
  commonPrefix(address: number, key: Uint8Array, from: number): number {
    const bytes = this.#bytes[address >>> 16];
    const start = startOf(address);
    const length = Math.min(this.length(address), key.length);
    let index = from;
    while (index < length && bytes[start + index] === key[index]) index++;
    return index;
  }

  /** Whether the keys at both addresses, which have at least `length` bytes, an even number, agree in so many. */
  sharesBytes(address: number, other: number, length: number): boolean {
    const halves = this.#halves[address >>> 16];
    const otherHalves = this.#halves[other >>> 16];
    const start = (address & 0xffff) + headerBytes / 2;
    const otherStart = (other & 0xffff) + headerBytes / 2;
    const count = length >>> 1;
    for (let index = 0; index < count; index++) {
      if (halves[start + index] !== otherHalves[otherStart + index]) return false;
    }
    return true;
  }

  /** Sign of (key at `address`) - `key`, given the length of their common prefix. */
  orderAfter(address: number, key: Uint8Array, common: number): number {
    const length = this.length(address);
    if (common < length && common < key.length) {
      return this.#bytes[address >>> 16][startOf(address) + common] - key[common];
    }
    return length - key.length;
  }

  /** Four bytes of the key from `depth` on, big endian; bytes beyond its end count as zero. */
  wordAt(address: number, depth: number): number {
    const length = this.length(address);
    const bytes = this.#bytes[address >>> 16];
    const at = startOf(address) + depth;
    if (depth + 4 <= length) {
      return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
    }
    let value = 0;
    for (let index = 0; index < 4; index++) value = value * 256 + (depth + index < length ? bytes[at + index] : 0);
    return value;
  }

  /**
   * Looks at the next slab and, when less than half of it lives, moves that to the tail and drops the slab. One call costs
   * at most half a slab's worth of copying (about 1,000 keys of 60 bytes), and the look-up of each key.
   */
  evacuate(owner: KeyOwner): void {
    if (this.#bytes.length === 0) return;
    this.#evacuateNext = (this.#evacuateNext + 1) % this.#bytes.length;
    const slab = this.#evacuateNext;
    const bytes = this.#bytes[slab];
    if (slab === this.#tail || bytes.length !== slabBytes || this.#live[slab] * 2 >= slabBytes) return;
    const halves = this.#halves[slab];
    let offset = 0;
    while (this.#live[slab] > 0) {
      const header = halves[offset >>> 1];
      const length = header & lengthMask;
      if (header < freed) {
        const start = offset + headerBytes;
        const key = bytes.subarray(start, start + length);
        owner.keyMoved(key, this.add(key));
        halves[offset >>> 1] |= freed;
        this.#live[slab] -= entrySize(length);
      }
      offset += entrySize(length);
    }
    this.#dropSlab(slab);
  }

  /** Number of slabs {@link evacuate} goes round. */
  get slabCount(): number {
    return this.#bytes.length;
  }

  #newSlab(size: number): number {
    const slab = this.#unused.pop() ?? this.#bytes.length;
    assert(slab < slabsMax, "key index is full: 8 GiB of keys");
    const bytes = new Uint8Array(size);
    this.#bytes[slab] = bytes;
    this.#halves[slab] = new Uint16Array(bytes.buffer, 0, size >>> 1);
    this.#live[slab] = 0;
    this.#allocated += size;
    return slab;
  }

  #dropSlab(slab: number): void {
    this.#allocated -= this.#bytes[slab].length;
    this.#bytes[slab] = new Uint8Array(0);
    this.#halves[slab] = new Uint16Array(0);
    this.#unused.push(slab);
  }
}

/** No key has this address: there is no slab of this number. */
export const unusedAddress = 0xffff_ffff;

function entrySize(length: number): number {
  return (headerBytes + length + 1) & ~1;
}

/** Where the key's bytes begin in its slab. */
function startOf(address: number): number {
  return ((address & 0xffff) << 1) + headerBytes;
}
