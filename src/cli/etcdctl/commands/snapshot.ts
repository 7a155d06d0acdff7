/**
 * `etcdctl snapshot save`: the database of one member in a file that appears under its name only when complete. `restore` and
 * `status` are etcdutl's since 3.6; Kubernetes' documentation and scripts call them here, as with 3.5.
 */
import { formatDuration } from "../../../base/duration.ts";
import type { DiskFile } from "../../../platform/disk.ts";
import type { NodeDisk } from "../../../platform/node/disk.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { restoreCommand, statusCommand } from "../../etcdutl/commands/snapshot.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { humanSize } from "../../../base/human-size.ts";
import { ToolLogger } from "../../shared/tool-logger.ts";
import { openContext, openFailure } from "../connect.ts";
import { ProgressBar } from "../../shared/progress-bar.ts";
import type { Sink } from "../../shared/terminal.ts";
import { downloadSnapshot, type Progress } from "../snapshot-download.ts";

const example = `  # Save snapshot to a given file
  etcdctl snapshot save /backup/etcd-snapshot.db
  
  # Get snapshot from given address and save it to file
  etcdctl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db
  
  # Get snapshot from given address with certificates
  etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/etcd.crt --key=/etc/etcd/etcd.key snapshot save /backup/etcd-snapshot.db
  
  # Get snapshot wih certain user and password
  etcdctl --user=root --password=password123 snapshot save /backup/etcd-snapshot.db
  
  # Get snapshot from given address with timeout
  etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=20s snapshot save /backup/etcd-snapshot.db
  
  # Save snapshot with desirable time format
  etcdctl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db`;

export const snapshotCommand: Command = {
  name: "snapshot",
  synopsis: "<subcommand>",
  summary: "Manages etcd node snapshots",
  example,
  commands: [
    {
      name: "save",
      synopsis: "<filename>",
      summary: "Stores an etcd node backend snapshot to a given file",
      example,
      run: save,
    },
    former(restoreCommand),
    former(statusCommand),
  ],
};

function former(command: Command): Command {
  return {
    ...command,
    // 3.5's had no map to give a size to.
    flags:
      command.flags?.map((flag) =>
        flag.type === "unsigned" && flag.name === "initial-memory-map-size" ? { ...flag, initial: 0n } : flag,
      ) ?? [],
    isHidden: true,
    run(invocation) {
      invocation.terminal.error.write(`Deprecated: Use \`etcdutl snapshot ${command.name}\` instead.\n\n`);
      return command.run?.(invocation);
    },
  };
}

async function save(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length !== 1) throw badArguments("snapshot save expects one argument <filename>");
  const [path] = args;
  const { endpoints, connect, timeoutMs } = await openContext(invocation);
  if (endpoints.length !== 1) {
    throw failure(`snapshot must be requested to one selected node, not multiple [${endpoints.join(" ")}]`);
  }
  const log = new ToolLogger(terminal.error, { caller: "etcdctl/commands/snapshot.ts" });
  // Loaded here: every other command starts faster without it.
  const { NodeDisk: Disk } = await import("../../../platform/node/disk.ts");
  const disk = new Disk(log);
  const client = await connect().catch((error: unknown) => {
    throw failure(messageOf(error)); // every failure of this command has one exit code
  });
  const partPath = `${path}.part`;
  // A whole database takes as long as it takes: only a time limit that was asked for counts.
  const options = flags.changed("command-timeout") ? { timeoutMs } : {};
  const { clock } = client.channel;
  const file = createPart(disk, partPath);
  try {
    log.info("created temporary db file", { path: partPath });
    const start = clock.monotonic();
    const { size, version } = await downloadSnapshot(client, file, {
      endpoint: endpoints[0],
      log,
      clientLog: new ToolLogger(terminal.error, { logger: "client", caller: "etcdctl/snapshot-download.ts" }),
      options,
      onProgress: progressOf(terminal.error),
    });
    await file.sync();
    file.close();
    const took = formatDuration(clock.monotonic() - start);
    log.info("fetched snapshot", { endpoint: endpoints[0], size: humanSize(size), took, "etcd-version": version });
    rename(disk, partPath, path);
    await disk.syncDirectory(parentOf(path));
    log.info("saved", { path });
    terminal.output.write(`Snapshot saved at ${path}\n`);
    if (version !== "") terminal.output.write(`Server version ${version}\n`);
  } catch (error) {
    if (disk.exists(partPath)) disk.remove(partPath);
    throw failure(messageOf(error));
  }
}

/** A bar on a terminal; elsewhere nothing. */
function progressOf(sink: Sink): (progress: Progress) => void {
  let bar: ProgressBar | undefined;
  return ({ done, total }) => {
    bar ??= new ProgressBar(sink, total);
    if (done < total) bar.show(done);
    else bar.finish();
  };
}

/** An earlier try may have left its part behind. @throws {CommandFailure} */
function createPart(disk: NodeDisk, path: string): DiskFile {
  try {
    const file = disk.open(path, "create", 0o600);
    file.truncate(0);
    return file;
  } catch (error) {
    throw failure(`could not open ${path} (${openFailure(path, error)})`);
  }
}

/** @throws {Error} in etcdctl's words. */
function rename(disk: NodeDisk, from: string, to: string): void {
  try {
    disk.rename(from, to);
  } catch (error) {
    throw new Error(`could not rename ${from} to ${to} (${messageOf(error)})`, { cause: error });
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}

function failure(message: string): CommandFailure {
  return new CommandFailure(ExitCode.Interrupted, message);
}
