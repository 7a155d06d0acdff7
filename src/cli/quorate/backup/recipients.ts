/** age recipients: on the command line, or in a file, one a line, where `#` begins a comment line. */
import { readFileSync } from "node:fs";
import { openFailure } from "../../etcdctl/connect.ts";
import { badArguments } from "../../shared/failure.ts";
import type { FlagSet, FlagSpec } from "../../shared/flags.ts";
import { linesOf } from "./lines.ts";

export const recipientFlags: readonly FlagSpec[] = [
  {
    name: "recipient",
    type: "list",
    initial: [],
    usage: "age recipient (age1...) to encrypt to; may be given more than once",
  },
  { name: "recipients-file", type: "string", initial: "", usage: "file with one age recipient a line" },
];

/** Those of both flags. @throws {CommandFailure} when the file cannot be read or names nobody. */
export function recipientsOf(flags: FlagSet): string[] {
  const path = flags.text("recipients-file");
  return [...flags.list("recipient"), ...(path === "" ? [] : readLines(path, "recipient"))];
}

/** What a file of age recipients or identities holds. @throws {CommandFailure} */
export function readLines(path: string, kind: "recipient" | "identity"): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw badArguments(openFailure(path, error));
  }
  const lines = linesOf(text);
  // No recipient would mean a backup in the clear, which is not what somebody who names a file wants.
  if (lines.length === 0) throw badArguments(`${path} holds no ${kind}`);
  return lines;
}
