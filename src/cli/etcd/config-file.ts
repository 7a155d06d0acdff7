/**
 * `--config-file`: YAML with etcd's keys. When there is one, every other flag and variable is ignored and a key that
 * is absent takes its default.
 */
import { parse } from "yaml";
import { flagNames, flags, type Flag, type FlagName } from "./flags.ts";
import { parseFeatureGates } from "./feature-gates.ts";
import { parseUrls } from "./values.ts";

/** A bad URL list in a file: etcd prints it bare to stderr and exits with 1. */
export class FileUrlError extends Error {
  override readonly name = "FileUrlError";
}

const urlLists: Partial<Record<FlagName, string>> = {
  "listen-peer-urls": "listen-peer-urls",
  "listen-client-urls": "listen-client-urls",
  "listen-client-http-urls": "listen-client-http-urls",
  "initial-advertise-peer-urls": "initial-advertise-peer-urls",
  // etcd's message names the wrong key here; scripts may look for it.
  "advertise-client-urls": "advertise-peer-urls",
  "listen-metrics-urls": "listen-metrics-urls",
};

/** Keys whose value is one comma-separated text although the flag is a list. */
const commaLists = new Set<FlagName>(["cors", "host-whitelist"]);

/**
 * Reads a configuration file.
 *
 * @param yaml - the file's contents.
 * @returns what the file sets, by flag name.
 * @throws {FileUrlError} for a URL list.
 * @throws {Error} with etcd's text for anything else.
 */
export function parseConfigFile(yaml: string): Map<FlagName, unknown> {
  const document = toObject(yaml);
  const given = new Map<FlagName, unknown>();
  for (const name of flagNames) {
    const flag: Flag<unknown> = flags[name];
    if (flag.file === null) continue;
    const path = flag.file ?? name;
    let value = lookUp(document, path);
    if (value === undefined && name === "experimental-snapshot-catchup-entries") {
      value = lookUp(document, "experimental-snapshot-catch-up-entries");
    }
    if (value === undefined || value === null) continue;
    const decoded = decode(name, path, value);
    if (decoded !== undefined) given.set(name, decoded);
  }
  return given;
}

function toObject(yaml: string): Record<string, unknown> {
  let document: unknown;
  try {
    // Its warnings go to standard error past the log.
    document = parse(yaml, { logLevel: "error" });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new Error(`error converting YAML to JSON: yaml: ${reason}`, { cause });
  }
  if (document === null || document === undefined) return {};
  if (typeof document !== "object" || Array.isArray(document)) {
    throw new Error(
      `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${jsonType(document)} into Go value of type embed.configYAML`,
    );
  }
  return document as Record<string, unknown>;
}

function lookUp(document: Record<string, unknown>, path: string): unknown {
  let value: unknown = document;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** @returns undefined when the key is there but means "not set". */
function decode(name: FlagName, path: string, value: unknown): unknown {
  const { kind } = flags[name];
  const mismatch = () =>
    new Error(
      `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${jsonType(value)} into Go struct field configYAML.Config.${path} of type ${kind.fileType}`,
    );
  switch (commaLists.has(name) ? "string" : kind.fileType) {
    case "string":
      if (typeof value !== "string") throw mismatch();
      return decodeText(name, value);
    case "bool":
      if (typeof value !== "boolean") throw mismatch();
      return value;
    case "[]string":
      if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw mismatch();
      return value;
    case "time.Duration":
      if (typeof value !== "number" || !Number.isSafeInteger(value)) throw mismatch();
      return value / 1e6;
    default:
      if (typeof value !== "number" || !Number.isSafeInteger(value)) throw mismatch();
      try {
        return kind.parse(String(value));
      } catch {
        throw mismatch();
      }
  }
}

function decodeText(name: FlagName, value: string): unknown {
  if (value === "" && (name in urlLists || name === "initial-cluster-state")) return undefined;
  const listName = urlLists[name];
  if (listName !== undefined) {
    try {
      return parseUrls(value.split(","));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FileUrlError(`unexpected error setting up ${listName}: ${reason}`, { cause });
    }
  }
  if (name === "initial-cluster-state" && value !== "new" && value !== "existing") {
    throw new Error(`unexpected clusterState ${JSON.stringify(value)}`);
  }
  if (name === "feature-gates") parseFeatureGates(value);
  return flags[name].kind.parse(value);
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" && !Number.isInteger(value)) return `number ${value}`;
  return typeof value;
}
