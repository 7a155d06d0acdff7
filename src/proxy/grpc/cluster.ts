/**
 * `Cluster/MemberList` through the proxy: clients that look for members are told of the proxies, so that they stay with
 * them. Without an address to advertise they are told of the members.
 *
 * @see etcd server/proxy/grpcproxy/cluster.go
 */
import type { UnaryHandler } from "../../grpc/calls.ts";
import { MemberListResponse, type Member } from "../../wire/gen/etcdserverpb/rpc.ts";
import { forwardUnary } from "./forward.ts";
import { messageBytes } from "./messages.ts";
import type { KnownProxy } from "./registration.ts";
import type { Upstream } from "./upstream.ts";

export const memberListPath = "/etcdserverpb.Cluster/MemberList";

export interface MemberListOptions {
  /** `--advertise-client-url`; empty: the members are listed. */
  readonly advertised: string;
  readonly hostname: string;
  /** Those that have registered. */
  readonly proxies: () => readonly KnownProxy[];
}

export function memberList(upstream: Upstream, { advertised, hostname, proxies }: MemberListOptions): UnaryHandler {
  if (advertised === "") return forwardUnary(upstream, memberListPath);
  return (call) => {
    const known = proxies();
    const listed = known.length > 0 ? known : [{ name: hostname, address: advertised }];
    const members = listed.map(({ name, address }): Member => {
      return { ID: 0n, name, peerURLs: [], clientURLs: [address], isLearner: false };
    });
    call.respond(messageBytes(MemberListResponse, { header: undefined, members }));
  };
}
