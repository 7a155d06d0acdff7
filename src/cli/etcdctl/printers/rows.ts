/** Rows that the simple and the table form share: members and endpoints. */
import { humanSize } from "../../../base/human-size.ts";
import { hex } from "../../shared/go-number.ts";
import type { MemberListResponse } from "../../../wire/gen/etcdserverpb/rpc.ts";
import type { EndpointHash, EndpointHealth, EndpointStatus } from "../answers.ts";

export interface Rows {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function memberRows(response: MemberListResponse): Rows {
  return {
    header: ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"],
    rows: response.members.map((member) => [
      hex(member.ID),
      member.name === "" ? "unstarted" : "started",
      member.name,
      member.peerURLs.join(","),
      member.clientURLs.join(","),
      String(member.isLearner),
    ]),
  };
}

export function healthRows(endpoints: readonly EndpointHealth[]): Rows {
  return {
    header: ["endpoint", "health", "took", "error"],
    rows: endpoints.map(({ endpoint, healthy, took, error }) => [endpoint, String(healthy), took, error]),
  };
}

export function statusRows(endpoints: readonly EndpointStatus[]): Rows {
  return {
    header: [
      "endpoint",
      "ID",
      "version",
      "storage version",
      "db size",
      "in use",
      "percentage not in use",
      "quota",
      "is leader",
      "is learner",
      "raft term",
      "raft index",
      "raft applied index",
      "errors",
      "downgrade target version",
      "downgrade enabled",
    ],
    rows: endpoints.map(({ endpoint, status }) => {
      const memberId = status.header?.memberId ?? 0n;
      return [
        endpoint,
        hex(memberId),
        status.version,
        status.storageVersion,
        humanSize(Number(status.dbSize)),
        humanSize(Number(status.dbSizeInUse)),
        `${percentFree(status.dbSize, status.dbSizeInUse)}%`,
        humanSize(Number(status.dbSizeQuota)),
        String(status.leader === memberId),
        String(status.isLearner),
        String(status.raftTerm),
        String(status.raftIndex),
        String(status.raftAppliedIndex),
        status.errors.join(", "),
        status.downgradeInfo?.targetVersion ?? "",
        String(status.downgradeInfo?.enabled ?? false),
      ];
    }),
  };
}

export function hashRows(endpoints: readonly EndpointHash[]): Rows {
  return {
    header: ["endpoint", "hash", "hash_revision"],
    rows: endpoints.map(({ endpoint, hash }) => [endpoint, String(hash.hash), String(hash.hashRevision)]),
  };
}

/** Whole percent of the file that holds no data; etcdctl of an empty answer divides by zero, we say 100. */
function percentFree(size: bigint, inUse: bigint): bigint {
  return size === 0n ? 100n : 100n - (inUse * 100n) / size;
}
