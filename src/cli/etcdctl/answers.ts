/**
 * What the commands have to say, as data: one entry per kind of answer, printed by the printer of the chosen format.
 * `response` is the server's message; the rest is what the text forms need besides it.
 */
import type {
  AlarmResponse,
  AuthRoleAddResponse,
  AuthRoleDeleteResponse,
  AuthRoleGetResponse,
  AuthRoleGrantPermissionResponse,
  AuthRoleListResponse,
  AuthRoleRevokePermissionResponse,
  AuthStatusResponse,
  AuthUserAddResponse,
  AuthUserChangePasswordResponse,
  AuthUserDeleteResponse,
  AuthUserGetResponse,
  AuthUserGrantRoleResponse,
  AuthUserListResponse,
  AuthUserRevokeRoleResponse,
  DeleteRangeResponse,
  DowngradeResponse,
  HashKVResponse,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseRevokeResponse,
  LeaseTimeToLiveResponse,
  MemberAddResponse,
  MemberListResponse,
  MemberPromoteResponse,
  MemberRemoveResponse,
  MemberUpdateResponse,
  MoveLeaderResponse,
  PutResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
  WatchResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";

export interface Plain<Response> {
  readonly response: Response;
}

export interface OfMember<Response> extends Plain<Response> {
  readonly memberId: bigint;
}

export interface OfRole<Response> extends Plain<Response> {
  readonly role: string;
}

export interface OfUser<Response> extends Plain<Response> {
  readonly user: string;
}

export interface OfGrant<Response> extends OfRole<Response>, OfUser<Response> {}

export interface EndpointHealth {
  readonly endpoint: string;
  readonly healthy: boolean;
  /** Go duration text; empty when no request could be made. */
  readonly took: string;
  /** Empty when healthy. */
  readonly error: string;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly status: StatusResponse;
}

export interface EndpointHash {
  readonly endpoint: string;
  readonly hash: HashKVResponse;
}

/** Kind of answer → its data. */
export interface Answers {
  get: Plain<RangeResponse>;
  put: Plain<PutResponse>;
  delete: Plain<DeleteRangeResponse>;
  txn: Plain<TxnResponse>;
  watch: Plain<WatchResponse>;
  leaseGrant: Plain<LeaseGrantResponse>;
  leaseRevoke: Plain<LeaseRevokeResponse> & { readonly leaseId: bigint };
  leaseKeepAlive: Plain<LeaseKeepAliveResponse>;
  leaseTimeToLive: Plain<LeaseTimeToLiveResponse> & { readonly withKeys: boolean };
  leaseList: Plain<LeaseLeasesResponse>;
  memberAdd: Plain<MemberAddResponse>;
  memberRemove: OfMember<MemberRemoveResponse>;
  memberUpdate: OfMember<MemberUpdateResponse>;
  memberPromote: OfMember<MemberPromoteResponse>;
  memberList: Plain<MemberListResponse>;
  endpointHealth: Plain<readonly EndpointHealth[]>;
  endpointStatus: Plain<readonly EndpointStatus[]>;
  endpointHash: Plain<readonly EndpointHash[]>;
  moveLeader: Plain<MoveLeaderResponse> & { readonly from: bigint; readonly to: bigint };
  downgradeValidate: Plain<DowngradeResponse>;
  downgradeEnable: Plain<DowngradeResponse>;
  downgradeCancel: Plain<DowngradeResponse>;
  alarm: Plain<AlarmResponse>;
  roleAdd: OfRole<AuthRoleAddResponse>;
  roleGet: OfRole<AuthRoleGetResponse>;
  roleDelete: OfRole<AuthRoleDeleteResponse>;
  roleList: Plain<AuthRoleListResponse>;
  roleGrantPermission: OfRole<AuthRoleGrantPermissionResponse>;
  roleRevokePermission: OfRole<AuthRoleRevokePermissionResponse> & {
    readonly key: string;
    readonly rangeEnd: Uint8Array;
  };
  userAdd: OfUser<AuthUserAddResponse>;
  userGet: OfUser<AuthUserGetResponse>;
  userList: Plain<AuthUserListResponse>;
  userChangePassword: Plain<AuthUserChangePasswordResponse>;
  userGrantRole: OfGrant<AuthUserGrantRoleResponse>;
  userRevokeRole: OfGrant<AuthUserRevokeRoleResponse>;
  userDelete: OfUser<AuthUserDeleteResponse>;
  authStatus: Plain<AuthStatusResponse>;
}

export type AnswerKind = keyof Answers;
