/** `quorate`: the command of our own, beside those that carry etcd's names. */
import { versionText } from "../etcd/version.ts";
import { closeClients } from "../etcdctl/connect.ts";
import { runProgram } from "../shared/run-program.ts";
import { localClusterHelp, parseLocalCluster, runLocalCluster } from "./local-cluster.ts";
import { program } from "./program.ts";

const help = `quorate: etcd, re-made in TypeScript.

Usage:
  quorate backup           save, verify, list and encrypt backups
  quorate defrag           defragment members where a rule says so
  quorate preflight        check cluster and backup before an upgrade, downgrade or other maintenance
  quorate local-cluster    run a cluster on this machine, for trying things out
  quorate --version        print the version
  quorate --help           print this help

The programs, each with a --help of its own:
  etcd       run a member
  etcdctl    talk to members
  etcdutl    work on a member's files
`;

const helpWords = ["--help", "-help", "-h", "help"];

async function main(word: string, rest: readonly string[]): Promise<void> {
  if (word === "local-cluster" && rest.length === 1 && helpWords.includes(rest[0])) {
    process.stdout.write(localClusterHelp);
  } else if (word === "local-cluster") {
    await localCluster(rest);
  } else if (["backup", "defrag", "preflight"].includes(word)) {
    await runProgram(program, closeClients);
  } else if (rest.length === 0 && ["--version", "-version", "version"].includes(word)) {
    process.stdout.write(`${versionText("quorate")}\n`);
  } else if (rest.length === 0 && helpWords.includes(word)) {
    process.stdout.write(help);
  } else {
    process.stderr.write(`quorate: unknown command ${JSON.stringify(word)}; "quorate --help" lists what there is\n`);
    process.exitCode = 2;
  }
}

async function localCluster(args: readonly string[]): Promise<void> {
  let options;
  try {
    options = parseLocalCluster(args);
  } catch (error) {
    process.stderr.write(`quorate: ${error instanceof Error ? error.message : String(error)}\n\n${localClusterHelp}`);
    process.exitCode = 2;
    return;
  }
  await runLocalCluster(options);
}

const [word = "--help", ...rest] = process.argv.slice(2);
void main(word, rest);
