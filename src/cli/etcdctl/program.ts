/** The command tree of `etcdctl`, as etcd 3.6 has it. */
import type { Program } from "../shared/command.ts";
import { createCompletionCommand } from "../shared/completion-command.ts";
import { createHelpCommand } from "../shared/help-command.ts";
import { apiVersion, etcdVersion } from "../shared/version.ts";
import { alarmCommand } from "./commands/alarm.ts";
import { authCommand } from "./commands/auth.ts";
import { checkCommand } from "./commands/check.ts";
import { compactionCommand } from "./commands/compaction.ts";
import { defragCommand } from "./commands/defrag.ts";
import { delCommand } from "./commands/del.ts";
import { downgradeCommand } from "./commands/downgrade.ts";
import { electCommand } from "./commands/elect.ts";
import { endpointCommand } from "./commands/endpoint.ts";
import { getCommand } from "./commands/get.ts";
import { leaseCommand } from "./commands/lease.ts";
import { lockCommand } from "./commands/lock.ts";
import { makeMirrorCommand } from "./commands/make-mirror.ts";
import { memberCommand } from "./commands/member.ts";
import { moveLeaderCommand } from "./commands/move-leader.ts";
import { putCommand } from "./commands/put.ts";
import { roleCommand } from "./commands/role.ts";
import { snapshotCommand } from "./commands/snapshot.ts";
import { txnCommand } from "./commands/txn.ts";
import { userCommand } from "./commands/user.ts";
import { versionCommand } from "./commands/version.ts";
import { watchCommand } from "./commands/watch.ts";
import { globalFlags } from "./global-flags.ts";

export const program: Program = {
  root: {
    name: "etcdctl",
    summary: "A simple command line client for etcd3.",
    sharedFlags: globalFlags,
    commands: [
      getCommand,
      putCommand,
      delCommand,
      txnCommand,
      compactionCommand,
      alarmCommand,
      defragCommand,
      endpointCommand,
      moveLeaderCommand,
      watchCommand,
      versionCommand,
      leaseCommand,
      memberCommand,
      snapshotCommand,
      makeMirrorCommand,
      lockCommand,
      electCommand,
      authCommand,
      userCommand,
      roleCommand,
      checkCommand,
      createCompletionCommand("etcdctl"),
      downgradeCommand,
      createHelpCommand("etcdctl", () => program),
    ],
  },
  version: etcdVersion,
  apiVersion,
  style: "sections",
};
