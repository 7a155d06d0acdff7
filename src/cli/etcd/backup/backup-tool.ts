/**
 * The heavy part of a backup (restoring a copy, hashing it, encrypting) in a process of its own, `quorate backup ...` at low
 * priority: the member's loop and memory have no share in it, and a crash there is a failed backup and nothing more.
 */
import { execFile } from "node:child_process";
import { constants, setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import type { EncryptOutput } from "../../quorate/backup/encrypt-command.ts";
import type { VerifyOutput } from "../../quorate/backup/verify-command.ts";

export interface BackupTool {
  /** Restores the snapshot in `path` below `scratch`, and hashes what came out. */
  verify(path: string, scratch: string, signal: AbortSignal): Promise<VerifyOutput>;
  /** Seals `source` into the new file `target`. */
  encrypt(
    files: { source: string; target: string },
    recipients: readonly string[],
    signal: AbortSignal,
  ): Promise<EncryptOutput>;
}

/** It prints one line; more is not read. */
const outputBytesMax = 1 << 20;

/** The programs are bundles that lie side by side; this is read in that of `etcd`. */
const quorateProgram = fileURLToPath(new URL("quorate.cjs", import.meta.url));

/** @param program - the script of `quorate`. */
export function createBackupTool(program: string = quorateProgram): BackupTool {
  return {
    verify: (path, scratch, signal) => run(program, ["verify", path, `--scratch-dir=${scratch}`], signal),
    encrypt: ({ source, target }, recipients, signal) =>
      run(program, ["encrypt", source, target, ...recipients.map((each) => `--recipient=${each}`)], signal),
  };
}

function run<Output>(program: string, args: readonly string[], signal: AbortSignal): Promise<Output> {
  return new Promise((resolve, reject) => {
    const options = { env: { PATH: process.env["PATH"] ?? "" }, maxBuffer: outputBytesMax, signal };
    const command = [program, "backup", ...args, "--write-out=json"];
    const child = execFile(process.execPath, command, options, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as Output);
      else reject(new Error(/^Error: (.*)$/m.exec(stderr)?.[1] ?? error.message, { cause: error }));
    });
    yieldTo(child.pid);
  });
}

function yieldTo(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // It has ended already, or this system does not let us: then it runs as we do.
  }
}
