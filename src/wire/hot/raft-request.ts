/**
 * InternalRaftRequest: what a normal log entry holds. Puts, deletes and transactions are encoded and decoded by hand, all
 * other kinds by the generated codecs.
 *
 *     1 ID (old writers only)   2..11 one request   100 header {1 ID  2 username  3 auth_revision}   1000.. one request
 *
 * The request is the client's message as it came (made canonical), so that encoding is one copy.
 */
import { Request } from "../gen/etcdserverpb/etcdserver.ts";
import { InternalAuthenticateRequest } from "../gen/etcdserverpb/raft_internal.ts";
import {
  AlarmRequest,
  AuthDisableRequest,
  AuthEnableRequest,
  AuthRoleAddRequest,
  AuthRoleDeleteRequest,
  AuthRoleGetRequest,
  AuthRoleGrantPermissionRequest,
  AuthRoleListRequest,
  AuthRoleRevokePermissionRequest,
  AuthStatusRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserDeleteRequest,
  AuthUserGetRequest,
  AuthUserGrantRoleRequest,
  AuthUserListRequest,
  AuthUserRevokeRoleRequest,
  CompactionRequest,
  DowngradeVersionTestRequest,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
} from "../gen/etcdserverpb/rpc.ts";
import {
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from "../gen/membershippb/membership.ts";
import { WireError } from "../wire-error.ts";
import { readDeleteRangeRequest, readPutRequest, readRangeRequest } from "./kv-requests.ts";
import { Reader } from "./reader.ts";
import { readTxnRequest } from "./txn-request.ts";
import type { DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest } from "./types.ts";
import {
  allocate,
  copyInto,
  sizeOfBigInt64,
  sizeOfDelimited,
  sizeOfVarint,
  writeBigInt64,
  writeBytes,
  writeVarint,
} from "./writer.ts";

interface HotPayloads {
  range: RangeRequest;
  put: PutRequest;
  deleteRange: DeleteRangeRequest;
  txn: TxnRequest;
}

/** Field number and decoder of every kind that is not hot. */
const cold = {
  v2: [2, Request.decode],
  compaction: [7, CompactionRequest.decode],
  leaseGrant: [8, LeaseGrantRequest.decode],
  leaseRevoke: [9, LeaseRevokeRequest.decode],
  alarm: [10, AlarmRequest.decode],
  leaseCheckpoint: [11, LeaseCheckpointRequest.decode],
  authEnable: [1000, AuthEnableRequest.decode],
  authDisable: [1011, AuthDisableRequest.decode],
  authenticate: [1012, InternalAuthenticateRequest.decode],
  authStatus: [1013, AuthStatusRequest.decode],
  authUserAdd: [1100, AuthUserAddRequest.decode],
  authUserDelete: [1101, AuthUserDeleteRequest.decode],
  authUserGet: [1102, AuthUserGetRequest.decode],
  authUserChangePassword: [1103, AuthUserChangePasswordRequest.decode],
  authUserGrantRole: [1104, AuthUserGrantRoleRequest.decode],
  authUserRevokeRole: [1105, AuthUserRevokeRoleRequest.decode],
  authUserList: [1106, AuthUserListRequest.decode],
  authRoleList: [1107, AuthRoleListRequest.decode],
  authRoleAdd: [1200, AuthRoleAddRequest.decode],
  authRoleDelete: [1201, AuthRoleDeleteRequest.decode],
  authRoleGet: [1202, AuthRoleGetRequest.decode],
  authRoleGrantPermission: [1203, AuthRoleGrantPermissionRequest.decode],
  authRoleRevokePermission: [1204, AuthRoleRevokePermissionRequest.decode],
  clusterVersionSet: [1300, ClusterVersionSetRequest.decode],
  clusterMemberAttrSet: [1301, ClusterMemberAttrSetRequest.decode],
  downgradeInfoSet: [1302, DowngradeInfoSetRequest.decode],
  downgradeVersionTest: [9900, DowngradeVersionTestRequest.decode],
} as const satisfies Record<string, readonly [number, (bytes: Uint8Array) => unknown]>;

type ColdKind = keyof typeof cold;
type ColdPayloads = { [Kind in ColdKind]: ReturnType<(typeof cold)[Kind][1]> };
type Payloads = HotPayloads & ColdPayloads;

/** What a log entry may ask for, by the name of the field. */
export type RequestKind = keyof Payloads;

/** Comes with every entry since etcd 3.1. */
export interface RequestHeader {
  /** Unique over all members: tells the proposer which of its requests was applied. */
  readonly id: bigint;
  /** Who asked, when authentication is on and the caller is known; else empty. */
  readonly username: string;
  /** Auth revision at the time of the check; 0n without user. */
  readonly authRevision: bigint;
}

type Tagged<Kind extends RequestKind> = { readonly kind: Kind } & { readonly [K in Kind]: Payloads[K] };

/** `id` is what the waiter is registered under: field 1 if an old writer set it, else the header's. */
export type RaftRequest = { readonly id: bigint; readonly header: RequestHeader | undefined } & (
  | { [Kind in RequestKind]: Tagged<Kind> }[RequestKind]
  | { readonly kind: "none" }
);

const LENGTH_DELIMITED = 2;
const ID_TAG = 1 * 8;
const RANGE_TAG = 3 * 8 + LENGTH_DELIMITED;
const PUT_TAG = 4 * 8 + LENGTH_DELIMITED;
const DELETE_RANGE_TAG = 5 * 8 + LENGTH_DELIMITED;
const TXN_TAG = 6 * 8 + LENGTH_DELIMITED;
const HEADER_TAG = 100 * 8 + LENGTH_DELIMITED;

const hotTags: Readonly<Record<keyof HotPayloads, number>> = {
  range: RANGE_TAG,
  put: PUT_TAG,
  deleteRange: DELETE_RANGE_TAG,
  txn: TXN_TAG,
};
const coldTags = new Map(
  Object.entries(cold).map(([kind, [field]]) => [field * 8 + LENGTH_DELIMITED, kind as ColdKind]),
);
const knownFields = new Set([1, 100, ...[...Object.values(hotTags), ...coldTags.keys()].map((tag) => tag >>> 3)]);

function tagOf(kind: RequestKind): number {
  return kind in hotTags ? hotTags[kind as keyof HotPayloads] : cold[kind as ColdKind][0] * 8 + LENGTH_DELIMITED;
}

/**
 * The data of a log entry. Owned, exact size.
 *
 * @param request - the encoded request of that kind, canonical; copied.
 */
export function encodeRaftRequest(kind: RequestKind, request: Uint8Array, header: RequestHeader): Uint8Array {
  const tag = tagOf(kind);
  const username = header.username === "" ? undefined : Buffer.from(header.username, "utf8");
  let headerSize = 0;
  if (header.id !== 0n) headerSize += 1 + sizeOfBigInt64(header.id);
  if (username !== undefined) headerSize += 1 + sizeOfDelimited(username.length);
  if (header.authRevision !== 0n) headerSize += 1 + sizeOfBigInt64(header.authRevision);

  const target = allocate(
    sizeOfVarint(tag) + sizeOfDelimited(request.length) + sizeOfVarint(HEADER_TAG) + sizeOfDelimited(headerSize),
  );
  // Ascending field order: the header stands between the requests below 100 and those above.
  let end = tag < HEADER_TAG ? writeRequest(tag, request, target, 0) : 0;
  end = writeVarint(target, writeVarint(target, end, HEADER_TAG), headerSize);
  if (header.id !== 0n) {
    target[end] = 0x08;
    end = writeBigInt64(target, end + 1, header.id);
  }
  if (username !== undefined) end = writeBytes(target, end, 0x12, username);
  if (header.authRevision !== 0n) {
    target[end] = 0x18;
    end = writeBigInt64(target, end + 1, header.authRevision);
  }
  if (tag > HEADER_TAG) writeRequest(tag, request, target, end);
  return target;
}

function writeRequest(tag: number, request: Uint8Array, target: Uint8Array, offset: number): number {
  return copyInto(target, writeVarint(target, writeVarint(target, offset, tag), request.length), request);
}

/**
 * Reads the data of a log entry. Byte fields of hot kinds are views of `bytes`. When several requests are set, which no
 * writer does, the last one counts.
 *
 * @throws {WireError} or an error of the generated codecs when the bytes are no such message; the entry may then be a bare
 * request of the old store.
 */
export function decodeRaftRequest(bytes: Uint8Array): RaftRequest {
  const reader = new Reader(bytes);
  let oldId = 0n;
  let header: RequestHeader | undefined;
  let kind: RequestKind | "none" = "none";
  let payload: unknown;
  while (reader.position < reader.end) {
    const tag = reader.tag("InternalRaftRequest");
    if (tag === ID_TAG) {
      oldId = reader.bigUint64();
      continue;
    }
    const coldKind = tag > TXN_TAG || tag < RANGE_TAG ? coldTags.get(tag) : undefined;
    if (coldKind !== undefined) {
      kind = coldKind;
      payload = cold[coldKind][1](reader.bytes());
      continue;
    }
    if (tag !== HEADER_TAG && tag !== PUT_TAG && tag !== DELETE_RANGE_TAG && tag !== TXN_TAG && tag !== RANGE_TAG) {
      skipUnknown(reader, tag);
      continue;
    }
    const outer = reader.enter();
    if (tag === HEADER_TAG) header = readHeader(reader);
    else if (tag === PUT_TAG) {
      kind = "put";
      payload = readPutRequest(reader);
    } else if (tag === TXN_TAG) {
      kind = "txn";
      payload = readTxnRequest(reader, 1);
    } else if (tag === DELETE_RANGE_TAG) {
      kind = "deleteRange";
      payload = readDeleteRangeRequest(reader);
    } else {
      kind = "range";
      payload = readRangeRequest(reader);
    }
    reader.leave(outer);
  }
  const id = oldId === 0n && header !== undefined ? header.id : oldId;
  switch (kind) {
    case "put":
      return { id, header, kind, put: payload as PutRequest };
    case "txn":
      return { id, header, kind, txn: payload as TxnRequest };
    case "deleteRange":
      return { id, header, kind, deleteRange: payload as DeleteRangeRequest };
    case "none":
      return { id, header, kind };
    default:
      return { id, header, kind, [kind]: payload } as unknown as RaftRequest;
  }
}

function skipUnknown(reader: Reader, tag: number): void {
  const field = Math.floor(tag / 8);
  if (knownFields.has(field)) {
    throw new WireError(`proto: wrong wireType = ${tag % 8} for field ${field} of InternalRaftRequest`);
  }
  reader.skip(tag, []);
}

function readHeader(reader: Reader): RequestHeader {
  let id = 0n;
  let username = "";
  let authRevision = 0n;
  while (reader.position < reader.end) {
    const tag = reader.tag("RequestHeader");
    if (tag === 0x08) id = reader.bigUint64();
    else if (tag === 0x12) username = reader.string();
    else if (tag === 0x18) authRevision = reader.bigUint64();
    else reader.skip(tag, [undefined, "ID", "Username", "AuthRevision"]);
  }
  return { id, username, authRevision };
}
