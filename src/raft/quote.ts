/** Bytes as Go's `%q` prints them: a double-quoted text with escapes, in which every byte can be told. */

const escapes = new Map<number, string>([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x0c, "\\f"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
  [0x0b, "\\v"],
  [0x5c, "\\\\"],
  [0x22, '\\"'],
]);

/** What Go prints as it is: letters, marks, numbers, punctuation, symbols, and of the blanks only U+0020. */
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

export function quoteBytes(bytes: Uint8Array): string {
  let text = '"';
  for (let position = 0; position < bytes.length;) {
    const length = sequenceLength(bytes, position);
    if (length === 0) {
      text += `\\x${hexDigits(bytes[position], 2)}`;
      position++;
      continue;
    }
    const character = decoder.decode(bytes.subarray(position, position + length));
    text += quoteCharacter(character);
    position += length;
  }
  return `${text}"`;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function quoteCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const escape = escapes.get(code);
  if (escape !== undefined) return escape;
  if (printable.test(character)) return character;
  if (code < 0x80) return `\\x${hexDigits(code, 2)}`;
  return code < 0x1_0000 ? `\\u${hexDigits(code, 4)}` : `\\U${hexDigits(code, 8)}`;
}

function hexDigits(value: number, count: number): string {
  return value.toString(16).padStart(count, "0");
}

/** Bytes of the UTF-8 character at `position`, or 0 if there is none: stray, cut short, overlong, surrogate, too large. */
function sequenceLength(bytes: Uint8Array, position: number): number {
  const first = bytes[position];
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (position + length > bytes.length) return 0;
  const second = bytes[position + 1];
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) if ((bytes[position + i] & 0xc0) !== 0x80) return 0;
  return length;
}
