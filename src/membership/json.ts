/**
 * JSON as Go reads and writes it. Member ids stand as bare decimals up to 2^64 - 1, which `JSON.parse` would round, so
 * {@link parseJson} turns every number into its text first; {@link quote} escapes what Go's encoder escapes, because
 * the bytes go into the log and into files that Go compares and hashes.
 */

/** Parses JSON with numbers as strings of their digits. @throws {SyntaxError} when `text` is not JSON. */
export function parseJson(text: string): unknown {
  return JSON.parse(quoteNumbers(text));
}

function quoteNumbers(text: string): string {
  let output = "";
  let position = 0;
  while (position < text.length) {
    const start = position;
    const character = text[position];
    if (character === '"') {
      position = endOfString(text, position);
      output += text.slice(start, position);
    } else if (character === "-" || (character >= "0" && character <= "9")) {
      while (position < text.length && "+-.eE0123456789".includes(text[position])) position++;
      output += `"${text.slice(start, position)}"`;
    } else {
      output += character;
      position++;
    }
  }
  return output;
}

function endOfString(text: string, start: number): number {
  let position = start + 1;
  while (position < text.length && text[position] !== '"') position += text[position] === "\\" ? 2 : 1;
  return position + 1;
}

const goEscapes = /[<>&\u2028\u2029]/g;

/** A JSON string with Go's escapes: those of JSON, and `<`, `>`, `&`, U+2028, U+2029. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(
    goEscapes,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `["a","b"]`, or `null` for undefined. */
export function quoteList(texts: readonly string[] | undefined): string {
  return texts === undefined ? "null" : `[${texts.map(quote).join(",")}]`;
}

/** The properties of a parsed object. @throws {SyntaxError} for anything else. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new SyntaxError("not a JSON object");
  return value as Readonly<Record<string, unknown>>;
}

/** A list of strings; absent and null give an empty one. @throws {SyntaxError} for anything else. */
export function asStrings(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new SyntaxError("not a list of strings");
  }
  return value;
}

/** A string; absent gives an empty one. @throws {SyntaxError} for anything else. */
export function asString(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new SyntaxError("not a string");
  return value;
}
