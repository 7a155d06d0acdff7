/** `etcdctl downgrade`. */
import { isatty } from "node:tty";
import { methods } from "../../../client/methods.ts";
import { DowngradeRequest_DowngradeAction as Action } from "../../../wire/gen/etcdserverpb/rpc.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import { openContext, request } from "../connect.ts";

const backupHint = "Hint: have a backup from before the downgrade (etcdctl snapshot save, quorate backup save).\n";

export const downgradeCommand: Command = {
  name: "downgrade",
  synopsis: "<TARGET_VERSION>",
  summary: "Downgrade related commands",
  commands: [
    {
      name: "validate",
      synopsis: "<TARGET_VERSION>",
      summary: "Validate downgrade capability before starting downgrade",
      run: (invocation) => downgrade(invocation, "downgradeValidate", Action.VALIDATE),
    },
    {
      name: "enable",
      synopsis: "<TARGET_VERSION>",
      summary: "Start a downgrade action to cluster",
      run: (invocation) => downgrade(invocation, "downgradeEnable", Action.ENABLE),
    },
    {
      name: "cancel",
      summary: "Cancel the ongoing downgrade action to cluster",
      run: (invocation) => downgrade(invocation, "downgradeCancel", Action.CANCEL),
    },
  ],
};

async function downgrade(
  invocation: Invocation,
  kind: "downgradeValidate" | "downgradeEnable" | "downgradeCancel",
  action: Action,
): Promise<void> {
  const version = kind === "downgradeCancel" ? "" : targetVersion(invocation.args);
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  // For people alone: what scripts read is etcd's to the letter.
  if (kind !== "downgradeCancel" && isatty(2)) invocation.terminal.error.write(backupHint);
  printer.print(kind, { response: await request(client.call(methods.downgrade, { action, version }, { timeoutMs })) });
}

/** @throws {CommandFailure} */
function targetVersion(args: readonly string[]): string {
  if (args.length < 1) throw badArguments("TARGET_VERSION not provided");
  if (args.length > 1) throw badArguments("too many arguments");
  if (args[0] === "") throw badArguments("target version not provided");
  return args[0];
}
