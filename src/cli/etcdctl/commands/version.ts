/** `etcdctl version`. */
import type { Command } from "../../shared/command.ts";
import { apiVersion, etcdVersion } from "../../shared/version.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "Prints the version of etcdctl",
  run({ terminal }) {
    terminal.output.write(`etcdctl version: ${etcdVersion}\nAPI version: ${apiVersion}\n`);
  },
};
