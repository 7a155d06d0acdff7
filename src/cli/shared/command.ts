/**
 * A tree of commands and how a command line finds its way in it: Go's cobra as etcd's tools use it. Commands are found
 * by any unambiguous prefix of their name, flags may stand before or behind it, and errors and usage go where cobra
 * sends them (`Error: ...` on stderr, usage on stdout).
 */
import { ExitCode } from "./failure.ts";
import { FlagError, FlagSet, HelpRequested, type FlagSpec } from "./flags.ts";
import type { Terminal } from "./terminal.ts";
import { usageText } from "./usage.ts";

/** One command; `run` is absent for a command that only groups others. */
export interface Command {
  readonly name: string;
  /** What follows the name on the usage line. */
  readonly synopsis?: string;
  readonly summary: string;
  readonly description?: string;
  readonly example?: string;
  /** Flags of this command alone. */
  readonly flags?: readonly FlagSpec[];
  /** Flags of this command and all below it. */
  readonly sharedFlags?: readonly FlagSpec[];
  readonly commands?: readonly Command[];
  /** Without it the usage line ends in `[flags]`. */
  readonly bareUsageLine?: boolean;
  /** Checks the positional arguments. @returns an error text, or undefined when they are right. */
  readonly checkArguments?: (args: readonly string[], path: string) => string | undefined;
  /** Flags that must be given. */
  readonly requiredFlags?: readonly string[];
  readonly run?: (invocation: Invocation) => Promise<void> | void;
}

/** What a command gets to work with. */
export interface Invocation {
  readonly flags: FlagSet;
  /** Positional arguments. */
  readonly args: readonly string[];
  /** The arguments of the whole process, without the program's name. */
  readonly processArguments: readonly string[];
  readonly terminal: Terminal;
  /** Shared flags of the commands above, which the environment may set too. */
  readonly inheritedFlags: readonly FlagSpec[];
}

/** A program: its command tree and the versions that its help shows. */
export interface Program {
  readonly root: Command;
  readonly version: string;
  readonly apiVersion: string;
}

/** A command with the commands above it, from the root down to itself. */
export type CommandPath = readonly [Command, ...Command[]];

/**
 * Finds and runs the command of `args`.
 *
 * @returns the exit code.
 * @throws whatever the command throws; a {@link CommandFailure} when it fails for a reason that it explains.
 */
export async function execute(program: Program, args: readonly string[], terminal: Terminal): Promise<number> {
  const { path, rest } = findCommand(program.root, args);
  const command = path[path.length - 1];
  const title = pathName(path);
  if (path.length === 1) {
    const [unknown] = withoutFlags(rest, path);
    if (unknown !== undefined) {
      const suggestions = suggestionText(command, unknown);
      terminal.error.write(`Error: unknown command ${JSON.stringify(unknown)} for "${title}"${suggestions}\n`);
      terminal.error.write(`Run '${title} --help' for usage.\n`);
      return ExitCode.Error;
    }
  }
  const showUsage = () => terminal.output.write(usageText(program, path));
  const flags = new FlagSet(flagsOf(path));
  try {
    flags.parse(rest);
  } catch (error) {
    if (error instanceof HelpRequested) {
      showUsage();
      return ExitCode.Success;
    }
    if (!(error instanceof FlagError)) throw error;
    return usageError(error.message);
  }
  if (flags.bool("help") || command.run === undefined) {
    showUsage();
    return ExitCode.Success;
  }
  const problem = command.checkArguments?.(flags.arguments, title) ?? missingFlags(command, flags);
  if (problem !== undefined) return usageError(problem);
  await command.run({
    flags,
    args: flags.arguments,
    processArguments: args,
    terminal,
    inheritedFlags: path.slice(0, -1).flatMap((parent) => parent.sharedFlags ?? []),
  });
  return ExitCode.Success;

  function usageError(message: string): number {
    terminal.error.write(`Error: ${message}\n`);
    showUsage();
    // cobra prints the usage with a line end of its own, on stderr.
    terminal.error.write("\n");
    return ExitCode.Error;
  }
}

/** Walks down as far as the words of `args` name commands; `rest` is `args` without those words. */
export function findCommand(root: Command, args: readonly string[]): { path: CommandPath; rest: readonly string[] } {
  let path: CommandPath = [root];
  let rest = args;
  for (;;) {
    const [word] = withoutFlags(rest, path);
    const next = word === undefined ? undefined : childNamed(path[path.length - 1], word);
    if (next === undefined) return { path, rest };
    rest = removeFirst(rest, word, path);
    path = [...path, next];
  }
}

function childNamed(command: Command, word: string): Command | undefined {
  const children = command.commands ?? [];
  const exact = children.find((child) => child.name === word);
  if (exact !== undefined) return exact;
  const matches = children.filter((child) => child.name.startsWith(word));
  return matches.length === 1 ? matches[0] : undefined;
}

/** All flags that the last command of a path accepts, `--help` included. */
export function flagsOf(path: CommandPath): FlagSpec[] {
  const command = path[path.length - 1];
  return [...path.flatMap((part) => part.sharedFlags ?? []), ...(command.flags ?? []), helpFlag(command)];
}

export function helpFlag(command: Command): FlagSpec {
  return { name: "help", shorthand: "h", type: "bool", initial: false, usage: `help for ${command.name}` };
}

/** `etcdctl lease grant`. */
export function pathName(path: readonly Command[]): string {
  return path.map((command) => command.name).join(" ");
}

/** The words of `args` that are neither flags nor values of flags, up to `--`. */
function withoutFlags(args: readonly string[], path: CommandPath): string[] {
  const words: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (argument === "--") break;
    if (takesNextArgument(argument, path)) index++;
    else if (argument !== "" && !argument.startsWith("-")) words.push(argument);
  }
  return words;
}

/** `args` without the first occurrence of `word` that is not a flag's value. */
function removeFirst(args: readonly string[], word: string, path: CommandPath): string[] {
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (argument === "--") break;
    if (takesNextArgument(argument, path)) index++;
    else if (argument === word) return [...args.slice(0, index), ...args.slice(index + 1)];
  }
  return [...args];
}

/** True for `--name` and `-n` whose value is the next argument. An unknown flag is taken for one that needs a value. */
function takesNextArgument(argument: string, path: CommandPath): boolean {
  if (!argument.startsWith("-") || argument.includes("=")) return false;
  if (!argument.startsWith("--") && argument.length !== 2) return false;
  const name = argument.replace(/^--?/, "");
  const spec = flagsOf(path).find((flag) => (argument.startsWith("--") ? flag.name : flag.shorthand) === name);
  return spec?.type !== "bool";
}

function missingFlags(command: Command, flags: FlagSet): string | undefined {
  const missing = (command.requiredFlags ?? []).filter((name) => !flags.changed(name));
  if (missing.length === 0) return undefined;
  return `required flag(s) ${missing.map((name) => `"${name}"`).join(", ")} not set`;
}

/** Names at an edit distance of at most 2, or that `word` starts. */
function suggestionText(command: Command, word: string): string {
  const names = (command.commands ?? [])
    .map((child) => child.name)
    .filter((name) => editDistance(word.toLowerCase(), name.toLowerCase()) <= 2 || name.startsWith(word.toLowerCase()))
    .sort();
  return names.length === 0 ? "" : `\n\nDid you mean this?\n${names.map((name) => `\t${name}\n`).join("")}`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = previous[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(previous[column] + 1, current[column - 1] + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length];
}
