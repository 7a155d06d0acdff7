/**
 * Bytes of all keys of the index, in slabs of 256 KiB: no object per key, nothing for the garbage collector to walk.
 *
 * An entry is 4-aligned:
 *
 *     +0  slot of the key, u32 (or FREED)
 *     +4  length of the key, u32
 *     +8  key bytes, padded to a multiple of 4
 *
 * and is named by its address: slab number in the upper 16 bits, offset / 4 in the lower 16. A key too long to share a
 * slab gets one of its own. Written bytes never change: a view of a key stays valid even after its slab is evacuated.
 *
 * Removing only marks. {@link evacuate} moves what still lives in a mostly dead slab to the tail, one slab per call.
 */
import { assert } from "../../base/assert.ts";

const slabBytes = 256 * 1024;
const headerBytes = 8;
/** Longer entries live alone, so that at most a quarter of a slab is lost at its end. */
const sharedBytesMax = slabBytes / 4;
/** 16 bits of an address: 16 GiB of keys. */
const slabsMax = 0x1_0000;
const freed = 0xffff_ffff;

/** Who must learn the new address of a moved key. */
export interface SlotAddresses {
  setAddress(slot: number, address: number): void;
}

export class KeySlabs {
  readonly #bytes: Uint8Array[] = [];
  readonly #words: Uint32Array[] = [];
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
  add(slot: number, key: Uint8Array): number {
    const size = (headerBytes + key.length + 3) & ~3;
    let slab: number;
    let offset: number;
    if (size > sharedBytesMax) {
      slab = this.#newSlab(size);
      offset = 0;
    } else {
      if (this.#tailEnd + size > slabBytes) {
        this.#tail = this.#newSlab(slabBytes);
        this.#tailEnd = 0;
      }
      slab = this.#tail;
      offset = this.#tailEnd;
      this.#tailEnd += size;
    }
    const words = this.#words[slab];
    words[offset >>> 2] = slot;
    words[(offset >>> 2) + 1] = key.length;
    this.#bytes[slab].set(key, offset + headerBytes);
    this.#live[slab] += size;
    return ((slab << 16) | (offset >>> 2)) >>> 0;
  }

  remove(address: number): void {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const words = this.#words[slab];
    assert(words[word] !== freed, "key removed twice");
    words[word] = freed;
    this.#live[slab] -= (headerBytes + words[word + 1] + 3) & ~3;
    if (this.#live[slab] === 0 && slab !== this.#tail) this.#dropSlab(slab);
  }

  /** A view, see the head of the file. */
  view(address: number): Uint8Array {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const start = (word << 2) + headerBytes;
    return this.#bytes[slab].subarray(start, start + this.#words[slab][word + 1]);
  }

  slot(address: number): number {
    return this.#words[address >>> 16][address & 0xffff];
  }

  length(address: number): number {
    return this.#words[address >>> 16][(address & 0xffff) + 1];
  }

  equals(address: number, key: Uint8Array): boolean {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const length = key.length;
    if (this.#words[slab][word + 1] !== length) return false;
    const bytes = this.#bytes[slab];
    const start = (word << 2) + headerBytes;
    for (let index = 0; index < length; index++) if (bytes[start + index] !== key[index]) return false;
    return true;
  }

  /** Length of the common prefix of the key at `address` and `key`, given that the first `from` bytes are equal. */
  commonPrefix(address: number, key: Uint8Array, from: number): number {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const bytes = this.#bytes[slab];
    const start = (word << 2) + headerBytes;
    const length = Math.min(this.#words[slab][word + 1], key.length);
    let index = from;
    while (index < length && bytes[start + index] === key[index]) index++;
    return index;
  }

  /** Whether the keys at both addresses, which have at least `length` bytes, agree in so many; whole words of four are compared. */
  sharesWords(address: number, other: number, length: number): boolean {
    const words = this.#words[address >>> 16];
    const otherWords = this.#words[other >>> 16];
    const start = (address & 0xffff) + headerBytes / 4;
    const otherStart = (other & 0xffff) + headerBytes / 4;
    const count = length >>> 2;
    for (let index = 0; index < count; index++) {
      if (words[start + index] !== otherWords[otherStart + index]) return false;
    }
    return true;
  }

  /** Sign of (key at `address`) - `key`, given the length of their common prefix. */
  orderAfter(address: number, key: Uint8Array, common: number): number {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const length = this.#words[slab][word + 1];
    if (common < length && common < key.length) {
      return this.#bytes[slab][(word << 2) + headerBytes + common] - key[common];
    }
    return length - key.length;
  }

  /** Four bytes of the key from `depth` on, big endian; bytes beyond its end count as zero. */
  wordAt(address: number, depth: number): number {
    const slab = address >>> 16;
    const word = address & 0xffff;
    const length = this.#words[slab][word + 1];
    const bytes = this.#bytes[slab];
    const at = (word << 2) + headerBytes + depth;
    if (depth + 4 <= length) {
      return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
    }
    let value = 0;
    for (let index = 0; index < 4; index++) value = value * 256 + (depth + index < length ? bytes[at + index] : 0);
    return value;
  }

  /**
   * Looks at the next slab and, when less than half of it lives, moves that to the tail and drops the slab. One call costs
   * at most one slab's worth of copying (about 4,000 short keys).
   */
  evacuate(owner: SlotAddresses): void {
    if (this.#bytes.length === 0) return;
    this.#evacuateNext = (this.#evacuateNext + 1) % this.#bytes.length;
    const slab = this.#evacuateNext;
    const bytes = this.#bytes[slab];
    if (slab === this.#tail || bytes.length !== slabBytes || this.#live[slab] * 2 >= slabBytes) return;
    const words = this.#words[slab];
    let word = 0;
    while (this.#live[slab] > 0) {
      const slot = words[word];
      const length = words[word + 1];
      if (slot !== freed) {
        const start = (word << 2) + headerBytes;
        owner.setAddress(slot, this.add(slot, bytes.subarray(start, start + length)));
        words[word] = freed;
        this.#live[slab] -= (headerBytes + length + 3) & ~3;
      }
      word += (headerBytes + length + 3) >>> 2;
    }
    this.#dropSlab(slab);
  }

  /** Number of slabs {@link evacuate} goes round. */
  get slabCount(): number {
    return this.#bytes.length;
  }

  #newSlab(size: number): number {
    const slab = this.#unused.pop() ?? this.#bytes.length;
    assert(slab < slabsMax, "key index is full: 16 GiB of keys");
    const bytes = new Uint8Array(size);
    this.#bytes[slab] = bytes;
    this.#words[slab] = new Uint32Array(bytes.buffer);
    this.#live[slab] = 0;
    this.#allocated += size;
    return slab;
  }

  #dropSlab(slab: number): void {
    this.#allocated -= this.#bytes[slab].length;
    this.#bytes[slab] = new Uint8Array(0);
    this.#words[slab] = new Uint32Array(0);
    this.#unused.push(slab);
  }
}

/** No key has this address: the last word of a slab cannot start an entry. */
export const unusedAddress = 0xffff_ffff;
