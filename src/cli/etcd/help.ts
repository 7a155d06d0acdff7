/** `etcd --help`: a usage block and every flag, from the table. */
import { formatDuration } from "../../base/duration.ts";
import { gates } from "./feature-gates.ts";
import { flagNames, flags, sections, type Flag, type FlagName } from "./flags.ts";

export const usage = `Usage:

  etcd [flags]
    Run a member.

  etcd --version
    Print the version.

  etcd -h | --help
    Print this help.

  etcd --config-file FILE
    Run a member with the settings of a YAML file; other flags and variables are then ignored.

  etcd gateway start --help
    Hand TCP connections on to members.

  etcd grpc-proxy start --help
    Serve etcd's API from members, with a cache and shared watches.

Every flag can also be given as an environment variable: --data-dir as ETCD_DATA_DIR.
`;

const column = 4;

export function help(): string {
  const lines: string[] = [];
  for (const section of sections) {
    lines.push(`${section}:`);
    for (const name of flagNames) {
      if (flags[name].section !== section) continue;
      lines.push(`  --${name}${defaultText(name)}`);
      lines.push(`${" ".repeat(column)}${flags[name].help}`);
      if (name === "feature-gates") {
        for (const [gate, { stage, default: value }] of Object.entries(gates)) {
          lines.push(`${" ".repeat(column)}${gate}=true|false (${stage} - default=${value})`);
        }
      }
    }
    lines.push("");
  }
  return lines.join("\n");
}

function defaultText(name: FlagName): string {
  const { kind, default: value }: Flag<unknown> = flags[name];
  if (typeof value === "boolean") return value ? " 'true'" : " 'false'";
  if (kind.fileType === "time.Duration") return ` '${formatDuration(value as number)}'`;
  return ` '${Array.isArray(value) ? value.join(",") : String(value)}'`;
}
