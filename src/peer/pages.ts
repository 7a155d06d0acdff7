/**
 * What members ask each other besides raft: who the members are, versions, leases of the leader, hashes, promotions.
 * Source: etcd server/etcdserver/api/etcdhttp/peer.go, lease/leasehttp/http.go, etcdserver/{corrupt,server}.go.
 */
import { formatId, memberToJson, type Member } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import { EtcdError } from "../wire/errors.ts";
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../wire/gen/etcdserverpb/rpc.ts";
import { LeaseInternalRequest, LeaseInternalResponse } from "../wire/gen/leasepb/lease.ts";
import { decodeRequest } from "../wire/wire-error.ts";
import type { Exchange, HeaderFields } from "./http1/server-connection.ts";
import { clusterIdMismatchText } from "./introduction.ts";
import { hashRequestBytesMax, leaseRequestBytesMax } from "./limits.ts";
import { onlyMethod, readWhole, respondError, type PeerServer } from "./server.ts";

/** A lease as its leader knows it. */
export interface LeaseRemaining {
  /** Whole seconds left. */
  readonly ttlSeconds: number;
  readonly grantedTtlSeconds: number;
  /** Keys attached; empty when not asked for. */
  readonly keys: readonly Uint8Array[];
}

/** The hash of the keys at one revision. */
export interface RevisionHash {
  /** Current revision of the member that answers. */
  readonly currentRevision: number;
  readonly hash: number;
  readonly compactRevision: number;
  /** The revision hashed; 0 from members before 3.6. */
  readonly hashRevision: number;
}

export interface MemberVersions {
  readonly server: string;
  /** `not_decided` until the members have agreed. */
  readonly cluster: string;
  /** `unknown` when the store does not say; empty from members before 3.6. */
  readonly storage: string;
}

/** What the member does for its peers. Rejections are `EtcdError`s; the reasons that have a status are named. */
export interface PeerServices {
  readonly clusterId: bigint;
  readonly log: Logger;
  members(): readonly Member[];
  versions(): MemberVersions;
  /**
   * Promotes a learner here (only the leader can).
   *
   * @param token - the caller's auth token.
   * @throws `memberNotFound`, `memberNotLearner`, `learnerNotReady`.
   */
  promoteMember(memberId: bigint, token: string | undefined): Promise<readonly Member[]>;
  /**
   * Waits until what was committed is applied (a second at most), then renews.
   *
   * @returns the TTL in seconds. @throws `leaseNotFound`, `timeoutWaitAppliedIndex`; anything else becomes status 400.
   */
  renewLease(leaseId: bigint): Promise<number>;
  /** Waits alike. @throws `leaseNotFound`, `timeoutWaitAppliedIndex`; anything else (no longer leader) becomes status 500. */
  leaseTimeToLive(leaseId: bigint, withKeys: boolean): Promise<LeaseRemaining>;
  /** @param revision - 0 is the current one. @throws `compacted`, `futureRevision`. */
  hashKv(revision: number): Promise<RevisionHash>;
  /** After a linearizable read. */
  downgradeEnabled(): Promise<boolean>;
}

/** Texts that peers compare; etcd's internal ones, not those that clients see. */
export const peerTexts = {
  memberNotFound: "membership: ID not found",
  memberNotLearner: "membership: can only promote a learner member",
  learnerNotReady: "etcdserver: can only promote a learner member which is in sync with leader",
  leaseNotFound: "lease not found",
  leaseTimeout: "waiting for node to catch up its applied index has timed out",
  notPrimary: "not a primary lessor",
  compacted: "mvcc: required revision has been compacted",
  futureRevision: "mvcc: required revision is a future revision",
} as const;

const json: readonly [string, string] = ["Content-Type", "application/json"];

