/** Hashes of 64 bits in two halves, for sets and states that a search remembers: added and taken away by xor. */

export interface Hash {
  high: number;
  low: number;
}

/** FNV-1a in two lanes with different primes, then mixed: no cryptography, but equal by chance about once in 2^64. */
export function hashText(text: string): Hash {
  let high = 0x811c_9dc5;
  let low = 0x0135_79bd;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 0x0100_0193);
    low = Math.imul(low ^ code, 0x85eb_ca6b) ^ (low >>> 13);
  }
  return { high: mix(high), low: mix(low ^ text.length) };
}

/** A number that looks like chance, the same for the same `value`. */
export function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb_352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846c_a68b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Adds `other` to `hash`, or takes it away. */
export function toggle(hash: Hash, other: Hash): void {
  hash.high = (hash.high ^ other.high) >>> 0;
  hash.low = (hash.low ^ other.low) >>> 0;
}
