/** `etcdctl auth`. */
import { isClientError } from "../../../client/client-error.ts";
import type { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import { reasons } from "../../../wire/errors.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import { openContext, request } from "../connect.ts";

export const authCommand: Command = {
  name: "auth",
  synopsis: "<enable or disable>",
  summary: "Enable or disable authentication",
  commands: [
    { name: "enable", summary: "Enables authentication", run: enable },
    { name: "disable", summary: "Disables authentication", run: disable },
    { name: "status", summary: "Returns authentication status", run: status },
  ],
};

async function enable(invocation: Invocation): Promise<void> {
  checkNoArguments("enable", invocation.args);
  const { connect, timeoutMs } = await openContext(invocation);
  const client = await connect();
  await request(enableWithRoot(client, timeoutMs));
  invocation.terminal.output.write("Authentication Enabled\n");
}

/** Gives the user root the role root where that is all that is missing. */
async function enableWithRoot(client: Client, timeoutMs: number): Promise<void> {
  try {
    await client.call(methods.authEnable, {}, { timeoutMs });
  } catch (error) {
    if (!isClientError(error, reasons.rootRoleNotExist.message)) throw error;
    await client.call(methods.roleAdd, { name: "root" }, { timeoutMs });
    await client.call(methods.userGrantRole, { user: "root", role: "root" }, { timeoutMs });
    await client.call(methods.authEnable, {}, { timeoutMs });
  }
}

async function disable(invocation: Invocation): Promise<void> {
  checkNoArguments("disable", invocation.args);
  const { connect, timeoutMs } = await openContext(invocation);
  const client = await connect();
  await request(client.call(methods.authDisable, {}, { timeoutMs }));
  invocation.terminal.output.write("Authentication Disabled\n");
}

async function status(invocation: Invocation): Promise<void> {
  checkNoArguments("status", invocation.args);
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  printer.print("authStatus", { response: await request(client.call(methods.authStatus, {}, { timeoutMs })) });
}

function checkNoArguments(name: string, args: readonly string[]): void {
  if (args.length > 0) throw badArguments(`auth ${name} command does not accept any arguments`);
}
