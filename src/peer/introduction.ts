/**
 * How members introduce themselves in every request to another's raft endpoints, and how they check each other before
 * anything else. Source: etcd rafthttp/{http,util}.go.
 */
import { formatId, parseId } from "../membership/member.ts";
import { compareVersions, isOlderMinor, parseVersion, type Version } from "../membership/version.ts";
import type { Logger } from "../platform/logger.ts";
import type { CauseLog } from "./cause-log.ts";
import type { Exchange } from "./http1/server-connection.ts";
import type { LocalMember } from "./types.ts";

type Field = readonly [string, string];

/** Texts of status 412; the caller tells the cases apart by them. */
export const incompatibleVersionText = "incompatible version";
export const clusterIdMismatchText = "cluster ID mismatch";

/** Fields of every request to `/raft...`. */
export function introduction(local: LocalMember): Field[] {
  return [
    ["X-Server-From", formatId(local.memberId)],
    ["X-Server-Version", local.serverVersion],
    ["X-Min-Cluster-Version", local.minClusterVersion],
    ["X-Etcd-Cluster-Id", formatId(local.clusterId)],
    ["X-Peerurls", local.peerUrls.join(",")],
  ];
}

/** Who asks, as far as it says so. */
export interface Introduced {
  readonly from: bigint | undefined;
  readonly peerUrls: readonly string[];
}

export function introducedBy(exchange: Exchange): Introduced {
  return { from: tryParseId(exchange.field("x-server-from")), peerUrls: urlsOf(exchange.field("x-peerurls")) };
}

function urlsOf(text: string | undefined): string[] {
  return text === undefined || text === "" ? [] : text.split(",").filter((url) => URL.canParse(url));
}

/** Undefined for text that is no member id. */
export function tryParseId(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-fA-F]{1,16}$/.test(text) ? parseId(text) : undefined;
}

/** The version before versions were announced. */
const unannounced: Version = { major: 2, minor: 0, patch: 0 };

/** The version in a field; undefined when the field holds no version. */
export function announcedVersion(text: string | undefined): Version | undefined {
  return text === undefined || text === "" ? unannounced : parseVersion(text);
}

/** The text to answer with status 412, or undefined when the sender fits to us. */
export function incompatibility(
  exchange: Exchange,
  local: LocalMember,
  log: Logger,
  causes: CauseLog,
): string | undefined {
  const reason = versionProblem(exchange, local);
  const clusterId = exchange.field("x-etcd-cluster-id") ?? "";
  if (reason === undefined && clusterId === formatId(local.clusterId)) return undefined;
  const name = exchange.field("x-server-from") ?? "";
  if (causes.isNews(`${name} ${reason ?? clusterId}`)) {
    const fields = {
      "local-member-id": formatId(local.memberId),
      "local-member-cluster-id": formatId(local.clusterId),
      "local-member-server-version": local.serverVersion,
      "local-member-server-minimum-cluster-version": local.minClusterVersion,
      "remote-peer-server-name": name,
      "remote-peer-server-version": exchange.field("x-server-version") ?? "",
      "remote-peer-server-minimum-cluster-version": exchange.field("x-min-cluster-version") ?? "",
    };
    if (reason !== undefined) log.warn("failed version compatibility check", { ...fields, error: reason });
    else log.warn("request cluster ID mismatch", { ...fields, "remote-peer-cluster-id": clusterId });
  }
  return reason === undefined ? clusterIdMismatchText : incompatibleVersionText;
}

function versionProblem(exchange: Exchange, local: LocalMember): string | undefined {
  const name = exchange.field("x-server-from") ?? "";
  const text = exchange.field("x-server-version");
  const server = announcedVersion(text);
  const minCluster = announcedVersion(exchange.field("x-min-cluster-version"));
  if (server === undefined || minCluster === undefined) return `cannot parse the version of remote[${name}]`;
  const versions = `remote[${name}]=${text ?? "2.0.0"}, local=${local.serverVersion}`;
  const localMin = parseVersion(local.minClusterVersion) ?? unannounced;
  const localServer = parseVersion(local.serverVersion) ?? unannounced;
  if (isOlderMinor(server, localMin)) return `remote version is too low: ${versions}`;
  if (isOlderMinor(localServer, minCluster)) return `local version is too low: ${versions}`;
  return undefined;
}

const firstWithStreams: Version = { major: 2, minor: 1, patch: 0 };
const lastKnown: Version = { major: 3, minor: 6, patch: 0 };

/** False for a responder that is older than we are and has no streams that we know. */
export function hasStreams(responder: Version, local: LocalMember): boolean {
  const own = parseVersion(local.serverVersion) ?? lastKnown;
  if (!isOlderMinor(responder, own)) return true;
  return compareVersions(responder, firstWithStreams) >= 0 && !isOlderMinor(lastKnown, responder);
}
