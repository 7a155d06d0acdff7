/**
 * `quorate defrag`: defragments members one after the other, those that a rule picks, the leader last; takes the flags of
 * the tool etcd-defrag and prints as it does. Nothing is begun while a member of the cluster is not healthy.
 */
import { formatDuration } from "../../../base/duration.ts";
import { methods } from "../../../client/methods.ts";
import { type AlarmMember, AlarmRequest_AlarmAction, AlarmType } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { clusterFlag } from "../../etcdctl/commands/endpoint.ts";
import { type Context, openContext, request } from "../../etcdctl/connect.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { hex } from "../../shared/go-number.ts";
import { parseRule, type Rule, type RuleVariables } from "./rule.ts";

/** What one endpoint says of itself. */
interface MemberStatus {
  readonly endpoint: string;
  readonly memberId: bigint;
  readonly leader: bigint;
  readonly variables: RuleVariables;
}

type Print = (line: string) => void;

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
  await checkHealth(context, print);
  const quota = Number(flags.integer("etcd-storage-quota-bytes"));
  print("Getting members status");
  const members = await statuses(context, context.endpoints, quota, print);
  // The leader stands still only once, at the end: the others are dense by then should it lose its place.
  const isLeader = ({ memberId, leader }: MemberStatus): boolean => memberId === leader;
  const ordered = [...members.filter((member) => !isLeader(member)), ...members.filter(isLeader)];
  if (flags.bool("compaction") && !flags.bool("dry-run")) await compact(context, print);
  print(
    `${ordered.length} endpoint(s) need to be defragmented: [${ordered.map(({ endpoint }) => endpoint).join(" ")}]`,
  );
  const failures = await defragmentAll(invocation, context, ordered, rule, print);
  if (flags.bool("auto-disalarm") && !flags.bool("dry-run")) await disarm(context, quota, threshold, print);
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

/** Of all members of the cluster, whichever are to be defragmented. An alarm for lack of space is no reason to stop. */
async function checkHealth({ connect, timeoutMs }: Context, print: Print): Promise<void> {
  const client = await connect();
  const { members } = await request(client.call(methods.memberList, { linearizable: true }, { timeoutMs }));
  const { alarms } = await request(client.call(methods.alarm, { action: AlarmRequest_AlarmAction.GET }, { timeoutMs }));
  client.close();
  let sick = alarms.filter(({ alarm }) => alarm !== AlarmType.NOSPACE).length;
  for (const endpoint of members.flatMap(({ clientURLs }) => clientURLs.slice(0, 1))) {
    const member = await connect([endpoint]);
    const { clock } = member.channel;
    const start = clock.monotonic();
    let error = "";
    try {
      await member.call(methods.range, { key: Buffer.from("health") }, { timeoutMs });
    } catch (cause) {
      error = messageOf(cause);
      sick++;
    }
    member.close();
    const took = formatDuration(clock.monotonic() - start);
    print(`endpoint: ${endpoint}, health: ${error === ""}, took: ${took}, error: ${error}`);
  }
  if (sick > 0) throw new CommandFailure(ExitCode.Error, "the cluster is not healthy; nothing was defragmented");
}

async function statuses(
  { connect, timeoutMs }: Context,
  endpoints: readonly string[],
  quota: number,
  print: Print,
): Promise<MemberStatus[]> {
  const found: MemberStatus[] = [];
  for (const endpoint of endpoints) {
    const client = await connect([endpoint]);
    const status = await request(
      client.call(methods.status, {}, { timeoutMs }),
      ExitCode.Error,
      (message) => `cannot get the status of ${endpoint}: ${message}`,
    );
    client.close();
    const dbSize = Number(status.dbSize);
    const dbSizeInUse = Number(status.dbSizeInUse);
    const dbQuota = Number(status.dbSizeQuota) > 0 ? Number(status.dbSizeQuota) : quota;
    const variables = {
      dbSize,
      dbSizeInUse,
      dbSizeFree: dbSize - dbSizeInUse,
      dbQuota,
      dbQuotaUsage: dbSize / dbQuota,
    };
    const memberId = status.header?.memberId ?? 0n;
    print(
      `endpoint: ${endpoint}, dbSize: ${dbSize}, dbSizeInUse: ${dbSizeInUse}, memberId: ${hex(memberId)}, ` +
        `leader: ${hex(status.leader)}`,
    );
    found.push({ endpoint, memberId, leader: status.leader, variables });
  }
  return found;
}

async function compact({ connect, timeoutMs }: Context, print: Print): Promise<void> {
  const client = await connect();
  const { header } = await request(client.call(methods.range, { key: Buffer.from("health") }, { timeoutMs }));
  const revision = header?.revision ?? 0n;
  print(`Running compaction until revision: ${revision}`);
  await request(client.call(methods.compact, { revision, physical: true }));
  client.close();
}

/** @returns how many failed. */
async function defragmentAll(
  { flags }: Invocation,
  { connect }: Context,
  members: readonly MemberStatus[],
  rule: Rule | undefined,
  print: Print,
): Promise<number> {
  let failures = 0;
  for (const [index, { endpoint, variables }] of members.entries()) {
    print(`${flags.bool("dry-run") ? "[Dry run] " : ""}Defragmenting endpoint: ${endpoint}`);
    if (rule !== undefined && !rule(variables)) {
      print(`Evaluation result is false, so skipping endpoint: ${endpoint}`);
      continue;
    }
    if (flags.bool("dry-run")) continue;
    const client = await connect([endpoint]);
    const { clock } = client.channel;
    const start = clock.monotonic();
    const took = (): string => formatDuration(clock.monotonic() - start);
    try {
      // A large file takes as long as it takes: no time limit.
      await client.call(methods.defragment, {});
      print(`Finished defragmenting etcd member[${endpoint}]. took ${took()}`);
    } catch (error) {
      failures++;
      print(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${messageOf(error)})`);
      if (!flags.bool("continue-on-error")) return failures;
    } finally {
      client.close();
    }
    const pauseMs = flags.duration("wait-between-defrags");
    if (pauseMs > 0 && index + 1 < members.length) {
      await new Promise<void>((resolve) => void clock.setTimer(resolve, pauseMs));
    }
  }
  return failures;
}

async function disarm(context: Context, quota: number, threshold: number, print: Print): Promise<void> {
  const client = await context.connect();
  const { alarms } = await request(client.call(methods.alarm, { action: AlarmRequest_AlarmAction.GET }));
  const full: AlarmMember[] = alarms.filter(({ alarm }) => alarm === AlarmType.NOSPACE);
  if (full.length > 0) {
    const members = await statuses(context, context.endpoints, quota, print);
    const over = members.find(({ variables }) => variables.dbQuotaUsage >= threshold);
    if (over !== undefined) {
      const usage = over.variables.dbQuotaUsage.toFixed(2);
      print(`Skipping disalarm because ${over.endpoint} uses ${usage} of its quota, the threshold is ${threshold}`);
    } else {
      for (const { memberID } of full) {
        const fields = { action: AlarmRequest_AlarmAction.DEACTIVATE, memberID, alarm: AlarmType.NOSPACE };
        await request(client.call(methods.alarm, fields));
        print(`Successfully disalarmed NOSPACE alarm of member ${hex(memberID)}`);
      }
    }
  }
  client.close();
}
