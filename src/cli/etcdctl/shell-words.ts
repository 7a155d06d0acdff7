/** Splits a line of `txn` or of an interactive `watch` into words: `"..."` with Go's escapes, `'...'` as it is. */
import { textOf } from "../shared/argument-bytes.ts";
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { unquotePrefix } from "../shared/go-quote.ts";

const word = /"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?/g;

/** @throws {CommandFailure} for a double-quoted word with an escape that Go does not know. */
export function splitWords(line: string): string[] {
  return (line.match(word) ?? []).map((text) => {
    if (text.startsWith("'")) return text.slice(1, -1);
    if (!text.startsWith('"')) return text;
    const literal = unquotePrefix(text);
    if (literal === undefined) throw new CommandFailure(ExitCode.InvalidInput, "invalid syntax");
    return textOf(literal.value);
  });
}
