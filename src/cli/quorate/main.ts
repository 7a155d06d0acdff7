/** `quorate`: the command of our own, beside those that carry etcd's names. */
import { versionText } from "../etcd/version.ts";

const help = `quorate: etcd, re-made in TypeScript.

Usage:
  quorate --version    print the version
  quorate --help       print this help

The programs, each with a --help of its own:
  etcd       run a member
  etcdctl    talk to members
  etcdutl    work on a member's files
`;

const [word = "--help", ...rest] = process.argv.slice(2);
if (rest.length === 0 && ["--version", "-version", "version"].includes(word)) {
  process.stdout.write(`${versionText("quorate")}\n`);
} else if (rest.length === 0 && ["--help", "-help", "-h", "help"].includes(word)) {
  process.stdout.write(help);
} else {
  process.stderr.write(`quorate: unknown command ${JSON.stringify(word)}; "quorate --help" lists what there is\n`);
  process.exitCode = 2;
}
