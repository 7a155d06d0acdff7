/**
 * `quorate defrag`: defragments members one after the other, those that a rule picks, the leader last; takes the flags of
 * the tool etcd-defrag and prints as it does. Nothing is begun while a member of the cluster is not healthy.
 */
import { formatDuration } from "../../../base/duration.ts";
import { methods } from "../../../client/methods.ts";
import { clusterFlag } from "../../etcdctl/commands/endpoint.ts";
import { type Context, openContext, request } from "../../etcdctl/connect.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { hex } from "../../shared/go-number.ts";
import { disarm } from "./disarm.ts";
import { checkHealth, isLeader, isLocalhost, type MemberStatus, type Print, statusOf } from "./members.ts";
import { parseRule, type Rule } from "./rule.ts";

export const defragCommand: Command = {
  name: "defrag",
  summary: "Defragments members, the leader last, where a rule says so",
  sharedFlags: [clusterFlag],
  flags: [
    {
      name: "defrag-rule",
      type: "string",
      initial: "",
      usage:
        "defragment a member only if this is true, such as 'dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024'; names: dbSize, dbSizeInUse, dbSizeFree, dbQuota, dbQuotaUsage",
    },
    { name: "dry-run", type: "bool", initial: false, usage: "print what would be done, and do nothing" },
    {
      name: "etcd-storage-quota-bytes",
      type: "integer",
      initial: 2n ** 31n,
      usage: "quota of members that do not tell it (before 3.6)",
    },
    { name: "continue-on-error", type: "bool", initial: true, usage: "go on with the next member if one fails" },
    {
      name: "compaction",
      type: "bool",
      initial: false,
      usage: "compact up to the current revision first; not for Kubernetes, which compacts by itself",
    },
    {
      name: "wait-between-defrags",
      type: "duration",
      initial: 0,
      usage: "pause between two members",
    },
    { name: "exclude-localhost", type: "bool", initial: false, usage: "leave out localhost and loopback addresses" },
    {
      name: "skip-healthcheck-cluster-endpoints",
      type: "bool",
      initial: false,
      usage: "check the health of the endpoints given alone, not of all members",
    },
    {
      name: "move-leader",
      type: "bool",
      initial: false,
      usage: "hand over the leadership before the leader is defragmented",
    },
    {
      name: "auto-disalarm",
      type: "bool",
      initial: false,
      usage: "disarm NOSPACE alarms at the end if every member is below the threshold",
    },
    {
      name: "disalarm-threshold",
      type: "string",
      initial: "0.9",
      usage: "share of the quota below which alarms are disarmed",
    },
  ],
  run,
};

async function run(invocation: Invocation): Promise<void> {
  const { flags, terminal } = invocation;
  const print: Print = (line) => {
    terminal.output.write(`${line}\n`);
    terminal.flush();
  };
  print("Validating configuration.");
  const rule = ruleOf(flags.text("defrag-rule"), print);
  const threshold = Number(flags.text("disalarm-threshold"));
  if (!(threshold > 0 && threshold <= 1)) {
    throw new CommandFailure(ExitCode.BadArguments, `--disalarm-threshold must be above 0 and at most 1`);
  }
  const context = await openContext(invocation);
  print("Performing health check.");
  const excludeLocalhost = flags.bool("exclude-localhost");
  await checkHealth(context, { onlyGiven: flags.bool("skip-healthcheck-cluster-endpoints"), excludeLocalhost }, print);
  const quota = Number(flags.integer("etcd-storage-quota-bytes"));
  print("Getting members status");
  const members: MemberStatus[] = [];
  for (const endpoint of context.endpoints) {
    if (excludeLocalhost && isLocalhost(endpoint)) continue;
    const member = await statusOf(context, endpoint, quota, print);
    if (!member.isLearner) members.push(member);
  }
  // The leader stands still only once, at the end: the others are dense by then should it lose its place.
  const ordered = [...members.filter((member) => !isLeader(member)), ...members.filter(isLeader)];
  const endpoints = ordered.map(({ endpoint }) => endpoint);
  if (flags.bool("compaction") && !flags.bool("dry-run")) await compact(context, print);
  print(`${endpoints.length} endpoint(s) need to be defragmented: [${endpoints.join(" ")}]`);
  const failures = await defragmentAll({ flags, context, endpoints, rule, quota, print });
  if (flags.bool("auto-disalarm") && !flags.bool("dry-run")) {
    await disarm(context, { endpoints: context.endpoints, quota, threshold }, print);
  }
  if (failures > 0) throw new CommandFailure(ExitCode.Error, `${failures} endpoint(s) failed to be defragmented.`);
  print("The defragmentation is successful.");
}

