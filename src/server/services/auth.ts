/**
 * `etcdserverpb.Auth` of a member without authentication: what can be asked is answered from the store (users and roles
 * may be there from another etcd), switching it off is nothing to do, and everything that would change it is refused.
 *
 * Rows: bucket `authUsers` name → User, `authRoles` name → Role, `auth` "authRevision" → u64 big-endian.
 */
import { asBuffer } from "../../base/bytes.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import { buckets, type Bucket } from "../../storage/backend/bucket.ts";
import { Code, EtcdError } from "../../wire/errors.ts";
import { Role, User } from "../../wire/gen/authpb/auth.ts";
import {
  AuthDisableRequest,
  AuthDisableResponse,
  AuthEnableRequest,
  AuthEnableResponse,
  AuthRoleGetRequest,
  AuthRoleGetResponse,
  AuthRoleListRequest,
  AuthRoleListResponse,
  AuthStatusRequest,
  AuthStatusResponse,
  AuthUserGetRequest,
  AuthUserGetResponse,
  AuthUserListRequest,
  AuthUserListResponse,
  AuthenticateRequest,
  AuthenticateResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import type { ServiceContext } from "./service-context.ts";

const changes = [
  "UserAdd",
  "UserDelete",
  "UserChangePassword",
  "UserGrantRole",
  "UserRevokeRole",
  "RoleAdd",
  "RoleDelete",
  "RoleGrantPermission",
  "RoleRevokePermission",
] as const;

export class AuthService {
  readonly #context: ServiceContext;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  register(server: GrpcServer): void {
    const context = this.#context;
    const header = () => context.coldHeader();
    const path = (method: string): string => `/etcdserverpb.Auth/${method}`;
    server.unary(
      path("AuthStatus"),
      context.unary(AuthStatusRequest, AuthStatusResponse, (_request, reply) =>
        reply({ header: header(), enabled: false, authRevision: this.revision }),
      ),
    );
    server.unary(
      path("AuthEnable"),
      context.unary(AuthEnableRequest, AuthEnableResponse, (_request, _reply, call) => {
        const root = this.#row(buckets.authUsers, "root");
        if (root === undefined) throw new EtcdError("rootUserNotExist");
        if (!User.decode(root).roles.includes("root")) throw new EtcdError("rootRoleNotExist");
        this.#refuse(call, "AuthEnable");
      }),
    );
    server.unary(
      path("AuthDisable"),
      context.unary(AuthDisableRequest, AuthDisableResponse, (_request, reply) => reply({ header: header() })),
    );
    server.unary(
      path("Authenticate"),
      context.unary(AuthenticateRequest, AuthenticateResponse, () => {
        throw new EtcdError("authNotEnabled");
      }),
    );
    this.#registerReads(server, path);
    for (const method of changes) {
      server.unary(path(method), (call) => {
        if (context.admit(call, "unary")) this.#refuse(call, method);
      });
    }
  }

  #registerReads(server: GrpcServer, path: (method: string) => string): void {
    const context = this.#context;
    server.unary(
      path("UserList"),
      context.unary(AuthUserListRequest, AuthUserListResponse, (_request, reply) =>
        reply({ header: context.coldHeader(), users: this.#names(buckets.authUsers) }),
      ),
    );
    server.unary(
      path("RoleList"),
      context.unary(AuthRoleListRequest, AuthRoleListResponse, (_request, reply) =>
        reply({ header: context.coldHeader(), roles: this.#names(buckets.authRoles) }),
      ),
    );
    server.unary(
      path("UserGet"),
      context.unary(AuthUserGetRequest, AuthUserGetResponse, ({ name }, reply) => {
        const row = this.#row(buckets.authUsers, name);
        if (row === undefined) throw new EtcdError("userNotFound");
        reply({ header: context.coldHeader(), roles: User.decode(row).roles });
      }),
    );
    server.unary(
      path("RoleGet"),
      context.unary(AuthRoleGetRequest, AuthRoleGetResponse, ({ role }, reply) => {
        const row = this.#row(buckets.authRoles, role);
        if (row === undefined) throw new EtcdError("roleNotFound");
        reply({ header: context.coldHeader(), perm: Role.decode(row).keyPermission });
      }),
    );
  }

  /** How often users, roles and permissions have changed. */
  get revision(): bigint {
    const row = this.#row(buckets.auth, "authRevision");
    return row === undefined ? 0n : asBuffer(row).readBigUInt64BE();
  }

  #row(bucket: Bucket, name: string): Uint8Array | undefined {
    return this.#context.member.backend.get(bucket, Buffer.from(name));
  }

  #names(bucket: Bucket): string[] {
    const names: string[] = [];
    this.#context.member.backend.range(bucket, new Uint8Array(0), undefined, 0, (key) => {
      names.push(asBuffer(key).toString());
      return true;
    });
    return names;
  }

  #refuse(call: UnaryCall, method: string): void {
    call.fail(Code.Unimplemented, `quorate: ${method} is not available in this version: it has no users and roles yet`);
  }
}
