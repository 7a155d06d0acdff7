/** `etcdctl move-leader`: the request must reach the leader, so its endpoint is looked for first. */
import type { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments, messageOf } from "../../shared/failure.ts";
import { parseUint64 } from "../../shared/go-number.ts";
import { openContext, request, type Context } from "../connect.ts";

export const moveLeaderCommand: Command = {
  name: "move-leader",
  synopsis: "<transferee-member-id>",
  summary: "Transfers leadership to another etcd cluster member.",
  async run(invocation) {
    const { args } = invocation;
    if (args.length !== 1) throw badArguments("move-leader command needs 1 argument");
    const to = targetOf(args[0]);
    const context = await openContext(invocation);
    await context.connect(); // a failing log-in is reported before anything else
    const { client, leaderId } = await findLeader(context);
    const { timeoutMs } = context;
    const response = await request(client.call(methods.moveLeader, { targetID: to }, { timeoutMs }));
    context.printer.print("moveLeader", { response, from: leaderId, to });
  },
};

function targetOf(text: string): bigint {
  try {
    return parseUint64(text, 16);
  } catch (error) {
    throw badArguments(messageOf(error));
  }
}

async function findLeader({ endpoints, connect, timeoutMs }: Context): Promise<{ client: Client; leaderId: bigint }> {
  for (const endpoint of endpoints) {
    const client = await connect([endpoint]);
    const status = await request(client.call(methods.status, {}, { timeoutMs }));
    if (status.header?.memberId === status.leader) return { client, leaderId: status.leader };
    client.close();
  }
  throw badArguments(`no leader endpoint given at [${endpoints.join(" ")}]`);
}
