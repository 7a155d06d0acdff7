/**
 * A cluster that does not exist yet: checks of what the command line says about it, the ids derived from it, and the log
 * every founding member begins with. That log is one entry a member, sorted by id, which adds it; it is already
 * committed, at term 1, and equal on all founders. Sources: etcd server/config/config.go (`VerifyBootstrap`),
 * server/etcdserver/bootstrap.go, etcd-io/raft bootstrap.go.
 */
import { type Member as ClusterMember, memberToJson } from "../membership/member.ts";
import { formatUrlsMap, type NamedUrls } from "../membership/peer-urls.ts";
import { encodeConfChange } from "../wire/raft/conf-change-codec.ts";
import { ConfChangeType, type Entry, EntryType, type HardState, NONE } from "../wire/raft/types.ts";
import type { MemberConfig } from "./config.ts";
import { deriveClusterId, deriveMemberId } from "./ids.ts";
import { StartError } from "./start-error.ts";
import { UrlEquality, type UrlEqualityParts } from "./url-equality.ts";

export interface InitialCluster {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

/** @throws {StartError} when the flags contradict each other. */
export function initialCluster(config: MemberConfig): InitialCluster {
  const own = ownMember(config);
  const members = config.initialCluster.map((member) => toMember(member, config.initialClusterToken));
  members.sort((a, b) => (a.id < b.id ? -1 : 1));
  const ids = members.map((member) => member.id);
  if (new Set(ids).size !== ids.length || ids.includes(NONE)) {
    throw new StartError("member ids derived from --initial-cluster are not unique; change a peer URL or the token");
  }
  return {
    memberId: toMember(own, config.initialClusterToken).id,
    clusterId: deriveClusterId(ids),
    entries: members.map((member, index) => foundingEntry(member, index + 1)),
    hardState: { term: 1, vote: NONE, commit: members.length },
  };
}

function toMember({ name, peerUrls }: NamedUrls, token: string): ClusterMember {
  const sorted = [...peerUrls].sort();
  return { id: deriveMemberId(sorted, token), peerUrls: sorted, isLearner: false, name, clientUrls: [] };
}

function foundingEntry(member: ClusterMember, index: number): Entry {
  const context = new Uint8Array(Buffer.from(memberToJson(member), "utf8"));
  const data = encodeConfChange({ id: 0n, type: ConfChangeType.AddNode, nodeId: member.id, context });
  return { type: EntryType.ConfChange, term: 1, index, data };
}

/**
 * This member's part of `--initial-cluster`.
 *
 * @throws {StartError} when it is not there, or when a URL stands twice.
 */
export function ownMember({ name, initialCluster: cluster }: MemberConfig): NamedUrls {
  const own = cluster.find((member) => member.name === name);
  if (own === undefined) {
    throw new StartError(`couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`);
  }
  refuseDuplicates(cluster, "initial");
  return own;
}

/** @throws {StartError} when two members, or one member twice, have the same URL. */
export function refuseDuplicates(cluster: readonly NamedUrls[], kind: "initial" | "discovery"): void {
  const urls = cluster.flatMap((member) => member.peerUrls);
  if (new Set(urls).size === urls.length) return;
  const text = formatUrlsMap(cluster);
  throw new StartError(`${kind === "initial" ? "initial cluster" : "discovery cluster"} ${text} has duplicate url`);
}

/** What a founder says of itself twice must be the same place. @throws {StartError} by rejection. */
export async function checkAdvertised(config: MemberConfig, parts: UrlEqualityParts): Promise<void> {
  const { name, initialAdvertisePeerUrls } = config;
  // A name that is not there is found by `ownMember`, in etcd's order.
  const own = config.initialCluster.find((member) => member.name === name);
  if (own === undefined) return;
  const advertised = [...initialAdvertisePeerUrls].sort();
  const reason = await new UrlEquality(parts).difference(advertised, own.peerUrls);
  if (reason === undefined) return;
  const missing = own.peerUrls.filter((url) => !advertised.includes(url)).map((url) => `${name}=${url}`);
  if (missing.length > 0) {
    throw new StartError(
      `--initial-cluster has ${missing.join(",")} but missing from ` +
        `--initial-advertise-peer-urls=${advertised.join(",")} (${reason})`,
    );
  }
  const map = formatUrlsMap([{ name, peerUrls: advertised }]);
  const unknown = advertised.filter((url) => !own.peerUrls.includes(url));
  if (unknown.length > 0) {
    throw new StartError(
      `--initial-advertise-peer-urls has ${unknown.join(",")} but missing from --initial-cluster=${map}`,
    );
  }
  throw new StartError(`failed to resolve ${advertised.join(",")} to match --initial-cluster=${map} (${reason})`);
}
