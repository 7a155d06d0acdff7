/** Asks for a password: the prompt goes to stdout, the answer is a line of stdin, not shown while it is typed. */
import { readSync } from "node:fs";
import { isatty } from "node:tty";
import type { Terminal } from "./terminal.ts";

/** Longest password line read. */
const passwordBytesMax = 4096;

/** @returns the line; empty when the input has ended. */
export async function askPassword(prompt: string, terminal: Terminal): Promise<string> {
  terminal.output.write(prompt);
  terminal.flush();
  if (!isatty(0)) return answered(terminal);
  const { spawnSync } = await import("node:child_process");
  // Node has no call for a terminal's echo; stty is on every system that has a terminal.
  const echo = (setting: string): void => {
    spawnSync("stty", [setting], { stdio: ["inherit", "ignore", "ignore"] });
  };
  try {
    echo("-echo");
    return answered(terminal);
  } finally {
    echo("echo");
  }
}

function answered(terminal: Terminal): string {
  const line = readLine();
  terminal.output.write("\n");
  return line;
}

function readLine(): string {
  const bytes: number[] = [];
  const byte = Buffer.alloc(1);
  while (bytes.length < passwordBytesMax && readSync(0, byte, 0, 1, null) === 1) {
    if (byte[0] === 0x0a || byte[0] === 0x0d) break;
    bytes.push(byte[0]);
  }
  return Buffer.from(bytes).toString("utf8");
}
