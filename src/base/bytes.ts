/** Small helpers over bytes, shared by every layer. Keys compare as unsigned bytes, never as text. */

export const emptyBytes: Uint8Array = new Uint8Array(0);

/** Compares as unsigned bytes: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** An owned copy: what is kept must not pin the socket chunk it was cut from. */
export function copyBytes(view: Uint8Array): Uint8Array {
  return new Uint8Array(view);
}

/**
 * All parts, one after the other, in memory of their own. A plain `Uint8Array`: views of it cost half of what those of a
 * `Buffer` cost, and pin no pool.
 *
 * @param size - sum of the lengths.
 */
export function joinBytes(parts: readonly Uint8Array[], size: number): Uint8Array {
  const joined = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** A `Buffer` over the same memory, for its text conversions. */
export function asBuffer(view: Uint8Array): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** The smallest key greater than every key that starts with `prefix`; `[0]` (etcd's "to the end") when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let index = prefix.length - 1; index >= 0; index--) {
    const byte = prefix[index];
    if (byte < 0xff) {
      const end = new Uint8Array(prefix.subarray(0, index + 1)); // a copy: `slice` of a Buffer would be a view
      end[index] = byte + 1;
      return end;
    }
  }
  return new Uint8Array(1);
}
