/**
 * The file format of the traces (cockroachdb/datadriven): steps of one command line, optional input lines, `----`, and
 * the expected output up to a blank line. With the separator written twice, the output may hold blank lines and ends
 * with another pair.
 */

export interface Argument {
  readonly key: string;
  /** Empty for an argument without `=`. */
  readonly values: readonly string[];
}

export interface Step {
  /** Line of the command, from 1. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  /** Without trailing newlines. */
  readonly expected: string;
}

/** A file that does not follow the format. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

const SEPARATOR = "----";

/** @throws {ScriptError} */
export function parseScript(text: string): Step[] {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const steps: Step[] = [];
  let position = 0;

  while (position < lines.length) {
    const start = position + 1;
    let line = lines[position++].trim();
    if (line === "" || line.startsWith("#")) continue;
    while (line.endsWith("\\") && position < lines.length) {
      line = `${line.slice(0, -1)} ${lines[position++].trim()}`;
    }
    const { command, args } = parseCommand(line, start);
    if (command === "subtest") continue; // groups steps, which changes nothing here

    const input: string[] = [];
    while (position < lines.length && lines[position] !== SEPARATOR) input.push(lines[position++]);
    position++;
    const expected: string[] = [];
    if (lines[position] === SEPARATOR) {
      position++;
      while (position < lines.length && !(lines[position] === SEPARATOR && lines[position + 1] === SEPARATOR)) {
        expected.push(lines[position++]);
      }
      if (position >= lines.length) throw new ScriptError(`line ${start}: no end of the output`);
      position += 2;
      if ((lines[position] ?? "").trim() !== "") throw new ScriptError(`line ${position + 1}: expected a blank line`);
    } else {
      while (position < lines.length && lines[position].trim() !== "") expected.push(lines[position++]);
    }
    steps.push({ line: start, command, args, input: input.join("\n").trim(), expected: trimEnd(expected.join("\n")) });
  }
  return steps;
}

/** Trailing newlines do not count when outputs are compared. */
export function trimEnd(output: string): string {
  return output.replace(/\n+$/, "");
}

function parseCommand(line: string, number: number): { command: string; args: Argument[] } {
  const [command] = line.split(" ", 1);
  let rest = line.slice(command.length).trim();
  const args: Argument[] = [];
  while (rest !== "") {
    const key = /^[^ =]+/.exec(rest)?.[0];
    if (key === undefined) throw new ScriptError(`line ${number}: cannot parse ${line}`);
    rest = rest.slice(key.length);
    let values: string[] = [];
    if (rest.startsWith("=(")) {
      const end = closingParenthesis(rest, 1);
      if (end === -1) throw new ScriptError(`line ${number}: parenthesis is not closed: ${line}`);
      values = splitTopLevel(rest.slice(2, end));
      rest = rest.slice(end + 1);
    } else if (rest.startsWith("=")) {
      const value = rest.slice(1).split(" ", 1)[0];
      values = [value];
      rest = rest.slice(1 + value.length);
    }
    args.push({ key, values });
    rest = rest.trim();
  }
  return { command, args };
}

function closingParenthesis(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return i;
  }
  return -1;
}

/** Splits at commas that are not inside parentheses. */
function splitTopLevel(text: string): string[] {
  const values = [""];
  let depth = 0;
  for (const character of text) {
    if (character === "(") depth++;
    if (character === ")") depth--;
    if (character === "," && depth === 0) values.push("");
    else values[values.length - 1] += character;
  }
  return values.map((value) => value.trim());
}

// ------------------------------------------------------------------------------------------------- reading arguments

const trueWords = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const falseWords = new Set(["0", "f", "F", "FALSE", "false", "False"]);

export function toBoolean(text: string): boolean {
  if (trueWords.has(text)) return true;
  if (falseWords.has(text)) return false;
  throw new ScriptError(`not a truth value: ${text}`);
}

export function toInteger(text: string): number {
  if (!/^\d+$/.test(text)) throw new ScriptError(`not a number: ${text}`);
  return Number(text);
}

export function toId(text: string): bigint {
  if (!/^\d+$/.test(text)) throw new ScriptError(`not an id: ${text}`);
  return BigInt(text);
}
