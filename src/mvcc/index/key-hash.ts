/**
 * HalfSipHash-1-3 of a key, 32 bits: keyed, so that a client who does not know the seed cannot choose keys that collide,
 * and still cheap in 32-bit arithmetic. Source: Aumasson and Bernstein, "SipHash", and the reference halfsiphash.
 */
export interface HashSeed {
  readonly low: number;
  readonly high: number;
}

export function hashKey(key: Uint8Array, low: number, high: number): number {
  const length = key.length;
  let v0 = low | 0;
  let v1 = high | 0;
  let v2 = low ^ 0x6c79_6765;
  let v3 = high ^ 0x7465_6462;
  const whole = length & ~3;
  for (let index = 0; index < whole; index += 4) {
    const word = key[index] | (key[index + 1] << 8) | (key[index + 2] << 16) | (key[index + 3] << 24);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  let last = length << 24;
  for (let index = whole; index < length; index++) last |= key[index] << ((index & 3) << 3);
  v3 ^= last;
  for (let round = 0; round < 4; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (round === 0) {
      v0 ^= last;
      v2 ^= 0xff;
    }
  }
  return (v1 ^ v3) >>> 0;
}
