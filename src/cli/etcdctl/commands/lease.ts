/** `etcdctl lease`. */
import { keepAliveOnce, LeaseKeeper } from "../../../client/lease-keeper.ts";
import { methods } from "../../../client/methods.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments, ExitCode, messageOf } from "../../shared/failure.ts";
import { hex16, parseInt64 } from "../../shared/go-number.ts";
import { openContext, request } from "../connect.ts";

export const leaseCommand: Command = {
  name: "lease",
  synopsis: "<subcommand>",
  summary: "Lease related commands",
  commands: [
    { name: "grant", synopsis: "<ttl>", summary: "Creates leases", run: grant },
    { name: "revoke", synopsis: "<leaseID>", summary: "Revokes leases", run: revoke },
    {
      name: "timetolive",
      synopsis: "<leaseID> [options]",
      summary: "Get lease information",
      flags: [{ name: "keys", type: "bool", initial: false, usage: "Get keys attached to this lease" }],
      run: timeToLive,
    },
    { name: "list", summary: "List all active leases", run: list },
    {
      name: "keep-alive",
      synopsis: "[options] <leaseID>",
      summary: "Keeps leases alive (renew)",
      flags: [
        {
          name: "once",
          type: "bool",
          initial: false,
          usage: "Resets the keep-alive time to its original value and cobrautl.Exits immediately",
        },
      ],
      run: keepAlive,
    },
  ],
};

async function grant(invocation: Invocation): Promise<void> {
  const { args } = invocation;
  if (args.length !== 1) throw badArguments("lease grant command needs TTL argument");
  let ttl: bigint;
  try {
    ttl = parseInt64(args[0], 10);
  } catch (error) {
    throw badArguments(`bad TTL (${messageOf(error)})`);
  }
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const call = client.call(methods.leaseGrant, { TTL: ttl }, { timeoutMs });
  const response = await request(call, ExitCode.Error, (message) => `failed to grant lease (${message})`);
  printer.print("leaseGrant", { response });
}

async function revoke(invocation: Invocation): Promise<void> {
  const { args } = invocation;
  if (args.length !== 1) throw badArguments("lease revoke command needs 1 argument");
  const leaseId = leaseIdOf(args[0]);
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const call = client.call(methods.leaseRevoke, { ID: leaseId }, { timeoutMs });
  const response = await request(call, ExitCode.Error, (message) => `failed to revoke lease (${message})`);
  printer.print("leaseRevoke", { response, leaseId });
}

async function timeToLive(invocation: Invocation): Promise<void> {
  const { args, flags } = invocation;
  if (args.length !== 1) throw badArguments("lease timetolive command needs lease ID as argument");
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const withKeys = flags.bool("keys");
  const call = client.call(methods.leaseTimeToLive, { ID: leaseIdOf(args[0]), keys: withKeys });
  printer.print("leaseTimeToLive", { response: await request(call, ExitCode.BadConnection), withKeys });
}

async function list(invocation: Invocation): Promise<void> {
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("leaseList", { response: await request(client.call(methods.leaseList, {}), ExitCode.BadConnection) });
}

async function keepAlive(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length !== 1) throw badArguments("lease keep-alive command needs lease ID as argument");
  const leaseId = leaseIdOf(args[0]);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  if (flags.bool("once")) {
    const response = await request(keepAliveOnce(client, leaseId), ExitCode.BadConnection);
    printer.print("leaseKeepAlive", { response });
    return;
  }
  await new Promise<void>((resolve, reject) => {
    LeaseKeeper.start(client, leaseId, {
      response(response) {
        try {
          printer.print("leaseKeepAlive", { response });
          terminal.flush();
        } catch (error) {
          reject(error); // no such format
        }
      },
      ended: resolve,
    });
  });
  if (printer.format === "simple") terminal.output.write(`lease ${hex16(leaseId)} expired or revoked.\n`);
}

/** @throws {CommandFailure} */
function leaseIdOf(text: string): bigint {
  try {
    return parseInt64(text, 16);
  } catch (error) {
    throw badArguments(`bad lease ID arg (${messageOf(error)}), expecting ID in Hex`);
  }
}
