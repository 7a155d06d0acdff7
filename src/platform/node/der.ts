/**
 * Writes DER (X.690), as much of it as a certificate needs: each function gives a complete element, which is
 *
 *     tag (1 byte) | length (1 byte below 128; else 0x80 + count, then count bytes) | content
 */
const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function sequence(...elements: readonly Uint8Array[]): Buffer {
  return element(tag.sequence, ...elements);
}

export function setOf(...elements: readonly Uint8Array[]): Buffer {
  return element(tag.set, ...elements);
}

/** @param magnitude - big-endian, not negative; leading zeros are dropped. */
export function integer(magnitude: Uint8Array): Buffer {
  const first = magnitude.findIndex((byte) => byte !== 0);
  const bytes = first < 0 ? Buffer.from([0]) : magnitude.subarray(first);
  // The first bit is the sign.
  return element(tag.integer, ...(bytes[0] < 0x80 ? [] : [Buffer.from([0])]), bytes);
}

export function boolean(value: boolean): Buffer {
  return element(tag.boolean, Buffer.from([value ? 0xff : 0]));
}

/** @param unusedBits - at the end of the last byte, 0 to 7. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return element(tag.bitString, Buffer.from([unusedBits]), bytes);
}

export function octetString(bytes: Uint8Array): Buffer {
  return element(tag.octetString, bytes);
}

/** @param text - such as `2.5.29.17`. */
export function objectIdentifier(text: string): Buffer {
  const [first, second, ...rest] = text.split(".").map(Number);
  return element(tag.objectIdentifier, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

export function printableString(text: string): Buffer {
  return element(tag.printableString, Buffer.from(text, "ascii"));
}

/** To the second. Two digits for the year up to 2049, as RFC 5280 demands. */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  if (date.getUTCFullYear() < 2050) return element(tag.utcTime, Buffer.from(digits.slice(2)));
  return element(tag.generalizedTime, Buffer.from(digits));
}

/** `[number]`: constructed around elements, or primitive with bytes of its own. */
export function context(number: number, form: "constructed" | "primitive", ...content: readonly Uint8Array[]): Buffer {
  return element((form === "constructed" ? 0xa0 : 0x80) | number, ...content);
}

/** Seven bits a byte, the highest bit set on all but the last. */
function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift(0x80 | (rest & 0x7f));
  return bytes;
}

function element(elementTag: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([elementTag, ...lengthBytes(length)]), ...content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}
