/** Asks for a password: the prompt goes to stdout, the answer is a line of stdin, not shown while it is typed. */
import { readSync } from "node:fs";
import { isatty } from "node:tty";
import type { Terminal } from "./terminal.ts";

/** Longest password line read. */
const passwordBytesMax = 4096;

/**
 * Node cannot switch off a terminal's echo, and handles no signal while it waits for a line; a shell does both. The
 * prompt comes when the echo is off, and the trap gives it back when Ctrl-C ends the two of us. 3 is our stdout.
 */
const hiddenLine = `trap 'stty echo; exit 130' INT TERM HUP
stty -echo; printf %s "$0" >&3; IFS= read -r line; stty echo; printf %s "$line"`;

/** @returns the line; empty when the input has ended. */
export async function askPassword(prompt: string, terminal: Terminal): Promise<string> {
  terminal.flush();
  const line = (isatty(0) ? await hiddenAnswer(prompt) : undefined) ?? shownAnswer(prompt, terminal);
  terminal.output.write("\n");
  return line;
}

/** The next line of standard input; nothing behind it is read. Empty when the input has ended. */
export function readPasswordLine(): string {
  const bytes: number[] = [];
  const byte = Buffer.alloc(1);
  while (bytes.length < passwordBytesMax && readSync(0, byte, 0, 1, null) === 1) {
    if (byte[0] === 0x0a || byte[0] === 0x0d) break;
    bytes.push(byte[0]);
  }
  return Buffer.from(bytes).toString("utf8");
}

function shownAnswer(prompt: string, terminal: Terminal): string {
  terminal.output.write(prompt);
  terminal.flush();
  return readPasswordLine();
}

/** @returns undefined where there is no shell: the password is seen then, but it can be typed. */
async function hiddenAnswer(prompt: string): Promise<string | undefined> {
  const { spawnSync } = await import("node:child_process");
  const shell = spawnSync("sh", ["-c", hiddenLine, prompt], {
    stdio: ["inherit", "pipe", "ignore", 1],
    encoding: "utf8",
  });
  return shell.error === undefined ? shell.stdout : undefined;
}
