/** `etcd_network_*`: the other members, as this one sees them, and failures of clients' streams. */
import type { Histogram } from "../../base/histogram.ts";
import { formatId } from "../../membership/member.ts";
import type { Member } from "../../server/member.ts";
import type { Services } from "../../server/services/register.ts";
import type { Distribution, MetricsRegistry, Sample } from "./registry.ts";

type PeerCounters = ReturnType<Member["peers"]["metrics"]["of"]>;

export function registerNetworkMetrics(
  registry: MetricsRegistry,
  { member, services }: { readonly member: Member; readonly services: Services },
): void {
  const local = formatId(member.memberId);
  const link = (remote: bigint): Record<string, string> => ({ Local: local, Remote: formatId(remote) });
  const peers = (): [bigint, PeerCounters][] => [...member.peers.metrics.peers];
  registry.gauge("etcd_network_known_peers", "1 for each member that is known, this one included.", () =>
    member.membership.members().map(({ id }) => ({ labels: link(id), value: 1 })),
  );
  registry.gauge("etcd_network_active_peers", "1 for each member that is connected.", () =>
    peers().map(([id, { active }]) => ({ labels: link(id), value: active })),
  );
  registry.counter("etcd_network_disconnected_peers_total", "How often a member was lost.", () =>
    peers()
      .filter(([, { disconnects }]) => disconnects > 0)
      .map(([id, { disconnects }]) => ({ labels: link(id), value: disconnects })),
  );
  registry.counter("etcd_network_server_stream_failures_total", "Streams of clients that failed.", () =>
    [...services.metrics.streamFailures].map(([API, value]) => ({ labels: { API, Type: "receive" }, value })),
  );
  /** One sample a peer, once there is something to count. */
  const counted = (label: "To" | "From", read: (counters: PeerCounters) => number) => (): Sample[] =>
    peers()
      .filter(([, counters]) => read(counters) > 0)
      .map(([id, counters]) => ({ labels: { [label]: formatId(id) }, value: read(counters) }));
  const timed = (label: "To" | "From", read: (counters: PeerCounters) => Histogram) => (): Distribution[] =>
    peers()
      .map(([id, counters]) => ({ labels: { [label]: formatId(id) }, histogram: read(counters) }))
      .filter(({ histogram }) => histogram.count > 0);
  const counter = (name: string, help: string, label: "To" | "From", read: (counters: PeerCounters) => number): void =>
    registry.counter(`etcd_network_${name}`, help, counted(label, read));
  const gauge = (name: string, help: string, label: "To" | "From", read: (counters: PeerCounters) => number): void =>
    registry.gauge(`etcd_network_${name}`, help, counted(label, read));
  const histogram = (
    name: string,
    help: string,
    label: "To" | "From",
    read: (counters: PeerCounters) => Histogram,
  ): void => registry.histogram(`etcd_network_${name}`, help, timed(label, read));
  counter("peer_sent_bytes_total", "Bytes sent to a member.", "To", (peer) => peer.sentBytes);
  counter("peer_received_bytes_total", "Bytes received from a member.", "From", (peer) => peer.receivedBytes);
  counter("peer_sent_failures_total", "Messages not sent to a member.", "To", (peer) => peer.sendFailures);
  counter("peer_received_failures_total", "Failures of receiving.", "From", (peer) => peer.receiveFailures);
  counter("snapshot_send_success", "Snapshots sent.", "To", (peer) => peer.snapshotsSent);
  counter("snapshot_send_failures", "Snapshots that could not be sent.", "To", (peer) => peer.snapshotSendFailures);
  counter("snapshot_receive_success", "Snapshots received.", "From", (peer) => peer.snapshotsReceived);
  counter("snapshot_receive_failures", "Snapshots not received.", "From", (peer) => peer.snapshotReceiveFailures);
  gauge("snapshot_send_inflights_total", "Snapshots being sent.", "To", (peer) => peer.snapshotsSending);
  gauge("snapshot_receive_inflights_total", "Snapshots being received.", "From", (peer) => peer.snapshotsReceiving);
  histogram("peer_round_trip_time_seconds", "Round trip to a member.", "To", (peer) => peer.roundTripSeconds);
  histogram("snapshot_send_total_duration_seconds", "Time of sending.", "To", (peer) => peer.snapshotSendSeconds);
  histogram(
    "snapshot_receive_total_duration_seconds",
    "Time of receiving.",
    "From",
    (peer) => peer.snapshotReceiveSeconds,
  );
}
