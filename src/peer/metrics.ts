/** What the peer layer counts. Plain numbers; /metrics reads them when asked, under etcd's names (etcd_network_*). */
import { exponentialBounds, Histogram } from "../base/histogram.ts";

/** Counters of one peer. */
export class PeerCounters {
  /** Gauge: 1 while the peer is reachable. */
  active = 0;
  disconnects = 0;
  sentBytes = 0;
  receivedBytes = 0;
  sendFailures = 0;
  receiveFailures = 0;
  snapshotsSent = 0;
  snapshotsSending = 0;
  snapshotSendFailures = 0;
  readonly snapshotSendSeconds = new Histogram(exponentialBounds(0.1, 2, 10));
  snapshotsReceived = 0;
  snapshotsReceiving = 0;
  snapshotReceiveFailures = 0;
  readonly snapshotReceiveSeconds = new Histogram(exponentialBounds(0.1, 2, 10));
  readonly roundTripSeconds = new Histogram(exponentialBounds(0.0001, 2, 16));
}

/** Strangers can announce any id: beyond this many, they share one set of counters. */
const peersMax = 1024;

export class PeerMetrics {
  readonly #peers = new Map<bigint, PeerCounters>();
  readonly #others = new PeerCounters();

  /** Counters live on after a peer is removed, as in etcd. */
  of(peerId: bigint): PeerCounters {
    const known = this.#peers.get(peerId);
    if (known !== undefined) return known;
    if (this.#peers.size >= peersMax) return this.#others;
    const counters = new PeerCounters();
    this.#peers.set(peerId, counters);
    return counters;
  }

  get peers(): ReadonlyMap<bigint, PeerCounters> {
    return this.#peers;
  }
}
