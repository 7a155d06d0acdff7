/** `etcdutl snapshot`. */
import type { Command } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";

export const restoreCommand: Command = {
  name: "restore",
  synopsis: "<filename> --data-dir {output dir} [options]",
  summary: "Restores an etcd member snapshot to an etcd directory",
  flags: [
    { name: "data-dir", type: "string", initial: "", usage: "Path to the output data directory" },
    { name: "wal-dir", type: "string", initial: "", usage: "Path to the WAL directory (use --data-dir if none given)" },
    {
      name: "initial-cluster",
      type: "string",
      initial: "default=http://localhost:2380",
      usage: "Initial cluster configuration for restore bootstrap",
    },
    {
      name: "initial-cluster-token",
      type: "string",
      initial: "etcd-cluster",
      usage: "Initial cluster token for the etcd cluster during restore bootstrap",
    },
    {
      name: "initial-advertise-peer-urls",
      type: "string",
      initial: "http://localhost:2380",
      usage: "List of this member's peer URLs to advertise to the rest of the cluster",
    },
    { name: "name", type: "string", initial: "default", usage: "Human-readable name for this member" },
    {
      name: "skip-hash-check",
      type: "bool",
      initial: false,
      usage: "Ignore snapshot integrity hash value (required if copied from data directory)",
    },
    {
      name: "initial-memory-map-size",
      type: "unsigned",
      initial: 10_737_418_240n,
      usage:
        "Initial memory map size of the database in bytes. It uses the default value if not defined or defined to 0",
    },
    {
      name: "bump-revision",
      type: "unsigned",
      initial: 0n,
      usage: "How much to increase the latest revision after restore",
    },
    {
      name: "mark-compacted",
      type: "bool",
      initial: false,
      usage:
        "Mark the latest revision after restore as the point of scheduled compaction (required if --bump-revision > 0, disallowed otherwise)",
    },
  ],
  async run({ args, flags, terminal }) {
    if (args.length !== 1) throw badArguments("snapshot restore requires exactly one argument");
    const bump = flags.integer("bump-revision");
    if (bump > 0n !== flags.bool("mark-compacted")) {
      throw badArguments("--mark-compacted required if --revision-bump > 0");
    }
    // Loaded late: `etcdctl` has this command too, and starts without what it needs.
    const [{ NodeClock }, { NodeDisk }, { ConsoleLogger }, { restoreSnapshot }] = await Promise.all([
      import("../../../platform/node/clock.ts"),
      import("../../../platform/node/disk.ts"),
      import("../../shared/console-logger.ts"),
      import("../restore/restore.ts"),
    ]);
    const log = new ConsoleLogger(terminal.error, "restore/restore.ts");
    const name = flags.text("name");
    const host = { disk: new NodeDisk(log), clock: new NodeClock(), log };
    await restoreSnapshot(host, {
      snapshotPath: args[0],
      name,
      dataDir: flags.text("data-dir") || `${name}.etcd`,
      walDir: flags.text("wal-dir") || undefined,
      initialCluster: flags.text("initial-cluster"),
      initialClusterToken: flags.text("initial-cluster-token"),
      peerUrls: flags.text("initial-advertise-peer-urls").split(","),
      skipHashCheck: flags.bool("skip-hash-check"),
      bumpRevision: Number(bump),
      initialMmapSize: flags.integer("initial-memory-map-size"),
    });
  },
};

export const statusCommand: Command = {
  name: "status",
  synopsis: "<filename>",
  summary: "Gets backend snapshot status of a given file",
  description: `When --write-out is set to simple, this command prints out comma-separated status lists for each endpoint.
The items in the lists are hash, revision, total keys, total size.
`,
  async run({ args, flags, terminal }) {
    if (args.length !== 1) throw badArguments("snapshot status requires exactly one argument");
    const [{ readDatabase }, { createPrinter, statusPage }, { snapshotStatus }] = await Promise.all([
      import("../database.ts"),
      import("../printer.ts"),
      import("../snapshot-status.ts"),
    ]);
    const status = readDatabase(args[0], terminal, snapshotStatus);
    createPrinter(flags.text("write-out"), terminal)(statusPage(status));
  },
};

export const snapshotCommand: Command = {
  name: "snapshot",
  synopsis: "<subcommand>",
  summary: "Manages etcd node snapshots",
  commands: [restoreCommand, statusCommand],
};
