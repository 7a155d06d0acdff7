/** The messages of every method, between bytes and the JSON of the transcripts. */
import { createHash } from "node:crypto";
import * as rpc from "../../src/wire/gen/etcdserverpb/rpc.ts";
import * as election from "../../src/wire/gen/v3electionpb/v3election.ts";
import * as lock from "../../src/wire/gen/v3lockpb/v3lock.ts";
import type { Json } from "./transcript.ts";

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
  fromJSON(json: unknown): T;
  toJSON(message: T): unknown;
}

interface Method {
  encodeRequest(json: Json): Uint8Array;
  decodeResponse(bytes: Uint8Array): Json;
}

function method<Request, Response>(request: Codec<Request>, response: Codec<Response>): Method {
  return {
    encodeRequest: (json) => request.encode(request.fromJSON(json)).finish(),
    decodeResponse: (bytes) => response.toJSON(response.decode(bytes)) as Json,
  };
}

const methods: Readonly<Record<string, Method>> = {
  ...service("etcdserverpb.KV", {
    Range: method(rpc.RangeRequest, rpc.RangeResponse),
    Put: method(rpc.PutRequest, rpc.PutResponse),
    DeleteRange: method(rpc.DeleteRangeRequest, rpc.DeleteRangeResponse),
    Txn: method(rpc.TxnRequest, rpc.TxnResponse),
    Compact: method(rpc.CompactionRequest, rpc.CompactionResponse),
  }),
  ...service("etcdserverpb.Watch", { Watch: method(rpc.WatchRequest, rpc.WatchResponse) }),
  ...service("etcdserverpb.Lease", {
    LeaseGrant: method(rpc.LeaseGrantRequest, rpc.LeaseGrantResponse),
    LeaseRevoke: method(rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse),
    LeaseKeepAlive: method(rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse),
    LeaseTimeToLive: method(rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse),
    LeaseLeases: method(rpc.LeaseLeasesRequest, rpc.LeaseLeasesResponse),
  }),
  ...service("etcdserverpb.Cluster", {
    MemberList: method(rpc.MemberListRequest, rpc.MemberListResponse),
    MemberAdd: method(rpc.MemberAddRequest, rpc.MemberAddResponse),
    MemberRemove: method(rpc.MemberRemoveRequest, rpc.MemberRemoveResponse),
    MemberUpdate: method(rpc.MemberUpdateRequest, rpc.MemberUpdateResponse),
    MemberPromote: method(rpc.MemberPromoteRequest, rpc.MemberPromoteResponse),
  }),
  ...service("etcdserverpb.Maintenance", {
    Alarm: method(rpc.AlarmRequest, rpc.AlarmResponse),
    Status: method(rpc.StatusRequest, rpc.StatusResponse),
    Defragment: method(rpc.DefragmentRequest, rpc.DefragmentResponse),
    Hash: method(rpc.HashRequest, rpc.HashResponse),
    HashKV: method(rpc.HashKVRequest, rpc.HashKVResponse),
    Snapshot: method(rpc.SnapshotRequest, rpc.SnapshotResponse),
    MoveLeader: method(rpc.MoveLeaderRequest, rpc.MoveLeaderResponse),
    Downgrade: method(rpc.DowngradeRequest, rpc.DowngradeResponse),
  }),
  ...service("etcdserverpb.Auth", {
    Authenticate: method(rpc.AuthenticateRequest, rpc.AuthenticateResponse),
    AuthEnable: method(rpc.AuthEnableRequest, rpc.AuthEnableResponse),
    AuthDisable: method(rpc.AuthDisableRequest, rpc.AuthDisableResponse),
    AuthStatus: method(rpc.AuthStatusRequest, rpc.AuthStatusResponse),
    RoleAdd: method(rpc.AuthRoleAddRequest, rpc.AuthRoleAddResponse),
    RoleDelete: method(rpc.AuthRoleDeleteRequest, rpc.AuthRoleDeleteResponse),
    RoleGet: method(rpc.AuthRoleGetRequest, rpc.AuthRoleGetResponse),
    RoleList: method(rpc.AuthRoleListRequest, rpc.AuthRoleListResponse),
    RoleGrantPermission: method(rpc.AuthRoleGrantPermissionRequest, rpc.AuthRoleGrantPermissionResponse),
    RoleRevokePermission: method(rpc.AuthRoleRevokePermissionRequest, rpc.AuthRoleRevokePermissionResponse),
    UserAdd: method(rpc.AuthUserAddRequest, rpc.AuthUserAddResponse),
    UserDelete: method(rpc.AuthUserDeleteRequest, rpc.AuthUserDeleteResponse),
    UserGet: method(rpc.AuthUserGetRequest, rpc.AuthUserGetResponse),
    UserList: method(rpc.AuthUserListRequest, rpc.AuthUserListResponse),
    UserGrantRole: method(rpc.AuthUserGrantRoleRequest, rpc.AuthUserGrantRoleResponse),
    UserRevokeRole: method(rpc.AuthUserRevokeRoleRequest, rpc.AuthUserRevokeRoleResponse),
    UserChangePassword: method(rpc.AuthUserChangePasswordRequest, rpc.AuthUserChangePasswordResponse),
  }),
  ...service("v3lockpb.Lock", {
    Lock: method(lock.LockRequest, lock.LockResponse),
    Unlock: method(lock.UnlockRequest, lock.UnlockResponse),
  }),
  ...service("v3electionpb.Election", {
    Campaign: method(election.CampaignRequest, election.CampaignResponse),
    Proclaim: method(election.ProclaimRequest, election.ProclaimResponse),
    Leader: method(election.LeaderRequest, election.LeaderResponse),
    Observe: method(election.LeaderRequest, election.LeaderResponse),
    Resign: method(election.ResignRequest, election.ResignResponse),
  }),
};

