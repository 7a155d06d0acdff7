/** etcdutl within the test's process. */
import { emptyBytes } from "../../src/base/bytes.ts";
import { program } from "../../src/cli/etcdutl/program.ts";
import { execute } from "../../src/cli/shared/execute.ts";
import { CommandFailure, ExitCode, messageOf } from "../../src/cli/shared/failure.ts";
import type { Terminal } from "../../src/cli/shared/terminal.ts";

/** Runs a command line in this process, as its entry point would. */
export async function run(args: readonly string[]): Promise<{ exit: number; stdout: string; stderr: string }> {
  const printed = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr") => ({
    write: (part: string | Uint8Array) => void (printed[name] += Buffer.from(part as string).toString("utf8")),
  });
  const terminal: Terminal = {
    output: sink("stdout"),
    error: sink("stderr"),
    readInput: () => emptyBytes,
    async *lines() {},
    environment: {},
    flush: () => undefined,
  };
  let exit: number;
  try {
    exit = await execute(program, args, terminal);
  } catch (error) {
    exit = error instanceof CommandFailure ? error.exitCode : ExitCode.Error;
    terminal.error.write(`Error: ${messageOf(error)}\n`);
  }
  return { exit, ...printed };
}

/** Log lines without what differs between runs and programs: time and place in the source. */
export function comparableLog(stderr: string, work: string): string {
  return stderr.replaceAll(work, "${WORK}").replace(/^[^\t\n]+\t(\w+)\t[^\t\n]+\t/gm, "<TS>\t$1\t<CALLER>\t");
}
