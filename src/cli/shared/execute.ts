/**
 * Runs the command of a command line. Errors and usage go where cobra sends them: `Error: ...` on stderr, the usage on
 * stdout or stderr by the program's style.
 */
import { findCommand, flagsOf, pathName, withoutFlags, type Command, type Program } from "./command.ts";
import { ExitCode } from "./failure.ts";
import { FlagError, FlagSet, HelpRequested } from "./flags.ts";
import type { Terminal } from "./terminal.ts";
import { helpText, plainUsage } from "./usage.ts";

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
      const message = `Error: unknown command ${JSON.stringify(unknown)} for "${title}"${suggestions}\n`;
      terminal.error.write(`${message}Run '${title} --help' for usage.\n`);
      if (program.style === "plain") terminal.error.write(message);
      return ExitCode.Error;
    }
  }
  const showUsage = () => terminal.output.write(helpText(program, path));
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
    if (program.style === "plain") terminal.error.write(`${helpText(program, path)}\nError: ${message}\n`);
    else if (program.style === "summarized") terminal.error.write(`${plainUsage(path)}\n${message}`);
    else {
      showUsage();
      // cobra prints the usage once more on stderr, where etcdctl's is empty.
      terminal.error.write("\n");
    }
    return ExitCode.Error;
  }
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
