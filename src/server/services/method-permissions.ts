/**
 * Who may call what while authentication is on, decided before a request is looked at:
 *
 *     admin    a holder of the role root
 *     caller   anybody with credentials
 *     later    decided on what is asked for: on keys when the request is served or its entry applied (key-value, leases,
 *              watches, users and roles), on the action of an alarm request, or nobody need be known (Authenticate)
 *
 * A method that is not named here is for admins: a new one cannot be left open by mistake.
 *
 * @see etcd 3.6 server/etcdserver/api/v3rpc/{auth,key,maintenance}.go, `requireAuthInfo` in server/etcdserver.
 */
export type MethodPermission = "admin" | "caller" | "later";

const services: Readonly<Record<string, Readonly<Record<string, MethodPermission>>>> = {
  "etcdserverpb.KV": { Range: "later", Put: "later", DeleteRange: "later", Txn: "later", Compact: "admin" },
  "etcdserverpb.Watch": { Watch: "later" },
  "etcdserverpb.Lease": {
    LeaseGrant: "caller",
    LeaseRevoke: "caller",
    LeaseTimeToLive: "caller",
    LeaseLeases: "caller",
    LeaseKeepAlive: "later",
  },
  "etcdserverpb.Cluster": {
    MemberList: "caller",
    MemberAdd: "admin",
    MemberRemove: "admin",
    MemberUpdate: "admin",
    MemberPromote: "admin",
  },
  "etcdserverpb.Maintenance": {
    Alarm: "later",
    Status: "caller",
    Defragment: "admin",
    Hash: "admin",
    HashKV: "admin",
    Snapshot: "admin",
    MoveLeader: "admin",
    Downgrade: "admin",
  },
  "etcdserverpb.Auth": {
    AuthEnable: "later",
    AuthDisable: "later",
    AuthStatus: "later",
    Authenticate: "later",
    UserAdd: "later",
    UserGet: "later",
    UserList: "later",
    UserDelete: "later",
    UserChangePassword: "later",
    UserGrantRole: "later",
    UserRevokeRole: "later",
    RoleAdd: "later",
    RoleGet: "later",
    RoleList: "later",
    RoleDelete: "later",
    RoleGrantPermission: "later",
    RoleRevokePermission: "later",
  },
  "v3lockpb.Lock": { Lock: "later", Unlock: "later" },
  "v3electionpb.Election": {
    Campaign: "later",
    Proclaim: "later",
    Leader: "later",
    Observe: "later",
    Resign: "later",
  },
};

const byPath = new Map<string, MethodPermission>();
for (const [service, methods] of Object.entries(services)) {
  for (const [method, permission] of Object.entries(methods)) byPath.set(`/${service}/${method}`, permission);
}

/** @param path - such as `/etcdserverpb.KV/Range`. */
export function permissionFor(path: string): MethodPermission {
  return byPath.get(path) ?? "admin";
}
