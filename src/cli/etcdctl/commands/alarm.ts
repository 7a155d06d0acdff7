/** `etcdctl alarm`. */
import { methods } from "../../../client/methods.ts";
import { AlarmRequest_AlarmAction as AlarmAction, AlarmResponse } from "../../../wire/gen/etcdserverpb/rpc.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import { openContext, request } from "../connect.ts";

export const alarmCommand: Command = {
  name: "alarm",
  synopsis: "<subcommand>",
  summary: "Alarm related commands",
  commands: [
    { name: "disarm", summary: "Disarms all alarms", run: disarm },
    { name: "list", summary: "Lists all alarms", run: list },
  ],
};

async function list(invocation: Invocation): Promise<void> {
  if (invocation.args.length > 0) throw badArguments("alarm list command accepts no arguments");
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.alarm, { action: AlarmAction.GET }, { timeoutMs }));
  printer.print("alarm", { response });
}

async function disarm(invocation: Invocation): Promise<void> {
  if (invocation.args.length > 0) throw badArguments("alarm disarm command accepts no arguments");
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const { alarms } = await request(client.call(methods.alarm, { action: AlarmAction.GET }, { timeoutMs }));
  const response = AlarmResponse.create();
  for (const { memberID, alarm } of alarms) {
    const fields = { action: AlarmAction.DEACTIVATE, memberID, alarm };
    const removed = await request(client.call(methods.alarm, fields, { timeoutMs }));
    response.alarms.push(...removed.alarms);
  }
  printer.print("alarm", { response });
}
