/**
 * `etcdserverpb.Auth`: users and roles. All of it goes through the log, questions too. Passwords end here: what goes into
 * the log is a bcrypt hash, or the name of a user whose password was right.
 */
import { assert } from "../../base/assert.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import { EtcdError } from "../../wire/errors.ts";
import { InternalAuthenticateRequest } from "../../wire/gen/etcdserverpb/raft_internal.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import type { RequestKind } from "../../wire/hot/raft-request.ts";
import type { ApplyResult, AuthOutcome, AuthResult } from "../apply/result.ts";
import type { ProposalCallback } from "../member.ts";
import type { MessageCodec, ServiceContext } from "./service-context.ts";
import type { MethodRegistry } from "./token-gate.ts";

interface HeaderOnly {
  header: rpc.ResponseHeader | undefined;
}

export class AuthService {
  readonly #context: ServiceContext;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  register(server: MethodRegistry): void {
    this.#registerPasswords(server);
    this.#registerChanges(server);
    this.#registerQuestions(server);
  }

  #registerPasswords(server: MethodRegistry): void {
    const { unary } = bound(this.#context);
    server.unary(
      path("Authenticate"),
      unary(rpc.AuthenticateRequest, rpc.AuthenticateResponse, async ({ name, password }, reply, call) => {
        const { token, revision } = await this.#authenticate(name, password, call);
        reply({ header: this.#context.coldHeader(revision), token });
      }),
    );
    server.unary(
      path("UserAdd"),
      unary(rpc.AuthUserAddRequest, rpc.AuthUserAddResponse, async (request, reply, call) => {
        if (request.options?.noPassword !== true) await this.#hash(request);
        const bytes = rpc.AuthUserAddRequest.encode(request).finish();
        reply({ header: await this.#change("authUserAdd", bytes, call) });
      }),
    );
    server.unary(
      path("UserChangePassword"),
      unary(rpc.AuthUserChangePasswordRequest, rpc.AuthUserChangePasswordResponse, async (request, reply, call) => {
        if (request.password !== "") await this.#hash(request);
        const bytes = rpc.AuthUserChangePasswordRequest.encode(request).finish();
        reply({ header: await this.#change("authUserChangePassword", bytes, call) });
      }),
    );
  }

  #registerChanges(server: MethodRegistry): void {
    const change = <Request>(
      method: string,
      kind: RequestKind,
      request: MessageCodec<Request>,
      response: MessageCodec<HeaderOnly>,
    ): void => {
      const handler = this.#context.unary(request, response, async (message, reply, call) => {
        reply({ header: await this.#change(kind, request.encode(message).finish(), call) });
      });
      server.unary(path(method), handler);
    };
    change("AuthEnable", "authEnable", rpc.AuthEnableRequest, rpc.AuthEnableResponse);
    change("AuthDisable", "authDisable", rpc.AuthDisableRequest, rpc.AuthDisableResponse);
    change("UserDelete", "authUserDelete", rpc.AuthUserDeleteRequest, rpc.AuthUserDeleteResponse);
    change("UserGrantRole", "authUserGrantRole", rpc.AuthUserGrantRoleRequest, rpc.AuthUserGrantRoleResponse);
    change("UserRevokeRole", "authUserRevokeRole", rpc.AuthUserRevokeRoleRequest, rpc.AuthUserRevokeRoleResponse);
    change("RoleAdd", "authRoleAdd", rpc.AuthRoleAddRequest, rpc.AuthRoleAddResponse);
    change("RoleDelete", "authRoleDelete", rpc.AuthRoleDeleteRequest, rpc.AuthRoleDeleteResponse);
    change(
      "RoleGrantPermission",
      "authRoleGrantPermission",
      rpc.AuthRoleGrantPermissionRequest,
      rpc.AuthRoleGrantPermissionResponse,
    );
    change(
      "RoleRevokePermission",
      "authRoleRevokePermission",
      rpc.AuthRoleRevokePermissionRequest,
      rpc.AuthRoleRevokePermissionResponse,
    );
  }

  #registerQuestions(server: MethodRegistry): void {
    const { unary } = bound(this.#context);
    const header = ({ revision }: AuthResult): rpc.ResponseHeader => this.#context.coldHeader(revision);
    server.unary(
      path("AuthStatus"),
      unary(rpc.AuthStatusRequest, rpc.AuthStatusResponse, async (request, reply, call) => {
        const bytes = rpc.AuthStatusRequest.encode(request).finish();
        const result = await this.#propose("authStatus", bytes, call, "authStatus");
        reply({ header: header(result), enabled: result.enabled, authRevision: BigInt(result.authRevision) });
      }),
    );
    server.unary(
      path("UserGet"),
      unary(rpc.AuthUserGetRequest, rpc.AuthUserGetResponse, async (request, reply, call) => {
        const bytes = rpc.AuthUserGetRequest.encode(request).finish();
        const result = await this.#propose("authUserGet", bytes, call, "authNames");
        reply({ header: header(result), roles: [...result.names] });
      }),
    );
    server.unary(
      path("UserList"),
      unary(rpc.AuthUserListRequest, rpc.AuthUserListResponse, async (request, reply, call) => {
        const bytes = rpc.AuthUserListRequest.encode(request).finish();
        const result = await this.#propose("authUserList", bytes, call, "authNames");
        reply({ header: header(result), users: [...result.names] });
      }),
    );
    server.unary(
      path("RoleGet"),
      unary(rpc.AuthRoleGetRequest, rpc.AuthRoleGetResponse, async (request, reply, call) => {
        const bytes = rpc.AuthRoleGetRequest.encode(request).finish();
        const result = await this.#propose("authRoleGet", bytes, call, "authPermissions");
        reply({ header: header(result), perm: [...result.permissions] });
      }),
    );
    server.unary(
      path("RoleList"),
      unary(rpc.AuthRoleListRequest, rpc.AuthRoleListResponse, async (request, reply, call) => {
        const bytes = rpc.AuthRoleListRequest.encode(request).finish();
        const result = await this.#propose("authRoleList", bytes, call, "authNames");
        reply({ header: header(result), roles: [...result.names] });
      }),
    );
  }

  /**
   * The password is checked against what is stored now, the token assigned by an entry of the log; when users changed in
   * between, all over again.
   */
  async #authenticate(name: string, password: string, call: UnaryCall): Promise<{ token: string; revision: number }> {
    const { member } = this.#context;
    await new Promise<void>((resolve, reject) => {
      member.readIndex((error) => (error === undefined ? resolve() : reject(error)));
    });
    for (;;) {
      const checkedRevision = member.auth.revision;
      await this.#checkPassword(name, password);
      const request = { name, password: "", simpleToken: member.auth.tokens.newPrefix() };
      const bytes = InternalAuthenticateRequest.encode(request).finish();
      const result = await this.#propose("authenticate", bytes, call, "authenticate");
      if (checkedRevision === member.auth.revision || call.cancelled) return result;
    }
  }

  async #checkPassword(name: string, password: string): Promise<void> {
    const { auth, passwords, platform } = this.#context.member;
    let stored: string | undefined;
    let refusal = new EtcdError("authFailed");
    try {
      stored = auth.passwordOf(name);
    } catch (error) {
      if (!(error instanceof EtcdError) || error.reason === "authNotEnabled") throw error;
      refusal = error;
    }
    if (await passwords.matches(password, stored)) return;
    const log = platform.log.withCaller("server/services/auth.ts");
    log.warn("invalid authentication was requested", { user: name, error: refusal });
    throw refusal;
  }

  async #hash(request: { password: string; hashedPassword: string }): Promise<void> {
    const hash = await this.#context.member.passwords.hash(request.password);
    request.hashedPassword = Buffer.from(hash).toString("base64");
    request.password = "";
  }

  async #change(kind: RequestKind, request: Uint8Array, call: UnaryCall): Promise<rpc.ResponseHeader> {
    const { revision } = await this.#propose(kind, request, call, "authChange");
    return this.#context.coldHeader(revision);
  }

  #propose<Kind extends AuthOutcome["kind"]>(
    kind: RequestKind,
    request: Uint8Array,
    call: UnaryCall,
    outcome: Kind,
  ): Promise<Extract<ApplyResult, { readonly kind: Kind }>> {
    const { member, callers } = this.#context;
    return new Promise((resolve, reject) => {
      const settle: ProposalCallback = (error, result) => {
        if (error !== undefined) return reject(error);
        assert(result?.kind === outcome, "result of another kind of proposal");
        resolve(result as Extract<ApplyResult, { readonly kind: Kind }>);
      };
      // Who asks for a token has none yet.
      member.propose(kind, request, settle, kind === "authenticate" ? undefined : callers.of(call));
    });
  }
}

function path(method: string): string {
  return `/etcdserverpb.Auth/${method}`;
}

function bound(context: ServiceContext): Pick<ServiceContext, "unary"> {
  return { unary: context.unary.bind(context) };
}
