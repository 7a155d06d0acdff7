/**
 * Asks other members what `pages.ts` answers. Every call goes to one URL; whoever has several goes through them, since
 * what a failure means differs. Needs no transport, so it serves a member that is only joining.
 *
 * Source: etcd server/etcdserver/{cluster_util,corrupt}.go, lease/leasehttp/http.go.
 */
import { asObject, asString, parseJson } from "../membership/json.ts";
import { formatId, parseId, parseMember, type Member } from "../membership/member.ts";
import type { Platform } from "../platform/platform.ts";
import { EtcdError } from "../wire/errors.ts";
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../wire/gen/etcdserverpb/rpc.ts";
import { LeaseInternalRequest, LeaseInternalResponse } from "../wire/gen/leasepb/lease.ts";
import { HttpDialer } from "./http1/client.ts";
import { fetchWhole, type HttpResponse } from "./http1/fetch.ts";
import { clusterIdMismatchText } from "./introduction.ts";
import { leaseResponseBytesMax, smallBodyBytesMax } from "./limits.ts";
import { peerTexts, type LeaseRemaining, type MemberVersions, type RevisionHash } from "./pages.ts";
import type { Dial } from "./types.ts";
import { peerUrlOf } from "./url-picker.ts";

/** A peer answered something that is no answer to the question. */
export class PeerAnswerError extends Error {
  override readonly name = "PeerAnswerError";
}

export interface PeerClientOptions {
  readonly platform: Platform;
  readonly dialTimeoutMs: number;
  readonly dial?: Dial | undefined;
}

/** What the members of a running cluster say about it. */
export interface ClusterMembers {
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

/**
 * All methods take a peer URL and the time they may take, and reject with a `NetworkError` when the peer cannot be
 * reached, a {@link PeerAnswerError} when it answers nonsense, and what their own description names.
 */
export class PeerClient {
  readonly #dialer: HttpDialer;

  constructor(options: PeerClientOptions) {
    this.#dialer = new HttpDialer(options);
  }

  /** Gives up what is under way, and the connections. */
  close(): void {
    this.#dialer.close();
  }

  async members(url: string, timeoutMs: number): Promise<ClusterMembers> {
    const response = await this.#get(url, "/members", timeoutMs);
    const members = parsed(() => parseMembers(response.body));
    const clusterId = parsed(() => parseId(response.head.fields.get("x-etcd-cluster-id") ?? ""));
    return { clusterId, members };
  }

  async versions(url: string, timeoutMs: number): Promise<MemberVersions> {
    const { body } = await this.#get(url, "/version", timeoutMs);
    return parsed(() => {
      const fields = asObject(JSON.parse(textOf(body)));
      return {
        server: asString(fields["etcdserver"]),
        cluster: asString(fields["etcdcluster"]),
        storage: asString(fields["storage"]),
      };
    });
  }

  async downgradeEnabled(url: string, timeoutMs: number): Promise<boolean> {
    const { head, body } = await this.#get(url, "/downgrade/enabled", timeoutMs);
    const text = textOf(body);
    if (head.status !== 200 || (text !== "true" && text !== "false")) {
      throw new PeerAnswerError(`cannot read ${JSON.stringify(text.slice(0, 100))} as true or false`);
    }
    return text === "true";
  }

  /** @throws {EtcdError} `memberNotFound`, `memberNotLearner`, `learnerNotReady`, `timeout`. */
  async promoteMember(
    url: string,
    memberId: bigint,
    token: string | undefined,
    timeoutMs: number,
  ): Promise<readonly Member[]> {
    const response = await fetchWhole(
      this.#dialer,
      {
        method: "POST",
        base: peerUrlOf(url),
        path: `/members/promote/${memberId}`,
        fields: token === undefined ? [] : [["Authorization", token]],
      },
      { timeoutMs, bodyBytesMax: smallBodyBytesMax },
    );
    const { status } = response.head;
    const text = textOf(response.body);
    if (status === 408) throw new EtcdError("timeout");
    if (status === 404) throw new EtcdError("memberNotFound");
    if (status === 412 && text.includes(peerTexts.learnerNotReady)) throw new EtcdError("learnerNotReady");
    if (status === 412 && text.includes(peerTexts.memberNotLearner)) throw new EtcdError("memberNotLearner");
    if (status !== 200) throw new PeerAnswerError(`member promote: unknown error(${text})`);
    return parsed(() => parseMembers(response.body));
  }

