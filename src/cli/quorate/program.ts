/** The commands of `quorate` that talk to a cluster, with the connection flags and variables of etcdctl. */
import { globalFlags } from "../etcdctl/global-flags.ts";
import type { Program } from "../shared/command.ts";
import { apiVersion, etcdVersion } from "../shared/version.ts";
import { backupCommand } from "./backup/command.ts";
import { defragCommand } from "./defrag/command.ts";
import { preflightCommand } from "./preflight/command.ts";

export const program: Program = {
  root: {
    name: "quorate",
    summary: "etcd, re-made in TypeScript: tools of our own.",
    sharedFlags: globalFlags,
    commands: [backupCommand, defragCommand, preflightCommand],
  },
  version: etcdVersion,
  apiVersion,
  style: "plain",
};
