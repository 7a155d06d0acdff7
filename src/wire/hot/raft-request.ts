/**
 * InternalRaftRequest: the payload of a log entry. Exactly one request field is set, and the header with the id by which
 * the proposer is woken. The request's own bytes are embedded as the client sent them; field order is ascending, so the
 * header (100) stands behind the first requests and in front of those from 1000 on.
 */
import { Request as OldRequest } from "../gen/etcdserverpb/etcdserver.ts";
import * as rpc from "../gen/etcdserverpb/rpc.ts";
import * as membership from "../gen/membershippb/membership.ts";
import { readDeleteRangeRequest, readPutRequest, readRangeRequest } from "./kv-requests.ts";
import { readTxnRequest } from "./txn-request.ts";
import type { DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest } from "./types.ts";
import { WireReader, WireType } from "./wire-reader.ts";
import { sizeOfBigField, sizeOfVarint, writeBigField, writeVarint } from "./wire-writer.ts";
import { EtcdError } from "../errors.ts";
import { WireError } from "../wire-error.ts";

/** Field numbers of the requests. */
const fields = {
  range: 3,
  put: 4,
  deleteRange: 5,
  txn: 6,
  compaction: 7,
  leaseGrant: 8,
  leaseRevoke: 9,
  alarm: 10,
  leaseCheckpoint: 11,
  authEnable: 1000,
  authDisable: 1011,
  authenticate: 1012,
  authStatus: 1013,
  authUserAdd: 1100,
  authUserDelete: 1101,
  authUserGet: 1102,
  authUserChangePassword: 1103,
  authUserGrantRole: 1104,
  authUserRevokeRole: 1105,
  authUserList: 1106,
  authRoleList: 1107,
  authRoleAdd: 1200,
  authRoleDelete: 1201,
  authRoleGet: 1202,
  authRoleGrantPermission: 1203,
  authRoleRevokePermission: 1204,
  clusterVersionSet: 1300,
  clusterMemberAttrSet: 1301,
  downgradeInfoSet: 1302,
  downgradeVersionTest: 9900,
} as const;

export type RequestKind = keyof typeof fields;

/** The auth requests, whose payload is read by whoever applies them. */
type AuthKind = Extract<RequestKind, `auth${string}`>;

export interface RaftRequestHeader {
  readonly id: bigint;
  /** Empty without authentication. */
  readonly username: string;
  readonly authRevision: bigint;
}

interface Identified {
  /** Wakes the proposer: the header's id, or that of a member from before there were headers. */
  readonly id: bigint;
  readonly username: string;
  readonly authRevision: bigint;
}

/** Bytes are views of the entry. `none`: a request that this version does not know. */
export type RaftRequest = Identified & Body;

type Body =
  | { readonly kind: "none" }
  | { readonly kind: "v2"; readonly v2: OldRequest }
  | { readonly kind: "range"; readonly range: RangeRequest }
  | { readonly kind: "put"; readonly put: PutRequest }
  | { readonly kind: "deleteRange"; readonly deleteRange: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly txn: TxnRequest }
  | { readonly kind: "compaction"; readonly compaction: rpc.CompactionRequest }
  | { readonly kind: "leaseGrant"; readonly leaseGrant: rpc.LeaseGrantRequest }
  | { readonly kind: "leaseRevoke"; readonly leaseRevoke: rpc.LeaseRevokeRequest }
  | { readonly kind: "alarm"; readonly alarm: rpc.AlarmRequest }
  | { readonly kind: "leaseCheckpoint"; readonly leaseCheckpoint: rpc.LeaseCheckpointRequest }
  | { readonly kind: "clusterVersionSet"; readonly clusterVersionSet: membership.ClusterVersionSetRequest }
  | { readonly kind: "clusterMemberAttrSet"; readonly clusterMemberAttrSet: membership.ClusterMemberAttrSetRequest }
  | { readonly kind: "downgradeInfoSet"; readonly downgradeInfoSet: membership.DowngradeInfoSetRequest }
  | { readonly kind: "downgradeVersionTest"; readonly downgradeVersionTest: rpc.DowngradeVersionTestRequest }
  | { readonly kind: AuthKind; readonly payload: Uint8Array };

const headerFields = [undefined, "ID", "Username", "AuthRevision"];
/** Those below the header; a later one with a wrong wire type passes as not known. */
const requestFields = [
  undefined,
  "ID",
  "V2",
  "Range",
  "Put",
  "DeleteRange",
  "Txn",
  "Compaction",
  "LeaseGrant",
  "LeaseRevoke",
  "Alarm",
  "LeaseCheckpoint",
];

const headerTag = (100 << 3) | WireType.Bytes;

/**
 * One exact-size buffer.
 *
 * @param request - the request message's canonical bytes (see `canonicalPutRequest`); copied.
 */
