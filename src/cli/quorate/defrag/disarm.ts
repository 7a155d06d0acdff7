/** `--auto-disalarm`: the end of a NOSPACE alarm, once every member has room again. */
import { methods } from "../../../client/methods.ts";
import { AlarmRequest_AlarmAction, AlarmType } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { type Context, request } from "../../etcdctl/connect.ts";
import { hex } from "../../shared/go-number.ts";
import { type Print, statusOf } from "./members.ts";

export interface DisarmOptions {
  readonly endpoints: readonly string[];
  /** Of members that do not tell theirs. */
  readonly quota: number;
  /** Share of the quota below which all must be. */
  readonly threshold: number;
}

export async function disarm(context: Context, options: DisarmOptions, print: Print): Promise<void> {
  const client = await context.connect();
  try {
    const { alarms } = await request(client.call(methods.alarm, { action: AlarmRequest_AlarmAction.GET }));
    const full = alarms.filter(({ alarm }) => alarm === AlarmType.NOSPACE);
    if (full.length === 0) return;
    for (const endpoint of options.endpoints) {
      const { variables } = await statusOf(context, endpoint, options.quota, print);
      if (variables.dbQuotaUsage < options.threshold) continue;
      const usage = variables.dbQuotaUsage.toFixed(2);
      print(`Skipping disalarm because ${endpoint} uses ${usage} of its quota, the threshold is ${options.threshold}`);
      return;
    }
    for (const { memberID } of full) {
      const fields = { action: AlarmRequest_AlarmAction.DEACTIVATE, memberID, alarm: AlarmType.NOSPACE };
      await request(client.call(methods.alarm, fields));
      print(`Successfully disalarmed NOSPACE alarm of member ${hex(memberID)}`);
    }
  } finally {
    client.close();
  }
}
