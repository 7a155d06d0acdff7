/**
 * A tree of commands and how a command line finds its way in it: Go's cobra as etcd's tools use it. Commands are found
 * by any unambiguous prefix of their name, and flags may stand before or behind it.
 */
import type { FlagSet, FlagSpec } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

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
  /** A former command: found by its whole name, and not shown. */
  readonly isHidden?: boolean;
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
  /**
   * `sections`: etcdctl's help, on stdout also after an error. `plain`: cobra's own, and errors are said twice.
   * `summarized`: the same, with the command's summary above the help that was asked for.
   */
  readonly style: "sections" | "plain" | "summarized";
}

/** A command with the commands above it, from the root down to itself. */
export type CommandPath = readonly [Command, ...Command[]];

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
  const matches = children.filter((child) => child.name.startsWith(word) && child.isHidden !== true);
  return matches.length === 1 ? matches[0] : undefined;
}

/** The commands below that are shown, in order of name. */
export function shownCommands(command: Command): Command[] {
  const shown = (command.commands ?? []).filter((child) => child.isHidden !== true);
  return shown.sort((a, b) => (a.name < b.name ? -1 : 1));
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
export function withoutFlags(args: readonly string[], path: CommandPath): string[] {
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
