/**
 * `quorate preflight`: what to look at before an upgrade, a downgrade, a restore drill or a defragmentation, in one go. Each
 * check is a line; the exit code is 1 when one of them says `FAIL`.
 */
import { formatDuration } from "../../../base/duration.ts";
import { methods } from "../../../client/methods.ts";
import { NodeClock } from "../../../platform/node/clock.ts";
import { NodeDisk } from "../../../platform/node/disk.ts";
import {
  AlarmRequest_AlarmAction,
  AlarmType,
  DowngradeRequest_DowngradeAction,
  type StatusResponse,
} from "../../../wire/gen/etcdserverpb/rpc.ts";
import { type Context, openContext } from "../../etcdctl/connect.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { hex } from "../../shared/go-number.ts";
import { listBackups } from "../backup/catalog.ts";

type Verdict = "ok" | "warn" | "FAIL";

interface Finding {
  readonly verdict: Verdict;
  readonly text: string;
}

interface MemberFacts {
  readonly endpoint: string;
  readonly status: StatusResponse;
}

/** A member that is further behind is not to be relied on when another one is taken down. */
const entriesBehindMax = 1000n;
/** From here on the quota is near. */
const quotaShareMax = 0.8;

export const preflightCommand: Command = {
  name: "preflight",
  summary: "Checks the cluster and its backup before an upgrade, a downgrade or other maintenance",
  flags: [
    { name: "dir", type: "string", initial: "", usage: "directory of the backups" },
    { name: "max-backup-age", type: "duration", initial: 86_400_000, usage: "a backup that is older does not count" },
    { name: "downgrade-to", type: "string", initial: "", usage: "ask the cluster whether it can go down to X.Y" },
  ],
  run,
};

async function run(invocation: Invocation): Promise<void> {
  const { flags, terminal } = invocation;
  const context = await openContext(invocation);
  const findings: Finding[] = [];
  const { endpoints, found: membership } = await checkMembership(context);
  findings.push(...membership);
  const members: MemberFacts[] = [];
  for (const endpoint of endpoints) {
    const { facts, finding } = await checkMember(context, endpoint);
    if (facts !== undefined) members.push(facts);
    findings.push(finding);
  }
  if (members.length > 0) findings.push(...compareMembers(members));
  const clusterId = members[0]?.status.header?.clusterId;
  const log = new ConsoleLogger(terminal.error, "preflight/command.ts");
  const age = flags.duration("max-backup-age");
  findings.push(checkBackup(new NodeDisk(log), flags.text("dir"), clusterId, age));
  const target = flags.text("downgrade-to");
  if (target !== "") findings.push(await checkDowngrade(context, target));
  for (const { verdict, text } of findings) terminal.output.write(`${verdict.padEnd(4)}  ${text}\n`);
  const failed = findings.filter(({ verdict }) => verdict === "FAIL").length;
  if (failed > 0) throw new CommandFailure(ExitCode.Error, `${failed} check(s) failed: do not go on`);
}

/** The members as the cluster knows them, and its alarms. */
async function checkMembership({
  connect,
  endpoints: given,
  timeoutMs,
}: Context): Promise<{ endpoints: readonly string[]; found: Finding[] }> {
  const client = await connect();
  try {
    const { members } = await client.call(methods.memberList, { linearizable: true }, { timeoutMs });
    const { alarms } = await client.call(methods.alarm, { action: AlarmRequest_AlarmAction.GET }, { timeoutMs });
    const found: Finding[] = alarms.map(({ memberID, alarm }) => ({
      verdict: "FAIL",
      text: `member ${hex(memberID)} has raised the alarm ${alarm === AlarmType.NOSPACE ? "NOSPACE" : "CORRUPT"}`,
    }));
    if (alarms.length === 0) found.push({ verdict: "ok", text: "no alarms" });
    for (const { name, ID, isLearner } of members) {
      if (name === "") found.push({ verdict: "FAIL", text: `member ${hex(ID)} was added and has never started` });
      if (isLearner)
        found.push({ verdict: "warn", text: `member ${hex(ID)} is a learner: promote or remove it first` });
    }
    if (members.length < 3) {
      found.push({ verdict: "warn", text: `${members.length} member(s): the cluster stands still while one is down` });
    }
    return { endpoints: members.flatMap(({ clientURLs }) => clientURLs.slice(0, 1)), found };
  } catch (error) {
    return { endpoints: given, found: [{ verdict: "FAIL", text: `the cluster does not answer: ${messageOf(error)}` }] };
  } finally {
    client.close();
  }
}

