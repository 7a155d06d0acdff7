/**
 * Entering a cluster that runs already. The cluster was told before (MemberAdd) and has given this member its id, so the
 * other members are asked who belongs to it, and the answer must fit what the command line says. Likewise a member that is
 * to found a cluster asks whether it has been there before: its data is lost then, and it must not vote again.
 *
 * Source: etcd server/etcdserver/bootstrap.go, cluster_util.go, api/membership/cluster.go (`ValidateClusterAndAssignIDs`).
 */
import { peerDial } from "./peer-dial.ts";
import { formatId, type Member } from "../membership/member.ts";
import type { NamedUrls } from "../membership/peer-urls.ts";
import {
  compareVersions,
  formatVersion,
  minClusterVersion,
  parseVersion,
  serverVersion,
  toMinor,
  type Version,
} from "../membership/version.ts";
import { type ClusterMembers, PeerClient } from "../peer/client.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { NONE } from "../wire/raft/types.ts";
import { type MemberConfig, requestTimeoutMs } from "./config.ts";
import { deriveMemberId } from "./ids.ts";
import { type InitialCluster, ownMember } from "./initial-cluster.ts";
import { peerDialTimeoutMs } from "./peers.ts";
import { StartError } from "./start-error.ts";
import { areSameTexts, UrlEquality } from "./url-equality.ts";

/** How long a founder looks for an earlier self; who cannot be reached counts as not founded. */
const FOUNDED_TIMEOUT_MS = 1_000;
const MEMBERS_TIMEOUT_MS = 10_000;

interface Asking {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly client: PeerClient;
  readonly log: Logger;
}

/** @throws {StartError} when the running cluster and the flags do not fit, or nobody answers. */
export async function joinCluster(
  config: MemberConfig,
  platform: Platform,
): Promise<InitialCluster & { readonly remotes: readonly Member[] }> {
  ownMember(config);
  const asking = askingFor(config, platform);
  const { clusterId, members } = await fetchCluster(asking);
  const own = await matchMembers(asking, { clusterId, members });
  const others = members.filter((member) => member.id !== own.id);
  if (!(await isCompatible(asking, others))) throw new StartError("incompatible with current running cluster");
  const learners = members.filter((member) => member.isLearner).length;
  if (learners > config.maxLearners) {
    throw new StartError(
      `number of learners (${learners}) in the cluster exceeds --max-learners (${config.maxLearners}) of this member`,
    );
  }
  return {
    memberId: own.id,
    clusterId,
    entries: [],
    hardState: { term: 0, vote: NONE, commit: 0 },
    remotes: others,
  };
}

/** @throws {StartError} when the cluster knows this member as one that has run. */
export async function refuseBootstrapped(config: MemberConfig, platform: Platform, memberId: bigint): Promise<void> {
  const { client } = askingFor(config, platform);
  const urls = peerUrlsOfOthers(config);
  for (const url of urls) {
    const cluster = await client.members(url, FOUNDED_TIMEOUT_MS).catch(() => undefined);
    if (cluster === undefined || cluster.members.length === 0) continue;
    const own = cluster.members.find((member) => member.id === memberId);
    if (own === undefined || own.clientUrls.length === 0) return;
    throw new StartError(`member ${formatId(memberId)} has already been bootstrapped`);
  }
}

function askingFor(config: MemberConfig, platform: Platform): Asking {
  const client = new PeerClient({
    platform,
    dialTimeoutMs: peerDialTimeoutMs(config),
    dial: peerDial(config, platform),
  });
  return { config, platform, client, log: platform.log.withCaller("server/join-cluster.ts") };
}

function peerUrlsOfOthers(config: MemberConfig): string[] {
  return config.initialCluster
    .filter(({ name }) => name !== config.name)
    .flatMap(({ peerUrls }) => peerUrls)
    .sort();
}

/** The first answer counts. */
async function fetchCluster({ config, client, log }: Asking): Promise<ClusterMembers> {
  const refuse = (text: string): StartError => new StartError(`cannot fetch cluster info from peer urls: ${text}`);
  for (const url of peerUrlsOfOthers(config)) {
    try {
      const cluster = await client.members(url, MEMBERS_TIMEOUT_MS);
      if (cluster.members.length > 0) return cluster;
    } catch (error) {
      log.warn("failed to get cluster response", { address: `${url}/members`, error });
      continue;
    }
    throw refuse("failed to get raft cluster member(s) from the given URLs");
  }
  throw refuse("could not retrieve cluster information from the given URLs");
}

/**
 * Finds for each member of the running cluster the one on the command line with the same URLs: by their texts first, as
 * resolving a name that is of no use here may take long.
 *
 * @returns this member. @throws {StartError} by rejection.
 */
