/** What the codecs of raft's messages share: keys, and buffers of exactly the computed size. */
import { assert } from "../../base/assert.ts";

/** A field's number and its wire type in one byte, as all fields here have numbers below 16. */
export const varint = (field: number): number => field << 3;
export const delimited = (field: number): number => (field << 3) | 2;

/** A buffer of `size` bytes, which `write` fills to its end. */
export function encode(size: number, write: (target: Uint8Array) => number): Uint8Array {
  const target = new Uint8Array(size);
  const end = write(target);
  assert(end === size, "a message is as long as its computed size");
  return target;
}
