/** The remote procedures of etcd's API that the client uses, with their messages and how they may be retried. */
import * as rpc from "../wire/gen/etcdserverpb/rpc.ts";
import type { MessageFns } from "../wire/gen/etcdserverpb/rpc.ts";

export interface Method<Request, Response> {
  /** `/etcdserverpb.KV/Range`. */
  readonly path: string;
  readonly request: MessageFns<Request>;
  readonly response: MessageFns<Response>;
  /** True when the call may be sent again although an earlier one may have been carried out. */
  readonly repeatable: boolean;
}

function method<Request, Response>(
  path: string,
  request: MessageFns<Request>,
  response: MessageFns<Response>,
  repeatable: "repeatable" | "once" = "once",
): Method<Request, Response> {
  return { path: `/etcdserverpb.${path}`, request, response, repeatable: repeatable === "repeatable" };
}

export const methods = {
  range: method("KV/Range", rpc.RangeRequest, rpc.RangeResponse, "repeatable"),
  put: method("KV/Put", rpc.PutRequest, rpc.PutResponse),
  deleteRange: method("KV/DeleteRange", rpc.DeleteRangeRequest, rpc.DeleteRangeResponse),
  txn: method("KV/Txn", rpc.TxnRequest, rpc.TxnResponse),
  compact: method("KV/Compact", rpc.CompactionRequest, rpc.CompactionResponse),
  watch: method("Watch/Watch", rpc.WatchRequest, rpc.WatchResponse),
  leaseGrant: method("Lease/LeaseGrant", rpc.LeaseGrantRequest, rpc.LeaseGrantResponse, "repeatable"),
  leaseRevoke: method("Lease/LeaseRevoke", rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse, "repeatable"),
  leaseKeepAlive: method("Lease/LeaseKeepAlive", rpc.LeaseKeepAliveRequest, rpc.LeaseKeepAliveResponse),
  leaseTimeToLive: method(
    "Lease/LeaseTimeToLive",
    rpc.LeaseTimeToLiveRequest,
    rpc.LeaseTimeToLiveResponse,
    "repeatable",
  ),
  leaseList: method("Lease/LeaseLeases", rpc.LeaseLeasesRequest, rpc.LeaseLeasesResponse, "repeatable"),
  memberAdd: method("Cluster/MemberAdd", rpc.MemberAddRequest, rpc.MemberAddResponse),
  memberRemove: method("Cluster/MemberRemove", rpc.MemberRemoveRequest, rpc.MemberRemoveResponse),
  memberUpdate: method("Cluster/MemberUpdate", rpc.MemberUpdateRequest, rpc.MemberUpdateResponse),
  memberPromote: method("Cluster/MemberPromote", rpc.MemberPromoteRequest, rpc.MemberPromoteResponse),
  memberList: method("Cluster/MemberList", rpc.MemberListRequest, rpc.MemberListResponse, "repeatable"),
  alarm: method("Maintenance/Alarm", rpc.AlarmRequest, rpc.AlarmResponse, "repeatable"),
  status: method("Maintenance/Status", rpc.StatusRequest, rpc.StatusResponse, "repeatable"),
  hashKv: method("Maintenance/HashKV", rpc.HashKVRequest, rpc.HashKVResponse, "repeatable"),
  snapshot: method("Maintenance/Snapshot", rpc.SnapshotRequest, rpc.SnapshotResponse),
  moveLeader: method("Maintenance/MoveLeader", rpc.MoveLeaderRequest, rpc.MoveLeaderResponse, "repeatable"),
  defragment: method("Maintenance/Defragment", rpc.DefragmentRequest, rpc.DefragmentResponse),
  downgrade: method("Maintenance/Downgrade", rpc.DowngradeRequest, rpc.DowngradeResponse),
  authEnable: method("Auth/AuthEnable", rpc.AuthEnableRequest, rpc.AuthEnableResponse),
  authDisable: method("Auth/AuthDisable", rpc.AuthDisableRequest, rpc.AuthDisableResponse),
  authStatus: method("Auth/AuthStatus", rpc.AuthStatusRequest, rpc.AuthStatusResponse),
  authenticate: method("Auth/Authenticate", rpc.AuthenticateRequest, rpc.AuthenticateResponse),
  userAdd: method("Auth/UserAdd", rpc.AuthUserAddRequest, rpc.AuthUserAddResponse),
  userGet: method("Auth/UserGet", rpc.AuthUserGetRequest, rpc.AuthUserGetResponse, "repeatable"),
  userList: method("Auth/UserList", rpc.AuthUserListRequest, rpc.AuthUserListResponse, "repeatable"),
  userDelete: method("Auth/UserDelete", rpc.AuthUserDeleteRequest, rpc.AuthUserDeleteResponse),
  userChangePassword: method(
    "Auth/UserChangePassword",
    rpc.AuthUserChangePasswordRequest,
    rpc.AuthUserChangePasswordResponse,
  ),
  userGrantRole: method("Auth/UserGrantRole", rpc.AuthUserGrantRoleRequest, rpc.AuthUserGrantRoleResponse),
  userRevokeRole: method("Auth/UserRevokeRole", rpc.AuthUserRevokeRoleRequest, rpc.AuthUserRevokeRoleResponse),
  roleAdd: method("Auth/RoleAdd", rpc.AuthRoleAddRequest, rpc.AuthRoleAddResponse),
  roleGet: method("Auth/RoleGet", rpc.AuthRoleGetRequest, rpc.AuthRoleGetResponse, "repeatable"),
  roleList: method("Auth/RoleList", rpc.AuthRoleListRequest, rpc.AuthRoleListResponse, "repeatable"),
  roleDelete: method("Auth/RoleDelete", rpc.AuthRoleDeleteRequest, rpc.AuthRoleDeleteResponse),
  roleGrantPermission: method(
    "Auth/RoleGrantPermission",
    rpc.AuthRoleGrantPermissionRequest,
    rpc.AuthRoleGrantPermissionResponse,
  ),
  roleRevokePermission: method(
    "Auth/RoleRevokePermission",
    rpc.AuthRoleRevokePermissionRequest,
    rpc.AuthRoleRevokePermissionResponse,
  ),
};