  /** @returns the TTL in seconds. @throws {EtcdError} `leaseNotFound`, `timeoutWaitAppliedIndex`. */
  async renewLease(url: string, leaseId: bigint, timeoutMs: number): Promise<number> {
    const body = LeaseKeepAliveRequest.encode({ ID: leaseId }).finish();
    const answer = await this.#postLease(url, "/leases", body, timeoutMs);
    const response = parsed(() => LeaseKeepAliveResponse.decode(answer));
    if (response.ID !== leaseId) throw new PeerAnswerError("lease: renew id mismatch");
    return Number(response.TTL);
  }

  /** @throws {EtcdError} `leaseNotFound`, `timeoutWaitAppliedIndex`. */
  async leaseTimeToLive(url: string, leaseId: bigint, withKeys: boolean, timeoutMs: number): Promise<LeaseRemaining> {
    const request = { LeaseTimeToLiveRequest: { ID: leaseId, keys: withKeys } };
    const body = LeaseInternalRequest.encode(request).finish();
    const answer = await this.#postLease(url, "/leases/internal", body, timeoutMs);
    const response = parsed(() => LeaseInternalResponse.decode(answer)).LeaseTimeToLiveResponse;
    if (response?.ID !== leaseId) throw new PeerAnswerError("lease: TTL id mismatch");
    return {
      ttlSeconds: Number(response.TTL),
      grantedTtlSeconds: Number(response.grantedTTL),
      keys: response.keys,
    };
  }

  /** @throws {EtcdError} `compacted`, `futureRevision`. */
  async hashKv(url: string, clusterId: bigint, revision: number, timeoutMs: number): Promise<RevisionHash> {
    const { head, body } = await fetchWhole(
      this.#dialer,
      {
        method: "GET",
        base: peerUrlOf(url),
        path: "/members/hashkv",
        fields: [
          ["Content-Type", "application/json"],
          ["X-Etcd-Cluster-Id", formatId(clusterId)],
        ],
        body: Buffer.from(JSON.stringify(revision === 0 ? {} : { revision })),
      },
      { timeoutMs, bodyBytesMax: smallBodyBytesMax },
    );
    const text = textOf(body);
    if (head.status === 400 && text.includes(peerTexts.compacted)) throw new EtcdError("compacted");
    if (head.status === 400 && text.includes(peerTexts.futureRevision)) throw new EtcdError("futureRevision");
    if (head.status === 412 && text.includes(clusterIdMismatchText)) throw new PeerAnswerError(clusterIdMismatchText);
    if (head.status !== 200) throw new PeerAnswerError(`unknown error: ${text}`);
    return parsed(() => parseHash(text));
  }

  #get(url: string, path: string, timeoutMs: number): Promise<HttpResponse> {
    const request = { method: "GET", base: peerUrlOf(url), path, fields: [] } as const;
    return fetchWhole(this.#dialer, request, { timeoutMs, bodyBytesMax: smallBodyBytesMax });
  }

  async #postLease(url: string, path: string, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const fields = [["Content-Type", "application/protobuf"]] as const;
    const request = { method: "POST", base: peerUrlOf(url), path, fields, body, isFrequent: true } as const;
    const response = await fetchWhole(this.#dialer, request, { timeoutMs, bodyBytesMax: leaseResponseBytesMax });
    const { status } = response.head;
    if (status === 408) throw new EtcdError("timeoutWaitAppliedIndex");
    if (status === 404) throw new EtcdError("leaseNotFound");
    if (status !== 200) throw new PeerAnswerError(`lease: unknown error(${textOf(response.body)})`);
    return response.body;
  }
}

function parseMembers(body: Uint8Array): Member[] {
  const list = parseJson(textOf(body));
  if (!Array.isArray(list)) throw new SyntaxError("not a list of members");
  // Ids are strings of digits by now; parseMember takes them either way.
  return list.map((item) => parseMember(Buffer.from(JSON.stringify(asObject(item)))));
}

function parseHash(text: string): RevisionHash {
  const fields = asObject(JSON.parse(text));
  const header = asObject(fields["header"] ?? {});
  return {
    currentRevision: countOf(header["revision"]),
    hash: countOf(fields["hash"]),
    compactRevision: countOf(fields["compact_revision"]),
    hashRevision: countOf(fields["hash_revision"]),
  };
}

function countOf(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new SyntaxError("not a count");
  return value;
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body).toString("utf8");
}

/** What a peer answers is its own affair: any failure to read it is an operational error. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new PeerAnswerError(`cannot read the answer of a peer: ${(cause as Error).message}`, { cause });
  }
}
