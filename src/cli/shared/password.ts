/** Asks for a password on the terminal, without showing what is typed. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { CommandFailure, ExitCode, messageOf } from "./failure.ts";

/** Longest password line read. */
const passwordBytesMax = 4096;

/** @param prompt - printed on the terminal. @throws {CommandFailure} when there is no terminal. */
export function askPassword(prompt: string): string {
  let terminal: number;
  try {
    terminal = openSync("/dev/tty", "r+");
  } catch (error) {
    throw new CommandFailure(ExitCode.Error, messageOf(error), { cause: error });
  }
  // Node has no call for a terminal's echo; stty is on every system that has a terminal.
  const echo = (setting: string): void => {
    spawnSync("stty", [setting], { stdio: [terminal, "ignore", "ignore"] });
  };
  try {
    writeSync(terminal, prompt);
    echo("-echo");
    return readLine(terminal);
  } finally {
    echo("echo");
    writeSync(terminal, "\n");
    closeSync(terminal);
  }
}

function readLine(descriptor: number): string {
  const bytes: number[] = [];
  const byte = Buffer.alloc(1);
  while (bytes.length < passwordBytesMax && readSync(descriptor, byte, 0, 1, null) === 1) {
    if (byte[0] === 0x0a || byte[0] === 0x0d) break;
    bytes.push(byte[0]);
  }
  return Buffer.from(bytes).toString("utf8");
}
