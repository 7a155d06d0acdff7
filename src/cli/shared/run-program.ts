/** Runs a program in this process: its arguments in, output and exit code out. */
import { processArguments } from "./argument-bytes.ts";
import type { Program } from "./command.ts";
import { complete } from "./completion-command.ts";
import { execute } from "./execute.ts";
import { CommandFailure, ExitCode, messageOf } from "./failure.ts";
import { processTerminal } from "./terminal.ts";

/** Does not return before the process is about to end. @param cleanUp - called whatever the outcome. */
export async function runProgram(program: Program, cleanUp: () => void): Promise<void> {
  const terminal = processTerminal();
  let exitCode: number;
  try {
    const args = processArguments();
    if (args[0] === "__complete") {
      complete(program, { args: args.slice(args[1] === "--" ? 2 : 1), terminal });
      exitCode = ExitCode.Success;
    } else exitCode = await execute(program, args, terminal);
  } catch (error) {
    exitCode = error instanceof CommandFailure ? error.exitCode : ExitCode.Error;
    const isSaid = error instanceof CommandFailure && error.message === "";
    if (!isSaid) terminal.error.write(`Error: ${messageOf(error)}\n`);
  }
  terminal.flush();
  cleanUp();
  // Timers and sockets may be left over; nobody waits for them.
  process.exit(exitCode);
}
