/**
 * Asks a peer every few seconds whether it lives: for round-trip times, and to warn of clocks that differ. etcd probes
 * over its two kinds of connections and logs under their names, which operators may look for.
 * Source: etcd rafthttp/probing_status.go, github.com/xiang90/probing.
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { formatId } from "../membership/member.ts";
import type { HttpDialer, HttpExchange } from "./http1/client.ts";
import {
  clockDriftMaxMs,
  connectionTimeoutMs,
  probePeriodMs,
  probeReportFailingMs,
  probeReportMs,
  smallBodyBytesMax,
} from "./limits.ts";
import type { PeerCounters } from "./metrics.ts";
import { UrlPicker } from "./url-picker.ts";

/** Weight of the newest round trip in the smoothed one. */
const smoothing = 0.125;

export interface ProberParts {
  readonly peerId: bigint;
  readonly urls: readonly string[];
  readonly dialer: HttpDialer;
  readonly log: Logger;
  readonly counters: PeerCounters;
}

/** All probes of one peer. */
export class Prober {
  readonly #probes: readonly Probe[];

  constructor(parts: ProberParts) {
    this.#probes = ["ROUND_TRIPPER_SNAPSHOT", "ROUND_TRIPPER_RAFT_MESSAGE"].map((name) => new Probe(parts, name));
  }

  stop(): void {
    for (const probe of this.#probes) probe.stop();
  }
}

class Probe {
  readonly #parts: ProberParts;
  readonly #name: string;
  readonly #picker: UrlPicker;
  readonly #clock: Clock;
  readonly #ticker: Timer;
  #report: Timer;
  #exchange: HttpExchange | undefined;
  #isHealthy = false;
  #roundTripMs = 0;
  #clockDifferenceMs = 0;
  #error = "";

  constructor(parts: ProberParts, name: string) {
    this.#parts = parts;
    this.#name = name;
    this.#picker = new UrlPicker(parts.urls);
    this.#clock = parts.dialer.clock;
    this.#ticker = this.#clock.setTicker(() => this.#probe(), probePeriodMs);
    // The first report comes soon, so that an error is seen early.
    this.#report = this.#clock.setTimer(this.#tell, probeReportFailingMs);
  }

  stop(): void {
    this.#ticker.cancel();
    this.#report.cancel();
    this.#exchange?.cancel();
  }

  #probe(): void {
    if (this.#exchange !== undefined) return;
    const base = this.#picker.pick();
    let sentMs = 0;
    let status = "";
    let body = "";
    const over = (error: string): void => {
      this.#exchange = undefined;
      if (error === "") return;
      this.#isHealthy = false;
      this.#error = error;
      this.#picker.unreachable(base);
    };
    const exchange = this.#parts.dialer.send(
      { method: "GET", base, path: "/raft/probing", fields: [] },
      {
        connected: () => {
          sentMs = this.#clock.monotonic();
        },
        head: (head) => {
          if (head.status !== 200) status = head.statusLine;
        },
        data: (view) => {
          if (body.length < smallBodyBytesMax) body += Buffer.from(view).toString("latin1");
        },
        ended: () => {
          if (status !== "") over(`got unexpected HTTP status code ${status} from ${base.origin}/raft/probing`);
          else over(this.#record(body, this.#clock.monotonic() - sentMs));
        },
        failed: (error) => over(error.message),
      },
    );
    exchange.expireIn(connectionTimeoutMs, "i/o timeout");
    this.#exchange = exchange;
  }

  /** Returns what is wrong with the answer, or an empty text. */
  #record(body: string, tookMs: number): string {
    const answer = /"OK":\s*true/.test(body) ? /"Now":\s*"([^"]+)"/.exec(body) : null;
    const peerMs = answer === null ? Number.NaN : Date.parse(answer[1]);
    if (Number.isNaN(peerMs)) return "the answer to a probe is not one";
    this.#isHealthy = true;
    this.#error = "";
    this.#roundTripMs = (1 - smoothing) * this.#roundTripMs + smoothing * tookMs;
    this.#clockDifferenceMs = this.#clock.now() - peerMs - this.#roundTripMs / 2;
    return "";
  }

  readonly #tell = (): void => {
    const { log, peerId, counters } = this.#parts;
    const rttSeconds = this.#roundTripMs / 1000;
    const fields = {
      "round-tripper-name": this.#name,
      "remote-peer-id": formatId(peerId),
      rtt: `${rttSeconds}s`,
      ...(this.#error === "" ? {} : { error: this.#error }),
    };
    if (!this.#isHealthy) log.warn("prober detected unhealthy status", fields);
    // etcd looks at one direction only; a peer that is ahead is as wrong as one that is behind.
    if (Math.abs(this.#clockDifferenceMs) > clockDriftMaxMs) {
      log.warn("prober found high clock drift", { ...fields, "clock-drift": `${this.#clockDifferenceMs / 1000}s` });
    }
    counters.roundTripSeconds.observe(rttSeconds);
    this.#report = this.#clock.setTimer(this.#tell, this.#isHealthy ? probeReportMs : probeReportFailingMs);
  };
}
