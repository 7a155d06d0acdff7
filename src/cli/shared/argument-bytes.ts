/**
 * Arguments are bytes on Linux and may hold keys that are not UTF-8, but Node decodes them and puts U+FFFD in the
 * place of what it cannot read. Where that happened, the original bytes are read from the system; each byte that is
 * not UTF-8 then stands in the string as the lone surrogate U+DC00 + byte, and {@link bytesOf} turns it back.
 */
import { readFileSync } from "node:fs";
import { runeSize } from "./go-quote.ts";

const escapeBase = 0xdc00;

/** The arguments behind the script's name. */
export function processArguments(): string[] {
  const decoded = process.argv.slice(2);
  if (!decoded.some((argument) => argument.includes("\ufffd"))) return decoded;
  try {
    const raw = readFileSync("/proc/self/cmdline");
    const parts: string[] = [];
    for (let start = 0; start < raw.length;) {
      const end = raw.indexOf(0, start);
      const stop = end < 0 ? raw.length : end;
      parts.push(textOf(raw.subarray(start, stop)));
      start = stop + 1;
    }
    // Node's own flags stand in front; ours are the last ones.
    return parts.length >= decoded.length ? parts.slice(parts.length - decoded.length) : decoded;
  } catch {
    return decoded; // no /proc here: U+FFFD is the best there is
  }
}

/** Text of bytes that keeps every byte; the counterpart of {@link bytesOf}. */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length;) {
    const size = runeSize(bytes, index);
    if (size === 0) text += String.fromCharCode(escapeBase + bytes[index++]);
    else {
      text += Buffer.from(bytes.buffer, bytes.byteOffset + index, size).toString("utf8");
      index += size;
    }
  }
  return text;
}

/** The bytes that an argument stands for. */
export function bytesOf(text: string): Uint8Array {
  if (!/\p{Surrogate}/u.test(text)) return Buffer.from(text, "utf8");
  const parts: Uint8Array[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isByte = code >= escapeBase + 0x80 && code <= escapeBase + 0xff;
    parts.push(isByte ? Uint8Array.of(code - escapeBase) : Buffer.from(character, "utf8"));
  }
  return Buffer.concat(parts);
}
