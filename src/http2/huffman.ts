/**
 * The static Huffman code of HPACK (RFC 7541 appendix B). The code is canonical: codes of one length are consecutive in
 * the order of their symbols, and each longer length continues where the shorter one stopped. So the lengths say it all;
 * the codes and the decoding table are computed when they are first needed (a command line may never need them).
 *
 * Decoding goes four bits at a time through a table of the 256 inner nodes of the code tree; the shortest code has five
 * bits, so a step completes at most one symbol.
 */

/** Code length of each byte value; the 257th symbol, end of string, has 30 bits, all ones. */
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
];
const endOfString = 256;
const endOfStringLength = 30;

/** Code of each byte value, right-aligned. */
function computeCodes(): Uint32Array {
  const codes = new Uint32Array(257);
  let code = 0;
  for (let length = 5; length <= endOfStringLength; length++) {
    code *= 2;
    for (let symbol = 0; symbol < 256; symbol++) {
      if (codeLengths[symbol] === length) codes[symbol] = code++;
    }
  }
  codes[endOfString] = code;
  return codes;
}

/** Step table entry: next node in bits 0-7, symbol in bits 8-15, then these flags. */
const emits = 1 << 16;
const fails = 1 << 17;

interface DecodingTable {
  /** Indexed by `node * 16 + nibble`. */
  readonly steps: Uint32Array;
  /** 1 where the input may end: at the root, or after up to seven bits of padding, all ones. */
  readonly accepting: Uint8Array;
}

function buildDecodingTable(): DecodingTable {
  const codes = computeCodes();
  // Inner nodes are numbered from the root, 0; a child is a node number, or -1 - symbol for a leaf.
  const children: number[][] = [[0, 0]];
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    const length = symbol === endOfString ? endOfStringLength : codeLengths[symbol];
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const branch = (codes[symbol] >>> bit) & 1;
      let next = children[node][branch];
      if (next === 0) {
        next = children.length;
        children.push([0, 0]);
        children[node][branch] = next;
      }
      node = next;
    }
    children[node][codes[symbol] & 1] = -1 - symbol;
  }
  const steps = new Uint32Array(children.length * 16);
  for (let start = 0; start < children.length; start++) {
    for (let nibble = 0; nibble < 16; nibble++) steps[start * 16 + nibble] = step(children, start, nibble);
  }
  const accepting = new Uint8Array(children.length);
  for (let bits = 0, node = 0; bits < 8; bits++) {
    accepting[node] = 1;
    node = children[node][1]!;
  }
  return { steps, accepting };
}

function step(children: readonly (readonly number[])[], start: number, nibble: number): number {
  let node = start;
  let result = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node][(nibble >>> bit) & 1];
    if (next >= 0) {
      node = next;
      continue;
    }
    const symbol = -1 - next;
    if (symbol === endOfString) return fails;
    result = emits | (symbol << 8);
    node = 0;
  }
  return result | node;
}

let decoding: DecodingTable | undefined;
let encoding: Uint32Array | undefined;

/**
 * Decodes `source[start, end)` into `target` from its start. `target` needs room for `(end - start) * 8 / 5` bytes.
 *
 * @returns the number of bytes, or -1 when the input holds end-of-string, or its padding is longer than seven bits or not all ones.
 */
export function huffmanDecode(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  decoding ??= buildDecodingTable();
  const { steps, accepting } = decoding;
  let node = 0;
  let length = 0;
  for (let index = start; index < end; index++) {
    const byte = source[index];
    let entry = steps[node * 16 + (byte >>> 4)];
    if (entry >= emits) {
      if (entry >= fails) return -1;
      target[length++] = (entry >>> 8) & 0xff;
    }
    entry = steps[(entry & 0xff) * 16 + (byte & 0xf)]!;
    if (entry >= emits) {
      if (entry >= fails) return -1;
      target[length++] = (entry >>> 8) & 0xff;
    }
    node = entry & 0xff;
  }
  return accepting[node] === 1 ? length : -1;
}

/** Bytes that `text` (each character one byte) takes when encoded. */
export function huffmanSize(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) bits += codeLengths[text.charCodeAt(index) & 0xff];
  return (bits + 7) >>> 3;
}

/** Encodes `text` (each character one byte) at `offset` and returns the offset behind it. */
export function huffmanEncode(text: string, target: Uint8Array, offset: number): number {
  encoding ??= computeCodes();
  let pending = 0; // the low `count` bits are not yet written
  let count = 0;
  let position = offset;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 0xff;
    const code = encoding[symbol];
    // In two parts, so that at most 7 + 16 bits are pending and nothing leaves the 32-bit range.
    for (let left = codeLengths[symbol]; left > 0;) {
      const take = Math.min(left, 16);
      left -= take;
      pending = (pending << take) | ((code >>> left) & ((1 << take) - 1));
      count += take;
      while (count >= 8) {
        count -= 8;
        target[position++] = pending >>> count;
        pending &= (1 << count) - 1;
      }
    }
  }
  if (count > 0) target[position++] = (pending << (8 - count)) | (0xff >>> count);
  return position;
}
