/**
 * Puts by many clients at a limited rate, measured: the engine of `etcdctl check`. Source: etcdctl/ctlv3/command/check.go.
 */
import type { Client } from "../../client/client.ts";
import { methods } from "../../client/methods.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../shared/failure.ts";

export interface LoadStats {
  readonly requests: number;
  readonly perSecond: number;
  readonly slowestSeconds: number;
  /** Of the successful requests' times. */
  readonly deviationSeconds: number;
  /** Error text → how often. */
  readonly errors: ReadonlyMap<string, number>;
}

export interface Load {
  /** One request at a time each. */
  readonly clients: readonly Client[];
  readonly prefix: string;
  /** Behind the prefix. */
  readonly keySize: number;
  readonly valueSize: number;
  /** Most requests; undefined = until the time is over. */
  readonly requestsMax?: number;
  /** Undefined = as fast as it goes. */
  readonly perSecond?: number;
  readonly durationMs?: number;
  readonly signal: AbortSignal;
  readonly onDone?: () => void;
}

/** Runs to the end of the time or of the requests, whichever is given, or until the signal. */
export async function runLoad(clock: Clock, load: Load): Promise<LoadStats> {
  const start = clock.monotonic();
  const end = load.durationMs === undefined ? Infinity : start + load.durationMs;
  const intervalMs = load.perSecond === undefined ? 0 : 1000 / load.perSecond;
  const seconds: number[] = [];
  const errors = new Map<string, number>();
  let left = load.requestsMax ?? Infinity;
  let nextAt = start;
  const value = new Uint8Array(load.valueSize);
  await Promise.all(
    load.clients.map(async (client) => {
      while (left > 0 && !load.signal.aborted) {
        left--;
        const now = clock.monotonic();
        const at = Math.max(now, nextAt);
        if (at >= end) return;
        nextAt = at + intervalMs;
        if (at > now) await pause(clock, at - now);
        const sentAt = clock.monotonic();
        try {
          await client.call(methods.put, { key: randomKey(load), value });
          seconds.push((clock.monotonic() - sentAt) / 1000);
        } catch (error) {
          const text = messageOf(error);
          errors.set(text, (errors.get(text) ?? 0) + 1);
        }
        load.onDone?.();
      }
    }),
  );
  return summarize(seconds, errors, (clock.monotonic() - start) / 1000);
}

function summarize(seconds: readonly number[], errors: ReadonlyMap<string, number>, totalSeconds: number): LoadStats {
  const requests = seconds.length;
  const average = requests === 0 ? 0 : seconds.reduce((sum, each) => sum + each, 0) / requests;
  const squares = seconds.reduce((sum, each) => sum + (each - average) ** 2, 0);
  return {
    requests,
    perSecond: requests / totalSeconds,
    slowestSeconds: seconds.reduce((slowest, each) => Math.max(slowest, each), 0),
    deviationSeconds: requests === 0 ? 0 : Math.sqrt(squares / requests),
    errors,
  };
}

/** Ten random bytes in front, zeros behind. */
function randomKey({ prefix, keySize }: Load): Uint8Array {
  const key = Buffer.alloc(prefix.length + keySize);
  key.write(prefix, "latin1");
  for (let index = 0; index < 10; index++) key[prefix.length + index] = Math.floor(Math.random() * 256);
  return key;
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(resolve, ms));
}