function service(name: string, table: Readonly<Record<string, Method>>): Record<string, Method> {
  return Object.fromEntries(Object.entries(table).map(([short, codecs]) => [`/${name}/${short}`, codecs]));
}

function methodOf(path: string): Method {
  const found = methods[path];
  if (found === undefined) throw new Error(`no messages are known for ${path}`);
  return found;
}

/** Variables in the request are replaced by their values. */
export function encodeRequest(path: string, request: Json, variables: ReadonlyMap<string, string>): Uint8Array {
  return methodOf(path).encodeRequest(expandBytes(expandVariables(request, variables)));
}

/** Long bytes come as their digest, as in the transcripts. */
export function decodeResponse(path: string, bytes: Uint8Array): Json {
  return contractBytes(methodOf(path).decodeResponse(bytes));
}

/** `${name}` within strings. */
export function expandVariables(json: Json, variables: ReadonlyMap<string, string>): Json {
  return mapStrings(json, (text) =>
    text.replace(/\$\{(\w+)\}/g, (whole, name: string) => variables.get(name) ?? whole),
  );
}

/** Longest bytes that the transcripts show in full, as base64. */
const shownBase64Max = 512;

function contractBytes(json: Json): Json {
  return mapStrings(json, (text) => {
    if (text.length <= shownBase64Max) return text;
    const bytes = Buffer.from(text, "base64");
    return { $sha256: createHash("sha256").update(bytes).digest("hex"), len: bytes.length };
  });
}

/** `{"$repeat": {b64, times}}` becomes base64. */
function expandBytes(json: Json): Json {
  if (Array.isArray(json)) return (json as readonly Json[]).map(expandBytes);
  if (typeof json !== "object" || json === null) return json;
  const fields = json as { readonly [name: string]: Json };
  const repeat = fields["$repeat"] as { readonly b64: string; readonly times: number } | undefined;
  if (repeat !== undefined) {
    const piece = Buffer.from(repeat.b64, "base64");
    return Buffer.alloc(piece.length * repeat.times, piece).toString("base64");
  }
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, expandBytes(value)]));
}

function mapStrings(json: Json, change: (text: string) => Json): Json {
  if (typeof json === "string") return change(json);
  if (Array.isArray(json)) return (json as readonly Json[]).map((item) => mapStrings(item, change));
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, mapStrings(value, change)]));
}
