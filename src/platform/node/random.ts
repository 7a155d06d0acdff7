/** Chance of the Node binding: the system's generator, drawn in blocks because one call costs more than a block. */
import { randomBytes, randomFillSync } from "node:crypto";
import type { Random } from "../random.ts";

const BLOCK_WORDS = 256;

export class NodeRandom implements Random {
  readonly #block = new Uint32Array(BLOCK_WORDS);
  #next = BLOCK_WORDS;

  uint32(): number {
    if (this.#next === BLOCK_WORDS) {
      randomFillSync(this.#block);
      this.#next = 0;
    }
    const word = this.#block[this.#next];
    this.#next += 1;
    return word;
  }

  float(): number {
    const high = this.uint32() >>> 5; // 27 bits
    const low = this.uint32() >>> 6; // 26 bits: together the 53 of a double
    return (high * 0x400_0000 + low) / 0x20_0000_0000_0000;
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length));
  }
}
