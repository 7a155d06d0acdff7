/** `etcdctl endpoint`: each endpoint is asked by itself. */
import { formatDuration } from "../../../base/duration.ts";
import type { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  type AlarmMember,
} from "../../../wire/gen/etcdserverpb/rpc.ts";
import { ClientError } from "../../../client/client-error.ts";
import { reasons } from "../../../wire/errors.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import type { FlagSpec } from "../../shared/flags.ts";
import type { EndpointHash, EndpointHealth, EndpointStatus } from "../answers.ts";
import { openContext, type Context } from "../connect.ts";

export const clusterFlag: FlagSpec = {
  name: "cluster",
  type: "bool",
  initial: false,
  usage: "use all endpoints from the cluster member list",
};

export const endpointCommand: Command = {
  name: "endpoint",
  synopsis: "<subcommand>",
  summary: "Endpoint related commands",
  sharedFlags: [clusterFlag],
  commands: [
    {
      name: "health",
      summary: "Checks the healthiness of endpoints specified in `--endpoints` flag",
      run: health,
    },
    {
      name: "status",
      summary: "Prints out the status of endpoints specified in `--endpoints` flag",
      description: `When --write-out is set to simple, this command prints out comma-separated status lists for each endpoint.
The items in the lists are endpoint, ID, version, db size, is leader, is learner, raft term, raft index, raft applied index, errors.
`,
      run: status,
    },
    {
      name: "hashkv",
      summary: "Prints the KV history hash for each endpoint in --endpoints",
      sharedFlags: [
        {
          name: "rev",
          type: "integer",
          initial: 0n,
          usage: "maximum revision to hash (default: latest revision)",
        },
      ],
      run: hashKv,
    },
  ],
};

async function health(invocation: Invocation): Promise<void> {
  const context = await openContext(invocation);
  const pending = context.endpoints.map((endpoint) => healthOf(endpoint, context));
  // In the order of their answers, as etcdctl lists them.
  const response: EndpointHealth[] = [];
  await Promise.all(pending.map(async (one) => response.push(await one)));
  context.printer.print("endpointHealth", { response });
  if (response.some(({ error }) => error !== "")) throw new CommandFailure(ExitCode.Error, "unhealthy cluster");
}

/** Healthy = a linearizable read works and there is no alarm. */
async function healthOf(endpoint: string, { connect, timeoutMs }: Context): Promise<EndpointHealth> {
  let client: Client;
  try {
    client = await connect([endpoint], "client");
  } catch (error) {
    return { endpoint, healthy: false, took: "", error: messageOf(error) };
  }
  const { clock } = client.channel;
  const start = clock.monotonic();
  const took = (): string => formatDuration(clock.monotonic() - start);
  try {
    await client.call(methods.range, { key: Buffer.from("health") }, { timeoutMs });
  } catch (error) {
    // Being refused the key takes a working cluster too.
    const isRefused = error instanceof ClientError && error.description === reasons.permissionDenied.message;
    if (!isRefused) return { endpoint, healthy: false, took: took(), error: messageOf(error) };
  }
  const duration = took();
  const error = await alarmText(client, Math.max(0, timeoutMs - (clock.monotonic() - start)));
  return { endpoint, healthy: error === "", took: duration, error };
}

async function alarmText(client: Client, timeoutMs: number): Promise<string> {
  try {
    const { alarms } = await client.call(methods.alarm, { action: AlarmAction.GET }, { timeoutMs });
    return alarms.length === 0 ? "" : `Active Alarm(s): ${alarms.map((alarm) => alarmWord(alarm)).join("")}`;
  } catch {
    return "Unable to fetch the alarm list";
  }
}

function alarmWord({ alarm }: AlarmMember): string {
  if (alarm === AlarmType.NOSPACE) return "NOSPACE ";
  return alarm === AlarmType.CORRUPT ? "CORRUPT " : "UNKNOWN ";
}

async function status(invocation: Invocation): Promise<void> {
  const { endpoints, connect, printer, timeoutMs } = await openContext(invocation);
  const response: EndpointStatus[] = [];
  for (const endpoint of endpoints) {
    try {
      const client = await connect([endpoint]);
      response.push({ endpoint, status: await client.call(methods.status, {}, { timeoutMs }) });
      client.close();
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      invocation.terminal.error.write(`Failed to get the status of endpoint ${endpoint} (${messageOf(error)})\n`);
    }
  }
  printer.print("endpointStatus", { response });
  if (response.length < endpoints.length) throw new CommandFailure(ExitCode.Error, undefined);
}

async function hashKv(invocation: Invocation): Promise<void> {
  const { endpoints, connect, printer, timeoutMs } = await openContext(invocation);
  const revision = invocation.flags.integer("rev");
  const response: EndpointHash[] = [];
  let failure: string | undefined;
  for (const endpoint of endpoints) {
    try {
      const client = await connect([endpoint]);
      response.push({ endpoint, hash: await client.call(methods.hashKv, { revision }, { timeoutMs }) });
      client.close();
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      failure = messageOf(error);
      invocation.terminal.error.write(`Failed to get the hash of endpoint ${endpoint} (${failure})\n`);
    }
  }
  printer.print("endpointHash", { response });
  if (failure !== undefined) throw new CommandFailure(ExitCode.Error, failure);
}