export function encodeRaftRequest(kind: RequestKind, request: Uint8Array, header: RaftRequestHeader): Uint8Array {
  const field = fields[kind];
  const tag = field * 8 + WireType.Bytes;
  const username = header.username === "" ? undefined : Buffer.from(header.username);
  const userSize = username === undefined ? 0 : 1 + sizeOfVarint(username.length) + username.length;
  const headerSize = sizeOfBigField(header.id) + userSize + sizeOfBigField(header.authRevision);
  const requestSize = sizeOfVarint(tag) + sizeOfVarint(request.length) + request.length;
  // From the shared pool, completely written: a buffer of its own costs several times the encoding.
  const target = Buffer.allocUnsafe(requestSize + sizeOfVarint(headerTag) + sizeOfVarint(headerSize) + headerSize);
  let at = field < 100 ? writeRequest(target, 0, tag, request) : 0;
  at = writeVarint(target, at, headerTag);
  at = writeVarint(target, at, headerSize);
  at = writeBigField(target, at, 0x08, header.id);
  if (username !== undefined) {
    target[at] = 0x12;
    at = writeVarint(target, at + 1, username.length);
    target.set(username, at);
    at += username.length;
  }
  at = writeBigField(target, at, 0x18, header.authRevision);
  if (field >= 100) writeRequest(target, at, tag, request);
  return target;
}

function writeRequest(target: Uint8Array, offset: number, tag: number, request: Uint8Array): number {
  const at = writeVarint(target, writeVarint(target, offset, tag), request.length);
  target.set(request, at);
  return at + request.length;
}

/** @throws {WireError} when the bytes are no such message. */
export function decodeRaftRequest(bytes: Uint8Array): RaftRequest {
  try {
    return readRaftRequest(bytes);
  } catch (cause) {
    if (cause instanceof WireError || cause instanceof EtcdError || !(cause instanceof Error)) throw cause;
    // Generated codecs throw errors of no kind of their own.
    throw new WireError(cause.message, { cause });
  }
}

function readRaftRequest(bytes: Uint8Array): RaftRequest {
  const reader = new WireReader(bytes);
  let ownId = 0n;
  let headerId = 0n;
  let username = "";
  let authRevision = 0n;
  let body: Body = { kind: "none" };
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 0x08) {
      ownId = reader.bigUint64();
    } else if (tag === headerTag) {
      const outer = reader.enter();
      while (reader.hasMore) {
        const inner = reader.tag();
        if (inner === 0x08) headerId = reader.bigUint64();
        else if (inner === 0x12) username = Buffer.from(reader.view()).toString();
        else if (inner === 0x18) authRevision = reader.bigUint64();
        else reader.unknown(inner, headerFields);
      }
      reader.leave(outer);
    } else if ((tag & 7) === WireType.Bytes) {
      const outer = reader.enter();
      body = readBody(reader, tag >>> 3) ?? body;
      reader.leave(outer);
    } else {
      reader.unknown(tag, requestFields);
    }
  }
  return { id: ownId === 0n ? headerId : ownId, username, authRevision, ...body };
}

const kinds = new Map<number, RequestKind>(
  (Object.entries(fields) as [RequestKind, number][]).map(([kind, field]) => [field, kind]),
);

/** @returns undefined for a field that is not known. */
function readBody(reader: WireReader, field: number): Body | undefined {
  if (field === 2) return { kind: "v2", v2: OldRequest.decode(rest(reader)) };
  const kind = kinds.get(field);
  switch (kind) {
    case undefined:
      return undefined;
    case "range":
      return { kind, range: readRangeRequest(reader) };
    case "put":
      return { kind, put: readPutRequest(reader) };
    case "deleteRange":
      return { kind, deleteRange: readDeleteRangeRequest(reader) };
    case "txn":
      return { kind, txn: readTxnRequest(reader, 0) };
    case "compaction":
      return { kind, compaction: rpc.CompactionRequest.decode(rest(reader)) };
    case "leaseGrant":
      return { kind, leaseGrant: rpc.LeaseGrantRequest.decode(rest(reader)) };
    case "leaseRevoke":
      return { kind, leaseRevoke: rpc.LeaseRevokeRequest.decode(rest(reader)) };
    case "alarm":
      return { kind, alarm: rpc.AlarmRequest.decode(rest(reader)) };
    case "leaseCheckpoint":
      return { kind, leaseCheckpoint: rpc.LeaseCheckpointRequest.decode(rest(reader)) };
    case "clusterVersionSet":
    case "clusterMemberAttrSet":
    case "downgradeInfoSet":
    case "downgradeVersionTest":
      return readMembershipBody(kind, rest(reader));
    default:
      return { kind, payload: rest(reader) };
  }
}

function readMembershipBody(
  kind: "clusterVersionSet" | "clusterMemberAttrSet" | "downgradeInfoSet" | "downgradeVersionTest",
  bytes: Uint8Array,
): Body {
  switch (kind) {
    case "clusterVersionSet":
      return { kind, clusterVersionSet: membership.ClusterVersionSetRequest.decode(bytes) };
    case "clusterMemberAttrSet":
      return { kind, clusterMemberAttrSet: membership.ClusterMemberAttrSetRequest.decode(bytes) };
    case "downgradeInfoSet":
      return { kind, downgradeInfoSet: membership.DowngradeInfoSetRequest.decode(bytes) };
    default:
      return { kind, downgradeVersionTest: rpc.DowngradeVersionTestRequest.decode(bytes) };
  }
}

/** What is left of the embedded message, as a view. */
function rest(reader: WireReader): Uint8Array {
  const view = reader.bytes.subarray(reader.at, reader.end);
  reader.at = reader.end;
  return view;
}