export function registerPages(server: PeerServer, services: PeerServices): void {
  const pages = new Pages(services);
  server.route("/version", (exchange) => pages.version(exchange));
  server.route("/members", (exchange) => pages.members(exchange));
  server.route("/members/promote/", (exchange) => pages.promote(exchange));
  server.route("/leases", (exchange) => pages.leases(exchange, renew));
  server.route("/leases/internal", (exchange) => pages.leases(exchange, timeToLive));
  server.route("/members/hashkv", (exchange) => pages.hashKv(exchange));
  server.route("/downgrade/enabled", (exchange) => pages.downgradeEnabled(exchange));
}

class Pages {
  readonly #services: PeerServices;
  readonly #clusterField: readonly [string, string];

  constructor(services: PeerServices) {
    this.#services = services;
    this.#clusterField = ["X-Etcd-Cluster-Id", formatId(services.clusterId)];
  }

  version(exchange: Exchange): void {
    if (!onlyMethod(exchange, "GET")) return;
    const { server, cluster, storage } = this.#services.versions();
    respondText(exchange, [json], JSON.stringify({ etcdserver: server, etcdcluster: cluster, storage }));
  }

  members(exchange: Exchange): void {
    if (!onlyMethod(exchange, "GET")) return;
    respondText(exchange, [this.#clusterField, json], membersToJson(this.#services.members()));
  }

  promote(exchange: Exchange): void {
    if (!onlyMethod(exchange, "POST")) return;
    const fields = [this.#clusterField];
    const text = exchange.path.slice("/members/promote/".length);
    const id = /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
    if (id === undefined || id > 0xffff_ffff_ffff_ffffn) {
      return respondError(exchange, 404, `member ${text} not found in cluster`, fields);
    }
    this.#services.promoteMember(id, exchange.field("authorization")).then(
      (members) => respondText(exchange, [...fields, json], membersToJson(members)),
      (error: unknown) => {
        const reason = reasonOf(error);
        if (reason === "memberNotFound") respondError(exchange, 404, peerTexts.memberNotFound, fields);
        else if (reason === "memberNotLearner") respondError(exchange, 412, peerTexts.memberNotLearner, fields);
        else if (reason === "learnerNotReady") respondError(exchange, 412, peerTexts.learnerNotReady, fields);
        else exchange.respond(500, [...fields, json], Buffer.from('{"message":"Internal Server Error"}'));
        this.#services.log.warn("failed to promote a member", { "member-id": formatId(id), error });
      },
    );
  }

  /** Reads the body of a forwarded lease request and answers with what `ask` makes of it. */
  leases(exchange: Exchange, ask: LeaseQuestion): void {
    if (exchange.method !== "POST") return respondError(exchange, 405, "Method Not Allowed");
    readWhole(exchange, leaseRequestBytesMax, (body, tooLarge) => {
      if (tooLarge) return respondError(exchange, 413, "request body too large");
      if (body === undefined) return respondError(exchange, 400, "error reading body");
      let answer: Promise<Uint8Array>;
      try {
        answer = ask(this.#services, body);
      } catch (error) {
        if (reasonOf(error) !== "unmarshalling") throw error;
        return respondError(exchange, 400, "error unmarshalling request");
      }
      answer.then(
        (bytes) => exchange.respond(200, [["Content-Type", "application/protobuf"]], bytes),
        (error: unknown) => leaseError(exchange, error, ask === renew ? 400 : 500),
      );
    });
  }

  hashKv(exchange: Exchange): void {
    if (!onlyMethod(exchange, "GET")) return;
    const clusterId = exchange.field("x-etcd-cluster-id") ?? "";
    if (clusterId !== "" && clusterId !== this.#clusterField[1]) {
      return respondError(exchange, 412, clusterIdMismatchText);
    }
    readWhole(exchange, hashRequestBytesMax, (body, tooLarge) => {
      if (tooLarge) return respondError(exchange, 413, "request body too large");
      if (body === undefined) return respondError(exchange, 400, "error reading body");
      const revision = requestedRevision(body);
      if (revision === undefined) {
        this.#services.log.warn("failed to unmarshal request");
        return respondError(exchange, 400, "error unmarshalling request");
      }
      this.#services.hashKv(revision).then(
        (hash) => respondText(exchange, [this.#clusterField, json], hashToJson(hash)),
        (error: unknown) => {
          this.#services.log.warn("failed to get hashKV", { "requested-revision": revision, error });
          const reason = reasonOf(error);
          const isKnown = reason === "compacted" || reason === "futureRevision";
          respondError(exchange, 400, isKnown ? peerTexts[reason] : (error as Error).message);
        },
      );
    });
  }

  downgradeEnabled(exchange: Exchange): void {
    if (!onlyMethod(exchange, "GET")) return;
    this.#services.downgradeEnabled().then(
      (isEnabled) => respondText(exchange, [this.#clusterField, ["Content-Type", "text/plain"]], String(isEnabled)),
      (error: unknown) => {
        const text = `failed linearized read: ${(error as Error).message}`;
        respondError(exchange, 500, text, [this.#clusterField]);
      },
    );
  }
}

/** @throws {EtcdError} `unmarshalling`, at once, when the body is not the request. */
type LeaseQuestion = (services: PeerServices, body: Uint8Array) => Promise<Uint8Array>;

const renew: LeaseQuestion = (services, body) => {
  const { ID } = decodeRequest((bytes) => LeaseKeepAliveRequest.decode(bytes), body);
  return services
    .renewLease(ID)
    .then((ttl) => LeaseKeepAliveResponse.encode({ header: undefined, ID, TTL: BigInt(ttl) }).finish());
};

const timeToLive: LeaseQuestion = (services, body) => {
  const { LeaseTimeToLiveRequest: request } = decodeRequest((bytes) => LeaseInternalRequest.decode(bytes), body);
  const ID = request?.ID ?? 0n;
  return services.leaseTimeToLive(ID, request?.keys === true).then((lease) => {
    // The header is there and empty, as etcd sends it.
    const header = { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };
    const LeaseTimeToLiveResponse = {
      header,
      ID,
      TTL: BigInt(lease.ttlSeconds),
      grantedTTL: BigInt(lease.grantedTtlSeconds),
      keys: [...lease.keys],
    };
    return LeaseInternalResponse.encode({ LeaseTimeToLiveResponse }).finish();
  });
};

function leaseError(exchange: Exchange, error: unknown, otherwise: 400 | 500): void {
  const reason = reasonOf(error);
  if (reason === "timeoutWaitAppliedIndex") respondError(exchange, 408, peerTexts.leaseTimeout);
  else if (reason === "leaseNotFound") respondError(exchange, 404, peerTexts.leaseNotFound);
  else respondError(exchange, otherwise, peerTexts.notPrimary);
}

function reasonOf(error: unknown): string {
  return error instanceof EtcdError ? error.reason : "";
}

/** `{"revision":24}`; undefined for anything that Go would not take. */
function requestedRevision(body: Uint8Array): number | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    if (typeof parsed !== "object" || Array.isArray(parsed)) return undefined;
    const revision = (parsed !== null && "revision" in parsed ? parsed.revision : null) ?? 0;
    return Number.isSafeInteger(revision) ? (revision as number) : undefined;
  } catch {
    return undefined; // not JSON
  }
}

/** Go leaves out what is zero. */
function hashToJson({ currentRevision, hash, compactRevision, hashRevision }: RevisionHash): string {
  const some = (name: string, value: number): Record<string, number> => (value === 0 ? {} : { [name]: value });
  return JSON.stringify({
    header: some("revision", currentRevision),
    ...some("hash", hash),
    ...some("compact_revision", compactRevision),
    ...some("hash_revision", hashRevision),
  });
}

function membersToJson(members: readonly Member[]): string {
  return `[${members.map(memberToJson).join(",")}]\n`;
}

function respondText(exchange: Exchange, fields: HeaderFields, text: string): void {
  exchange.respond(200, fields, Buffer.from(text));
}
