/**
 * Who calls: the user of the token in the call's metadata, or else of the client's certificate. With authentication off
 * nobody asks, and everybody is nobody.
 *
 * @see etcd server/auth/store.go, `AuthInfoFromCtx`, `AuthInfoFromTLS`.
 */
import { createHash } from "node:crypto";
import { type Caller, nobody } from "../../auth/caller.ts";
import { bareToken } from "../../auth/tokens.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import { EtcdError } from "../../wire/errors.ts";
import type { Member } from "../member.ts";

/** What of a call says who calls. */
export type IdentifiedCall = Pick<UnaryCall, "metadata" | "tls">;

const fingerprintLength = 12;

/** The token a call carries. */
export function tokenOf(call: Pick<UnaryCall, "metadata">): string | undefined {
  const token = call.metadata("token") ?? call.metadata("authorization");
  return token === undefined ? undefined : bareToken(token);
}

export class Callers {
  readonly #member: Member;

  constructor(member: Member) {
    this.#member = member;
  }

  /** @throws {EtcdError} `invalidAuthToken`. Without credentials the caller is nobody. */
  of(call: IdentifiedCall): Caller {
    const { auth } = this.#member;
    if (!auth.isEnabled) return nobody;
    const token = tokenOf(call);
    if (token === undefined) return this.#ofCertificate(call) ?? nobody;
    try {
      return auth.callerOf(token);
    } catch (error) {
      const log = this.#member.platform.log.withCaller("server/services/callers.ts");
      log.warn("invalid auth token", { "token-fingerprint": fingerprint(token) });
      throw error;
    }
  }

  /** Somebody with credentials, whoever it is. @throws {EtcdError} `userEmpty`, `invalidAuthToken`. */
  require(call: IdentifiedCall): void {
    if (this.#member.auth.isEnabled && this.of(call) === nobody) throw new EtcdError("userEmpty");
  }

  /** @throws {EtcdError} as {@link require}, and `userNotFound`, `permissionDenied`. */
  requireAdmin(call: IdentifiedCall): void {
    const { auth } = this.#member;
    if (auth.isEnabled) auth.requireAdmin(this.of(call));
  }

  /** The log entry that must be applied here before the call's token can be known; 0 when there is none to wait for. */
  awaitedIndex(call: IdentifiedCall): number {
    const { auth, raft } = this.#member;
    if (!auth.isEnabled) return 0;
    const token = tokenOf(call);
    const index = token === undefined ? 0 : auth.tokens.awaitedIndex(token);
    return index > raft.appliedIndex ? index : 0;
  }

  /** The gateway connects with the server's own certificate, which says nothing about its client. */
  #ofCertificate(call: IdentifiedCall): Caller | undefined {
    const { auth, config } = this.#member;
    if (!config.clientCertAuth || call.tls?.verified !== true) return undefined;
    if (call.metadata("grpcgateway-accept") !== undefined) return undefined;
    return { username: call.tls.commonName ?? "", revision: auth.revision };
  }
}

/** Tells tokens apart in a log without giving them away. */
function fingerprint(token: string): string {
  return createHash("sha256").update(token).digest("hex").slice(0, fingerprintLength);
}
