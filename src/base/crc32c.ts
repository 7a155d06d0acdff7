/**
 * CRC-32C (Castagnoli), the checksum of etcd's WAL, `.snap` files and hashes: reflected polynomial 0x82F63B78, initial
 * value and final xor 0xFFFFFFFF. Incremental with the meaning of Go's `crc32.Update`: the value of a concatenation is
 * `update(update(0, a), b)`.
 *
 * Slicing by 16: sixteen tables let one step of the loop take sixteen bytes, so that only every fourth look-up waits
 * for the one before. See M. Kounavis and F. Berry, "A Systematic Approach to Building High Performance Software-Based
 * CRC Generators" (2005). About 1.3 GB/s on the machine this was written on: 0.2 µs for an entry of 300 bytes.
 */

const POLYNOMIAL = 0x82f6_3b78;
const SLICES = 16;

/** `tables[256 * k + byte]`: what `byte`, followed by k zero bytes, adds to the checksum. */
const tables = buildTables();

/** Continues `crc` (0 to begin) over `[start, end)` of `bytes`; an unsigned 32-bit number. */
export function updateCrc32c(crc: number, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const table = tables;
  let value = ~crc;
  let position = start;
  for (const last = end - SLICES; position <= last; position += SLICES) {
    value ^= bytes[position] | (bytes[position + 1] << 8) | (bytes[position + 2] << 16) | (bytes[position + 3] << 24);
    value =
      table[0xf00 | (value & 0xff)] ^
      table[0xe00 | ((value >>> 8) & 0xff)] ^
      table[0xd00 | ((value >>> 16) & 0xff)] ^
      table[0xc00 | (value >>> 24)] ^
      table[0xb00 | bytes[position + 4]] ^
      table[0xa00 | bytes[position + 5]] ^
      table[0x900 | bytes[position + 6]] ^
      table[0x800 | bytes[position + 7]] ^
      table[0x700 | bytes[position + 8]] ^
      table[0x600 | bytes[position + 9]] ^
      table[0x500 | bytes[position + 10]] ^
      table[0x400 | bytes[position + 11]] ^
      table[0x300 | bytes[position + 12]] ^
      table[0x200 | bytes[position + 13]] ^
      table[0x100 | bytes[position + 14]] ^
      table[bytes[position + 15]];
  }
  for (; position < end; position++) value = table[(value ^ bytes[position]) & 0xff] ^ (value >>> 8);
  return ~value >>> 0;
}

function buildTables(): Int32Array {
  const result = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    result[byte] = value;
  }
  for (let index = 256; index < result.length; index++) {
    const shorter = result[index - 256];
    result[index] = (shorter >>> 8) ^ result[shorter & 0xff];
  }
  return result;
}
