/** `etcdctl defrag`: one endpoint after the other, as each stands still meanwhile. */
import { formatDuration } from "../../../base/duration.ts";
import { methods } from "../../../client/methods.ts";
import type { Command } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { openContext } from "../connect.ts";
import { clusterFlag } from "./endpoint.ts";

export const defragCommand: Command = {
  name: "defrag",
  summary: "Defragments the storage of the etcd members with given endpoints",
  sharedFlags: [clusterFlag],
  async run(invocation) {
    const { endpoints, connect, timeoutMs } = await openContext(invocation);
    const { terminal } = invocation;
    let failures = 0;
    for (const endpoint of endpoints) {
      const client = await connect([endpoint]);
      const { clock } = client.channel;
      const start = clock.monotonic();
      const took = (): string => formatDuration(clock.monotonic() - start);
      try {
        await client.call(methods.defragment, {}, { timeoutMs });
        terminal.output.write(`Finished defragmenting etcd member[${endpoint}]. took ${took()}\n`);
      } catch (error) {
        failures++;
        terminal.error.write(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${messageOf(error)})\n`);
      }
      terminal.flush();
      client.close();
    }
    if (failures > 0) throw new CommandFailure(ExitCode.Error, undefined);
  },
};
