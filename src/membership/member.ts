/**
 * One member of the cluster, and its JSON in the three places where etcd keeps it: the `members` bucket, the context
 * of a configuration change in the log, and the old store inside `.snap` files (old-store.ts).
 *
 *     {"id":8161,"peerURLs":["http://10.0.0.1:2380"],"isLearner":true,"name":"m1","clientURLs":["http://10.0.0.1:2379"]}
 *
 * `isLearner`, `name` and `clientURLs` are left out when empty; a promotion adds `"isPromote":true` and has null URLs.
 * Source: etcd server/etcdserver/api/membership/member.go.
 */
import { asBuffer } from "../base/bytes.ts";
import { asObject, asString, asStrings, parseJson, quote, quoteList } from "./json.ts";

export interface Member {
  readonly id: bigint;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
  /** Empty until the member has published itself: it has not been started yet. */
  readonly name: string;
  readonly clientUrls: readonly string[];
}

/** Context of an entry that adds, promotes or updates a member. */
export interface ConfChangeContext {
  readonly member: Member;
  readonly isPromote: boolean;
}

/** Lowercase hex without leading zeros, as etcd prints ids. */
export function formatId(id: bigint): string {
  return id.toString(16);
}

/** @throws {SyntaxError} unless `text` is 1 to 16 hex digits. */
export function parseId(text: string): bigint {
  if (!/^[0-9a-fA-F]{1,16}$/.test(text)) throw new SyntaxError(`cannot read member id ${JSON.stringify(text)}`);
  return BigInt(`0x${text}`);
}

/** The value of the `members` bucket. */
export function memberToJson(member: Member): string {
  return `{${memberFields(member, member.peerUrls)}}`;
}

/** The context of a configuration change. A promotion names the id alone. */
export function confChangeContextToJson(context: ConfChangeContext): string {
  const { member, isPromote } = context;
  return isPromote ? `{${memberFields(member, undefined)},"isPromote":true}` : memberToJson(member);
}

function memberFields(member: Member, peerUrls: readonly string[] | undefined): string {
  return (
    `"id":${member.id},"peerURLs":${quoteList(peerUrls)}` +
    (member.isLearner ? ',"isLearner":true' : "") +
    attributeFields(member, ",")
  );
}

/** `{"name":...,"clientURLs":[...]}` of the old store. */
export function attributesToJson(member: Member): string {
  return `{${attributeFields(member, "").replace(/^,/, "")}}`;
}

function attributeFields(member: Member, first: string): string {
  const name = member.name === "" ? "" : `${first}"name":${quote(member.name)}`;
  return name + (member.clientUrls.length === 0 ? "" : `,"clientURLs":${quoteList(member.clientUrls)}`);
}

/** `{"peerURLs":[...]}` of the old store. */
export function raftAttributesToJson(member: Member): string {
  return `{"peerURLs":${quoteList(member.peerUrls)}${member.isLearner ? ',"isLearner":true' : ""}}`;
}

/** @throws {SyntaxError} when the bytes are not such JSON. */
export function parseConfChangeContext(bytes: Uint8Array): ConfChangeContext {
  const fields = asObject(parseJson(asBuffer(bytes).toString("utf8")));
  return { member: memberFromFields(fields), isPromote: fields["isPromote"] === true };
}

/** @throws {SyntaxError} when the bytes are not such JSON. */
export function parseMember(bytes: Uint8Array): Member {
  return memberFromFields(asObject(parseJson(asBuffer(bytes).toString("utf8"))));
}

function memberFromFields(fields: Readonly<Record<string, unknown>>): Member {
  const id = asString(fields["id"]);
  if (!/^\d{1,20}$/.test(id)) throw new SyntaxError(`cannot read member id ${JSON.stringify(id)}`);
  return {
    id: BigInt(id),
    peerUrls: asStrings(fields["peerURLs"]),
    isLearner: fields["isLearner"] === true,
    name: asString(fields["name"]),
    clientUrls: asStrings(fields["clientURLs"]),
  };
}
