/**
 * The cluster that a restored member belongs to: checks of what the flags say about it, its ids, and the log that all
 * its members begin with. As at a founding (src/server/initial-cluster.ts) that is one entry a member, sorted by id,
 * already committed at term 1; here a snapshot covers it, and the vote goes to the first member so that all of them are
 * written alike. Sources: etcd server/config/config.go (`VerifyBootstrap`), etcdutl/snapshot/v3_snapshot.go.
 */
import { type Member, memberToJson } from "../../../membership/member.ts";
import { deriveClusterId, deriveMemberId } from "../../../server/ids.ts";
import { encodeConfChange } from "../../../wire/raft/conf-change-codec.ts";
import {
  type ConfState,
  ConfChangeType,
  createConfState,
  type Entry,
  EntryType,
  type HardState,
} from "../../../wire/raft/types.ts";
import { parseUrls } from "../../etcd/values.ts";
import { quote } from "../../shared/go-quote.ts";

/** The flags of one member. */
export interface ClusterFlags {
  readonly name: string;
  /** `name=url,name=url,...`, a name once for each of its URLs. */
  readonly initialCluster: string;
  readonly initialClusterToken: string;
  readonly peerUrls: readonly string[];
}

export interface NewCluster {
  readonly clusterId: bigint;
  /** Of the member that is being restored. */
  readonly memberId: bigint;
  /** Ascending by id. */
  readonly members: readonly Member[];
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  readonly confState: ConfState;
}

const restoreTerm = 1;

/** @throws {Error} with etcd's text when the flags contradict each other. */
export function newCluster(flags: ClusterFlags): NewCluster {
  const advertised = parsePeerUrls(flags.peerUrls);
  const urlsOf = parseInitialCluster(flags.initialCluster);
  checkOwn(flags.name, urlsOf, advertised);
  const members = [...urlsOf].map(([name, peerUrls]) => toMember(name, peerUrls, flags.initialClusterToken));
  members.sort((a, b) => (a.id < b.id ? -1 : 1));
  const ids = members.map(({ id }) => id);
  const repeated = ids.find((id, index) => index > 0 && ids[index - 1] === id);
  if (repeated !== undefined) throw new Error(`member exists with identical ID ${repeated.toString(16)}`);
  return {
    clusterId: deriveClusterId(ids),
    memberId: toMember(flags.name, advertised, flags.initialClusterToken).id,
    members,
    entries: members.map((member, index) => addition(member, index + 1)),
    hardState: { term: restoreTerm, vote: ids[0], commit: ids.length },
    confState: { ...createConfState(), voters: ids },
  };
}

function toMember(name: string, peerUrls: readonly string[], token: string): Member {
  return { id: deriveMemberId(peerUrls, token), peerUrls, isLearner: false, name, clientUrls: [] };
}

function addition(member: Member, index: number): Entry {
  const context = new Uint8Array(Buffer.from(memberToJson(member), "utf8"));
  const data = encodeConfChange({ id: 0n, type: ConfChangeType.AddNode, nodeId: member.id, context });
  return { type: EntryType.ConfChange, term: restoreTerm, index, data };
}

function parseInitialCluster(text: string): Map<string, readonly string[]> {
  const texts = new Map<string, string[]>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    texts.set(name, [...(texts.get(name) ?? []), equals < 0 ? "" : part.slice(equals + 1)]);
  }
  return new Map([...texts].map(([name, urls]) => [name, parsePeerUrls(urls)]));
}

function parsePeerUrls(texts: readonly string[]): readonly string[] {
  for (const text of texts.map((each) => each.trim())) {
    // What Go's URL parser says of an address without a scheme.
    if (text.startsWith(":")) throw new Error(`parse ${quote(text)}: missing protocol scheme`);
    if (!/^([a-zA-Z][a-zA-Z0-9+.-]*:|\/)/.test(text) && text.split("/", 1)[0].includes(":")) {
      throw new Error(`parse ${quote(text)}: first path segment in URL cannot contain colon`);
    }
  }
  return parseUrls(texts);
}

function checkOwn(name: string, urlsOf: ReadonlyMap<string, readonly string[]>, advertised: readonly string[]): void {
  const own = urlsOf.get(name);
  if (own === undefined)
    throw new Error(`couldn't find local name ${quote(name)} in the initial cluster configuration`);
  const missing = own.filter((url) => !advertised.includes(url)).map((url) => `${name}=${url}`);
  if (missing.length > 0) {
    throw new Error(
      `--initial-cluster has ${missing.join(",")} but missing from --initial-advertise-peer-urls=${advertised.join(",")} ` +
        `(${difference(advertised, own)})`,
    );
  }
  const unknown = advertised.filter((url) => !own.includes(url));
  if (unknown.length > 0) {
    const map = advertised.map((url) => `${name}=${url}`).join(",");
    throw new Error(`--initial-advertise-peer-urls has ${unknown.join(",")} but missing from --initial-cluster=${map}`);
  }
  const pairs = [...urlsOf].flatMap(([each, urls]) => urls.map((url): [string, string] => [each, url]));
  if (new Set(pairs.map(([, url]) => url)).size === pairs.length) return;
  const map = pairs.map(([each, url]) => `${each}=${url}`).sort();
  throw new Error(`initial cluster ${map.join(",")} has duplicate url`);
}

function difference(advertised: readonly string[], own: readonly string[]): string {
  const list = (urls: readonly string[]): string => `[${urls.map(quote).join(" ")}]`;
  if (advertised.length !== own.length) return `len(${list(advertised)}) != len(${list(own)})`;
  const at = advertised.findIndex((url, index) => url !== own[index]);
  return `resolved urls: ${quote(advertised[at])} != ${quote(own[at])}`;
}
