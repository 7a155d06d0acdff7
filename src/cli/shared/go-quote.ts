/**
 * Go's double-quoted text: `%q` for output, and its reading for transaction lines and double-quoted arguments.
 * Strings of Go are bytes; what is not valid UTF-8 prints as `\xNN`.
 */
const named: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** Letters, marks, numbers, punctuation, symbols and the ASCII blank: what Go's `strconv.IsPrint` calls printable. */
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Go's `%q` of bytes that are usually UTF-8. */
export function quoteBytes(bytes: Uint8Array): string {
  let text = '"';
  for (let index = 0; index < bytes.length;) {
    const size = runeSize(bytes, index);
    if (size === 0) {
      text += `\\x${hexByte(bytes[index])}`;
      index++;
      continue;
    }
    const rune = Buffer.from(bytes.buffer, bytes.byteOffset + index, size).toString("utf8");
    text += quoteRune(rune);
    index += size;
  }
  return `${text}"`;
}

/** Go's `%q` of a string. */
export function quote(text: string): string {
  return quoteBytes(Buffer.from(text, "utf8"));
}

function quoteRune(rune: string): string {
  const code = rune.codePointAt(0) ?? 0;
  const short = named[code];
  if (short !== undefined) return short;
  if (printable.test(rune)) return rune;
  if (code < 0x20 || code === 0x7f) return `\\x${hexByte(code)}`;
  if (code < 0x1_0000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Length of the UTF-8 sequence at `index`, 0 when the bytes there are none (RFC 3629: no surrogates, no overlong forms). */
export function runeSize(bytes: Uint8Array, index: number): number {
  const first = bytes[index];
  if (first < 0x80) return 1;
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || index + size > bytes.length) return 0;
  for (let at = index + 1; at < index + size; at++) if ((bytes[at] & 0xc0) !== 0x80) return 0;
  const second = bytes[index + 1];
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second > 0x8f) return 0;
  return size;
}

const escapes: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  '"': 34,
};

/**
 * Reads a Go double-quoted or backquoted literal at the start of `text`.
 *
 * @returns the bytes it stands for and the count of characters read; undefined when there is no complete literal.
 */
export function unquotePrefix(text: string): { value: Uint8Array; length: number } | undefined {
  if (text.startsWith("`")) {
    const end = text.indexOf("`", 1);
    return end < 0 ? undefined : { value: Buffer.from(text.slice(1, end), "utf8"), length: end + 1 };
  }
  if (!text.startsWith('"')) return undefined;
  const parts: Uint8Array[] = [];
  let index = 1;
  while (index < text.length) {
    const character = text[index];
    if (character === '"') return { value: Buffer.concat(parts), length: index + 1 };
    if (character === "\n") return undefined;
    if (character !== "\\") {
      const rune = String.fromCodePoint(text.codePointAt(index) ?? 0);
      parts.push(Buffer.from(rune, "utf8"));
      index += rune.length;
      continue;
    }
    const escape = readEscape(text, index + 1);
    if (escape === undefined) return undefined;
    parts.push(escape.value);
    index = escape.next;
  }
  return undefined;
}

function readEscape(text: string, index: number): { value: Uint8Array; next: number } | undefined {
  const kind = text[index];
  const simple = Object.hasOwn(escapes, kind ?? "") ? escapes[kind] : undefined;
  if (simple !== undefined) return { value: Uint8Array.of(simple), next: index + 1 };
  const octal = /^[0-3][0-7]{2}/.exec(text.slice(index))?.[0];
  if (octal !== undefined) return { value: Uint8Array.of(Number.parseInt(octal, 8)), next: index + 3 };
  const width = { x: 2, u: 4, U: 8 }[kind];
  if (width === undefined) return undefined;
  const digits = text.slice(index + 1, index + 1 + width);
  if (digits.length !== width || !/^[0-9a-fA-F]+$/.test(digits)) return undefined;
  const code = Number.parseInt(digits, 16);
  const next = index + 1 + width;
  if (kind === "x") return { value: Uint8Array.of(code), next };
  if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return { value: Buffer.from(String.fromCodePoint(code), "utf8"), next };
}