async function checkMember(
  { connect, timeoutMs }: Context,
  endpoint: string,
): Promise<{ facts?: MemberFacts; finding: Finding }> {
  const client = await connect([endpoint]);
  try {
    await client.call(methods.range, { key: Buffer.from("health") }, { timeoutMs });
    const status = await client.call(methods.status, {}, { timeoutMs });
    const { version, storageVersion } = status;
    const text = `${endpoint} serves; version ${version}, storage ${storageVersion === "" ? "before 3.6" : storageVersion}`;
    return { facts: { endpoint, status }, finding: { verdict: "ok", text } };
  } catch (error) {
    return { finding: { verdict: "FAIL", text: `${endpoint} does not serve: ${messageOf(error)}` } };
  } finally {
    client.close();
  }
}

function compareMembers(members: readonly MemberFacts[]): Finding[] {
  const findings: Finding[] = [];
  const leaders = new Set(members.map(({ status }) => status.leader));
  findings.push(
    leaders.size === 1 && !leaders.has(0n)
      ? { verdict: "ok", text: `all follow the leader ${hex([...leaders][0])}` }
      : { verdict: "FAIL", text: "the members do not agree on a leader" },
  );
  const versions = new Set(members.map(({ status }) => status.version));
  if (versions.size > 1) {
    findings.push({ verdict: "warn", text: `versions are mixed (${[...versions].join(", ")}): a change is under way` });
  }
  const furthest = members.reduce((most, { status }) => (status.raftIndex > most ? status.raftIndex : most), 0n);
  for (const { endpoint, status } of members) {
    const behind = furthest - status.raftAppliedIndex;
    if (behind > entriesBehindMax) findings.push({ verdict: "FAIL", text: `${endpoint} is ${behind} entries behind` });
    const share = status.dbSizeQuota > 0n ? Number(status.dbSize) / Number(status.dbSizeQuota) : 0;
    if (share > quotaShareMax) {
      findings.push({ verdict: "warn", text: `${endpoint} uses ${Math.round(share * 100)} % of its quota` });
    }
  }
  const { downgradeInfo } = members[0].status;
  if (downgradeInfo?.enabled === true) {
    findings.push({ verdict: "warn", text: `a downgrade to ${downgradeInfo.targetVersion} is enabled` });
  }
  return findings;
}

/** The advice that comes before all others. */
function checkBackup(disk: NodeDisk, directory: string, clusterId: bigint | undefined, ageMaxMs: number): Finding {
  if (directory === "") {
    return {
      verdict: "FAIL",
      text: "no backup is known: make one (quorate backup save), and name its directory in --dir",
    };
  }
  const backups = listBackups(disk, directory).filter(
    (backup) => backup.facts !== undefined && (clusterId === undefined || backup.clusterId === hex(clusterId)),
  );
  const newest = backups.at(-1);
  if (newest?.facts === undefined) {
    return {
      verdict: "FAIL",
      text: `${directory} holds no verified backup of this cluster: make one (quorate backup save)`,
    };
  }
  const ageMs = Math.floor((new NodeClock().now() - Date.parse(newest.facts.createdAt)) / 1000) * 1000;
  const text = `the newest verified backup, ${newest.name}, is ${formatDuration(ageMs)} old`;
  return ageMs <= ageMaxMs
    ? { verdict: "ok", text }
    : { verdict: "FAIL", text: `${text}, more than ${formatDuration(ageMaxMs)}` };
}

async function checkDowngrade({ connect, timeoutMs }: Context, version: string): Promise<Finding> {
  const client = await connect();
  try {
    const action = DowngradeRequest_DowngradeAction.VALIDATE;
    const answer = await client.call(methods.downgrade, { action, version }, { timeoutMs });
    return { verdict: "ok", text: `the cluster, at ${answer.version}, can be downgraded to ${version}` };
  } catch (error) {
    return { verdict: "FAIL", text: `the cluster cannot be downgraded to ${version}: ${messageOf(error)}` };
  } finally {
    client.close();
  }
}
