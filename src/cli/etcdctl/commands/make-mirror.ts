/** `etcdctl make-mirror`. */
import type { Command } from "../../shared/command.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import { badArguments } from "../../shared/failure.ts";
import { connectDestination, openContext, request } from "../connect.ts";
import { mirror } from "../mirror.ts";

/** How often the number of keys is printed. */
const reportMs = 30_000;

export const makeMirrorCommand: Command = {
  name: "make-mirror",
  synopsis: "[options] <destination>",
  summary: "Makes a mirror at the destination etcd cluster",
  flags: [
    { name: "prefix", type: "string", initial: "", usage: "Key-value prefix to mirror" },
    { name: "rev", type: "integer", initial: 0n, usage: "Specify the kv revision to start to mirror" },
    {
      name: "max-txn-ops",
      type: "unsigned",
      initial: 128n,
      usage: "Maximum number of operations permitted in a transaction during syncing updates.",
    },
    {
      name: "dest-prefix",
      type: "string",
      initial: "",
      usage: "destination prefix to mirror a prefix to a different prefix in the destination cluster",
    },
    {
      name: "no-dest-prefix",
      type: "bool",
      initial: false,
      usage: "mirror key-values to the root of the destination cluster",
    },
    {
      name: "dest-cert",
      type: "string",
      initial: "",
      usage: "Identify secure client using this TLS certificate file for the destination cluster",
    },
    { name: "dest-key", type: "string", initial: "", usage: "Identify secure client using this TLS key file" },
    {
      name: "dest-cacert",
      type: "string",
      initial: "",
      usage: "Verify certificates of TLS enabled secure servers using this CA bundle",
    },
    {
      name: "dest-insecure-transport",
      type: "bool",
      initial: true,
      usage: "Disable transport security for client connections",
    },
    {
      name: "dest-user",
      type: "string",
      initial: "",
      usage: "Destination username[:password] for authentication (prompt if password is not supplied)",
    },
    {
      name: "dest-password",
      type: "string",
      initial: "",
      usage:
        "Destination password for authentication (if this option is used, --user option shouldn't include password)",
    },
  ],
  async run(invocation) {
    const { args, flags, terminal } = invocation;
    if (args.length !== 1) throw badArguments("make-mirror takes one destination argument");
    const destination = await connectDestination(invocation, args[0]);
    const { connect } = await openContext(invocation);
    const source = await connect();
    const given = flags.text("dest-prefix");
    if (flags.bool("no-dest-prefix") && given !== "") {
      throw badArguments("`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
    }
    const prefix = flags.text("prefix");
    const revision = flags.integer("rev");
    // etcdctl forgets to keep the prefix when it does not copy first, and scripts have seen it so.
    const keepsPrefix = given === "" && !flags.bool("no-dest-prefix") && revision <= 1n;
    let keys = 0;
    source.channel.clock.setTicker(() => {
      terminal.output.write(`${keys}\n`);
      terminal.flush();
    }, reportMs);
    await request(
      mirror({
        source,
        destination,
        prefix: bytesOf(prefix),
        destinationPrefix: bytesOf(keepsPrefix ? prefix : given),
        revision,
        operationsMax: Number(flags.integer("max-txn-ops")),
        onKey: () => keys++,
      }),
    );
  },
};
