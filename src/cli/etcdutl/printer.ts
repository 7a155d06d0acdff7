/** The formats of `etcdutl -w`. */
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { humanSize } from "../../base/human-size.ts";
import type { Terminal } from "../shared/terminal.ts";
import { renderTable } from "../shared/text-table.ts";
import type { FileHash } from "./hash-kv.ts";
import type { SnapshotStatus } from "./snapshot-status.ts";

/** One answer in every form. */
interface Page {
  readonly header: readonly string[];
  readonly row: readonly string[];
  /** Name → value of the form `fields`. */
  readonly fields: readonly (readonly [string, string | number])[];
  readonly json: object;
}

export function statusPage(status: SnapshotStatus): Page {
  const { hash, revision, totalKey, totalSize, version } = status;
  return {
    header: ["hash", "revision", "total keys", "total size", "version"],
    row: [hash.toString(16), String(revision), String(totalKey), humanSize(totalSize), version],
    fields: [
      ["Hash", hash],
      ["Revision", revision],
      ["Keys", totalKey],
      ["Size", totalSize],
      ["Version", version],
    ],
    json: { hash, revision, totalKey, totalSize, version },
  };
}

export function hashPage({ hash, hashRevision, compactRevision }: FileHash): Page {
  return {
    header: ["hash", "hash revision", "compact revision"],
    row: [String(hash), String(hashRevision), String(compactRevision)],
    fields: [
      ["Hash", hash],
      ["Hash revision", hashRevision],
      ["Compact revision", compactRevision],
    ],
    json: { hash, hashRevision, compactRevision },
  };
}

type Printer = (page: Page) => string;

const printers: Readonly<Record<string, Printer>> = {
  simple: ({ row }) => `${row.join(", ")}\n`,
  fields: ({ fields }) => fields.map(([name, value]) => `"${name}" : ${value}\n`).join(""),
  json: ({ json }) => `${JSON.stringify(json)}\n`,
  table: ({ header, row }) => renderTable(header, [row]),
  protobuf: () => {
    throw new CommandFailure(ExitCode.BadFeature, "protobuf not supported as output format");
  },
};

/** @throws {CommandFailure} for a format that does not exist. */
export function createPrinter(format: string, terminal: Terminal): (page: Page) => void {
  if (!Object.hasOwn(printers, format)) throw new CommandFailure(ExitCode.BadFeature, "unsupported output format");
  return (page) => terminal.output.write(printers[format](page));
}
