/**
 * The old (v2) key store, as far as it still exists: the payload of `.snap` files. etcd 3.5 and 3.6 load the members as of
 * the snapshot from it and replay the log on top, so it must be exactly the membership at the snapshot's index.
 *
 *     /0/members/<hex id>/raftAttributes   {"peerURLs":["..."],"isLearner":true}
 *     /0/members/<hex id>/attributes       {"name":"..","clientURLs":[".."]}     once published
 *     /0/removed_members/<hex id>          ""
 *     /0/version                           3.6.0                                 once decided
 *     /1                                   (empty directory)
 *
 * The tree alone is what etcd needs (3.5.30 was seen to take it): its watcher history, counters and indexes are left
 * out, and readers of them start from zero. Source: etcd server/etcdserver/api/v2store and membership/storev2.go.
 */
import { asBuffer } from "../base/bytes.ts";
import { MemberTable } from "./member-table.ts";
import { attributesToJson, formatId, type Member, parseId, raftAttributesToJson } from "./member.ts";
import { asObject, asString, asStrings, parseJson } from "./json.ts";
import { formatVersion, parseVersion, type Version } from "./version.ts";

interface Node {
  readonly Path: string;
  readonly CreatedIndex: number;
  readonly ModifiedIndex: number;
  readonly ExpireTime: string;
  readonly Value: string;
  readonly Children: Readonly<Record<string, Node>> | null;
}

/** Go's zero time: the node never expires. */
const PERMANENT = "0001-01-01T00:00:00Z";

/** What {@link decodeOldStore} finds. */
export interface OldStore {
  readonly table: MemberTable;
  readonly clusterVersion: Version | undefined;
  /** Paths of user data from before 3.0, which this program cannot keep. */
  readonly foreignPaths: readonly string[];
}

/** The payload for a snapshot of this membership. */
export function encodeOldStore(table: MemberTable, clusterVersion: Version | undefined): Uint8Array {
  const cluster: Record<string, Node> = {};
  const members = table.list();
  if (members.length > 0) {
    cluster["members"] = directory("/0/members", Object.fromEntries(members.map((member) => memberEntry(member))));
  }
  const removed = table.removedIds().map(formatId);
  if (removed.length > 0) {
    const entries = removed.map((id): [string, Node] => [id, file(`/0/removed_members/${id}`, "")]);
    cluster["removed_members"] = directory("/0/removed_members", Object.fromEntries(entries));
  }
  if (clusterVersion !== undefined) cluster["version"] = file("/0/version", formatVersion(clusterVersion));
  const root = directory("/", { "0": directory("/0", cluster), "1": directory("/1", {}) });
  return Buffer.from(JSON.stringify({ Root: root, CurrentVersion: 2 }), "utf8");
}

function memberEntry(member: Member): [string, Node] {
  const id = formatId(member.id);
  const path = `/0/members/${id}`;
  const children: Record<string, Node> = {};
  if (member.clientUrls.length > 0) {
    children["attributes"] = file(`${path}/attributes`, attributesToJson(member));
  }
  children["raftAttributes"] = file(`${path}/raftAttributes`, raftAttributesToJson(member));
  return [id, directory(path, children)];
}

function file(path: string, value: string): Node {
  return { Path: path, CreatedIndex: 0, ModifiedIndex: 0, ExpireTime: PERMANENT, Value: value, Children: null };
}

function directory(path: string, children: Readonly<Record<string, Node>>): Node {
  return { Path: path, CreatedIndex: 0, ModifiedIndex: 0, ExpireTime: PERMANENT, Value: "", Children: children };
}

/** @throws {SyntaxError} when the payload is not such a store. */
export function decodeOldStore(payload: Uint8Array): OldStore {
  const root = childrenOf(asObject(parseJson(asBuffer(payload).toString("utf8")))["Root"]);
  const cluster = childrenOf(root["0"]);
  const members = Object.entries(childrenOf(cluster["members"])).map(([id, node]) => memberOf(id, node));
  const removed = Object.keys(childrenOf(cluster["removed_members"])).map(parseId);
  const version = cluster["version"];
  return {
    table: new MemberTable(members, removed),
    clusterVersion: version === undefined ? undefined : parseVersion(valueOf(version)),
    foreignPaths: foreignPaths(root),
  };
}

function memberOf(id: string, node: unknown): Member {
  const children = childrenOf(node);
  const raftAttributes = asObject(parseJson(valueOf(children["raftAttributes"])));
  const attributes = children["attributes"] === undefined ? {} : asObject(parseJson(valueOf(children["attributes"])));
  return {
    id: parseId(id),
    peerUrls: asStrings(raftAttributes["peerURLs"]),
    isLearner: raftAttributes["isLearner"] === true,
    name: asString(attributes["name"]),
    clientUrls: asStrings(attributes["clientURLs"]),
  };
}

/** Old authentication data under `/2` may be left there as empty directories and switches. */
function foreignPaths(root: Readonly<Record<string, unknown>>): string[] {
  const found: string[] = [];
  for (const [name, node] of Object.entries(root)) {
    if (name === "0") continue;
    for (const [child, childNode] of Object.entries(childrenOf(node))) {
      if (name !== "2" || Object.keys(childrenOf(childNode)).length > 0) found.push(`/${name}/${child}`);
    }
  }
  return found;
}

function childrenOf(node: unknown): Readonly<Record<string, unknown>> {
  if (node === undefined) return {};
  const children = asObject(node)["Children"];
  return children === undefined || children === null ? {} : asObject(children);
}

function valueOf(node: unknown): string {
  return asString(asObject(node)["Value"]);
}
