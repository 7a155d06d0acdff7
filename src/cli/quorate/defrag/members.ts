/** What the members say of themselves, and whether they are well enough to be defragmented. */
import { formatDuration } from "../../../base/duration.ts";
import { methods } from "../../../client/methods.ts";
import { AlarmRequest_AlarmAction, AlarmType } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { type Context, request } from "../../etcdctl/connect.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { hex } from "../../shared/go-number.ts";
import type { RuleVariables } from "./rule.ts";

export interface MemberStatus {
  readonly endpoint: string;
  readonly memberId: bigint;
  readonly leader: bigint;
  /** Learners answer few requests; they are left alone. */
  readonly isLearner: boolean;
  readonly variables: RuleVariables;
}

export type Print = (line: string) => void;

/** @param quota - of members that do not tell theirs. @throws {CommandFailure} */
export async function statusOf(
  { connect, timeoutMs }: Context,
  endpoint: string,
  quota: number,
  print: Print,
): Promise<MemberStatus> {
  const client = await connect([endpoint]);
  try {
    const status = await request(
      client.call(methods.status, {}, { timeoutMs }),
      ExitCode.Error,
      (message) => `cannot get the status of ${endpoint}: ${message}`,
    );
    const dbSize = Number(status.dbSize);
    const dbSizeInUse = Number(status.dbSizeInUse);
    const dbQuota = Number(status.dbSizeQuota) > 0 ? Number(status.dbSizeQuota) : quota;
    const dbSizeFree = dbSize - dbSizeInUse;
    const memberId = status.header?.memberId ?? 0n;
    print(
      `endpoint: ${endpoint}, dbSize: ${dbSize}, dbSizeInUse: ${dbSizeInUse}, memberId: ${hex(memberId)}, ` +
        `leader: ${hex(status.leader)}`,
    );
    const variables = { dbSize, dbSizeInUse, dbSizeFree, dbQuota, dbQuotaUsage: dbSize / dbQuota };
    return { endpoint, memberId, leader: status.leader, isLearner: status.isLearner, variables };
  } finally {
    client.close();
  }
}

export function isLeader({ memberId, leader }: MemberStatus): boolean {
  return memberId === leader;
}

export interface HealthOptions {
  /** Only the endpoints given are asked; else all members, whichever are to be defragmented. */
  readonly onlyGiven: boolean;
  readonly excludeLocalhost: boolean;
}

/** An alarm for lack of space is no reason to stop. @throws {CommandFailure} when one is not well. */
export async function checkHealth(context: Context, options: HealthOptions, print: Print): Promise<void> {
  const { connect, timeoutMs } = context;
  const client = await connect();
  let sick = 0;
  let endpoints = context.endpoints;
  try {
    const get = { action: AlarmRequest_AlarmAction.GET };
    const { alarms } = await request(client.call(methods.alarm, get, { timeoutMs }));
    sick = alarms.filter(({ alarm }) => alarm !== AlarmType.NOSPACE).length;
    if (!options.onlyGiven) {
      const { members } = await request(client.call(methods.memberList, { linearizable: true }, { timeoutMs }));
      endpoints = members.filter(({ isLearner }) => !isLearner).flatMap(({ clientURLs }) => clientURLs);
    }
  } finally {
    client.close();
  }
  if (options.excludeLocalhost) endpoints = endpoints.filter((endpoint) => !isLocalhost(endpoint));
  for (const endpoint of endpoints) {
    if (!(await isHealthy(context, endpoint, print))) sick++;
  }
  if (sick > 0) throw new CommandFailure(ExitCode.Error, "the cluster is not healthy; nothing was defragmented");
}

async function isHealthy({ connect, timeoutMs }: Context, endpoint: string, print: Print): Promise<boolean> {
  const member = await connect([endpoint]);
  const { clock } = member.channel;
  const start = clock.monotonic();
  let error = "";
  try {
    await member.call(methods.range, { key: Buffer.from("health") }, { timeoutMs });
  } catch (cause) {
    error = messageOf(cause);
  } finally {
    member.close();
  }
  const took = formatDuration(clock.monotonic() - start);
  print(`endpoint: ${endpoint}, health: ${error === ""}, took: ${took}, error: ${error}`);
  return error === "";
}

/** `localhost` and loopback addresses. */
export function isLocalhost(endpoint: string): boolean {
  const host = endpoint
    .replace(/^\w+:\/\//, "")
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