function ruleOf(text: string, print: Print): Rule | undefined {
  if (text === "") {
    print("No defragmentation rule provided");
    return undefined;
  }
  try {
    const rule = parseRule(text);
    print(`Validating the defragmentation rule: ${text} ... valid`);
    return rule;
  } catch (cause) {
    print(`Validating the defragmentation rule: ${text} ... invalid`);
    throw new CommandFailure(ExitCode.BadArguments, messageOf(cause), { cause });
  }
}

async function compact({ connect, timeoutMs }: Context, print: Print): Promise<void> {
  const client = await connect();
  const { header } = await request(client.call(methods.range, { key: Buffer.from("health") }, { timeoutMs }));
  const revision = header?.revision ?? 0n;
  print(`Running compaction until revision: ${revision}`);
  await request(client.call(methods.compact, { revision, physical: true }));
  client.close();
}

interface Work {
  readonly flags: FlagSet;
  readonly context: Context;
  readonly endpoints: readonly string[];
  readonly rule: Rule | undefined;
  readonly quota: number;
  readonly print: Print;
}

/** @returns how many failed. */
async function defragmentAll(work: Work): Promise<number> {
  const { flags, endpoints, print } = work;
  let failures = 0;
  for (const [index, endpoint] of endpoints.entries()) {
    let isDone = false;
    try {
      isDone = await defragmentOne(work, endpoint);
    } catch (error) {
      failures++;
      print(`Failed to defragment etcd member[${endpoint}]. (${messageOf(error)})`);
      if (!flags.bool("continue-on-error")) return failures;
    }
    if (isDone && index + 1 < endpoints.length) await pause(flags);
  }
  return failures;
}

/** @returns whether it was done, and not left alone. @throws {Error} */
async function defragmentOne({ flags, context, rule, quota, print }: Work, endpoint: string): Promise<boolean> {
  // Asked again: another member's turn may have taken long.
  const member = await statusOf(context, endpoint, quota, print);
  if (rule !== undefined && !rule(member.variables)) {
    print(`Evaluation result is false, so skipping endpoint: ${endpoint}`);
    return false;
  }
  if (flags.bool("dry-run")) {
    print(`[Dry run] Defragmenting endpoint: ${endpoint}`);
    return false;
  }
  if (flags.bool("move-leader") && isLeader(member)) await handOver(context, member, print);
  print(`Defragmenting endpoint: ${endpoint}`);
  const client = await context.connect([endpoint]);
  try {
    const { clock } = client.channel;
    const start = clock.monotonic();
    // A large file takes as long as it takes: no time limit.
    await client.call(methods.defragment, {});
    print(`Finished defragmenting etcd member[${endpoint}]. took ${formatDuration(clock.monotonic() - start)}`);
  } finally {
    client.close();
  }
  await statusOf(context, endpoint, quota, print);
  return true;
}

/** To any voter that is not the leader; by then all of them have been defragmented. */
async function handOver({ connect, timeoutMs }: Context, leader: MemberStatus, print: Print): Promise<void> {
  const client = await connect([leader.endpoint]);
  try {
    const { members } = await client.call(methods.memberList, { linearizable: true }, { timeoutMs });
    const next = members.find(({ ID, isLearner }) => ID !== leader.memberId && !isLearner);
    if (next === undefined) {
      print("Skip moving leader as there is only one member in the cluster");
      return;
    }
    print(`Transferring the leadership from ${hex(leader.memberId)} to ${hex(next.ID)}`);
    await client.call(methods.moveLeader, { targetID: next.ID }, { timeoutMs });
  } finally {
    client.close();
  }
}

async function pause(flags: FlagSet): Promise<void> {
  const pauseMs = flags.duration("wait-between-defrags");
  if (pauseMs > 0) await new Promise((resolve) => void setTimeout(resolve, pauseMs));
}