async function matchMembers({ config, platform, log }: Asking, cluster: ClusterMembers): Promise<Member> {
  const { members } = cluster;
  const refuse = (text: string): StartError =>
    new StartError(`error validating peerURLs ${describeCluster(cluster)}: ${text}`);
  if (members.length !== config.initialCluster.length) throw refuse("member count is unequal");
  const equality = new UrlEquality({ resolver: platform.resolver, clock: platform.clock, log });
  // By id, as etcd: what is said of a mismatch depends on the order.
  const configured = sortById(config.initialCluster, ({ peerUrls }) =>
    deriveMemberId(peerUrls, config.initialClusterToken),
  );
  let own: Member | undefined;
  for (const member of sortById(members, ({ id }) => id)) {
    const { match, reason } = await matchOf(member, configured, equality);
    if (match === undefined) {
      throw refuse(
        `PeerURLs: no match found for existing member (${formatId(member.id)}, [${member.peerUrls.join(" ")}]), ` +
          `last resolver error (${reason})`,
      );
    }
    if (match.name === config.name) own = member;
  }
  if (own === undefined) throw refuse(`no member has the peer URLs of ${JSON.stringify(config.name)}`);
  return own;
}

async function matchOf(
  { peerUrls }: Member,
  configured: readonly NamedUrls[],
  equality: UrlEquality,
): Promise<{ readonly match: NamedUrls | undefined; readonly reason: string | undefined }> {
  let match = configured.find((candidate) => areSameTexts(candidate.peerUrls, peerUrls));
  let reason: string | undefined;
  for (const candidate of configured) {
    if (match !== undefined) break;
    reason = await equality.difference(peerUrls, candidate.peerUrls);
    if (reason === undefined) match = candidate;
  }
  return { match, reason };
}

function sortById<T>(items: readonly T[], idOf: (item: T) => bigint): T[] {
  return [...items].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

/** As Go prints the cluster. */
function describeCluster({ clusterId, members }: ClusterMembers): string {
  const texts = members.map(
    ({ id, peerUrls, isLearner, name, clientUrls }) =>
      `&{ID:${formatId(id)} RaftAttributes:{PeerURLs:[${peerUrls.join(" ")}] IsLearner:${isLearner}} ` +
      `Attributes:{Name:${name} ClientURLs:[${clientUrls.join(" ")}]}}`,
  );
  return `{ClusterID:${formatId(clusterId)} Members:[${texts.join(" ")}] RemovedMemberIDs:[]}`;
}

/** No cluster version that is known may be out of range, and one must be known. */
async function isCompatible(asking: Asking, others: readonly Member[]): Promise<boolean> {
  const { log } = asking;
  const range = await allowedRange(asking, others);
  let isKnown = false;
  for (const member of others) {
    const text = await clusterVersionOf(asking, member);
    const version = text === undefined ? undefined : parseVersion(text);
    if (version === undefined) continue;
    const isLow = compareVersions(version, range.lowest) < 0;
    if (isLow || compareVersions(range.highest, version) < 0) {
      log.warn(`cluster version of remote member is not compatible; too ${isLow ? "low" : "high"}`, {
        "remote-member-id": formatId(member.id),
        "remote-member-cluster-version": formatVersion(version),
      });
      return false;
    }
    isKnown = true;
  }
  return isKnown;
}

/** During a downgrade a member of the version below joins a cluster whose version is still the old one. */
async function allowedRange(asking: Asking, others: readonly Member[]): Promise<{ lowest: Version; highest: Version }> {
  const own = toMinor(serverVersion);
  if (!(await isDowngrading(asking, others))) return { lowest: minClusterVersion, highest: own };
  const above = { ...own, minor: own.minor + 1 };
  return { lowest: above, highest: above };
}

async function isDowngrading({ config, client, log }: Asking, others: readonly Member[]): Promise<boolean> {
  for (const member of others) {
    for (const url of member.peerUrls) {
      try {
        return await client.downgradeEnabled(url, requestTimeoutMs(config));
      } catch (error) {
        log.warn("failed to get downgrade enabled status", { "remote-member-id": formatId(member.id), error });
      }
    }
  }
  return false;
}

async function clusterVersionOf({ config, client, log }: Asking, member: Member): Promise<string | undefined> {
  for (const url of member.peerUrls) {
    try {
      return (await client.versions(url, requestTimeoutMs(config))).cluster;
    } catch (error) {
      log.warn("failed to get version", { "remote-member-id": formatId(member.id), error });
    }
  }
  return undefined;
}
