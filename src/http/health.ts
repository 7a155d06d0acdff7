/**
 * `/health` of etcd 3.0 on, and `/livez`, `/readyz` with their single checks.
 *
 * @see etcd server/etcdserver/api/etcdhttp/health.go
 */
import type { Logger } from "../platform/logger.ts";
import type { Page, PageResponse } from "./page.ts";
import { onlyGet, sendError, sendText } from "./responses.ts";

/** What the checks ask of the member. */
export interface HealthSource {
  readonly hasLeader: boolean;
  readonly isLearner: boolean;
  /** Names of the active alarms: `NOSPACE`, `CORRUPT`. */
  readonly alarms: readonly string[];
  /** Reads one key as root; serializable = from this member alone. Calls back exactly once. */
  read(serializable: boolean, callback: (error: Error | undefined) => void): void;
}

/** Results of the checks, for the metrics. */
export class HealthCounters {
  successes = 0;
  failures = 0;
  /** `livez/serializable_read` → last result and totals. */
  readonly checks = new Map<string, CheckCount>();

  record(key: string, passed: boolean): void {
    const count = this.checks.get(key) ?? { lastPassed: false, passed: 0, failed: 0 };
    count.lastPassed = passed;
    if (passed) count.passed++;
    else count.failed++;
    this.checks.set(key, count);
  }
}

interface CheckCount {
  lastPassed: boolean;
  passed: number;
  failed: number;
}

type Check = (source: HealthSource, done: (failure: string | undefined) => void) => void;

const serializableRead: Check = (source, done) => source.read(true, (error) => done(error?.message));
const linearizableRead: Check = (source, done) => source.read(false, (error) => done(error?.message));
const dataCorruption: Check = (source, done) =>
  done(source.alarms.includes("CORRUPT") ? "alarm activated: CORRUPT" : undefined);
const nonLearner: Check = (source, done) => done(source.isLearner ? "not supported for learner" : undefined);

const kinds: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  livez: { serializable_read: serializableRead },
  readyz: {
    data_corruption: dataCorruption,
    serializable_read: serializableRead,
    linearizable_read: linearizableRead,
    non_learner: nonLearner,
  },
};

/** The health pages by path. */
export function healthPages(source: HealthSource, counters: HealthCounters, log: Logger): Map<string, Page> {
  const pages = new Map<string, Page>();
  pages.set("/health", healthPage(source, counters, log));
  for (const [kind, checks] of Object.entries(kinds)) {
    const names = Object.keys(checks);
    pages.set(`/${kind}`, checksPage(kind, names, { source, counters, log, excludable: true }));
    for (const name of names) {
      pages.set(`/${kind}/${name}`, checksPage(kind, [name], { source, counters, log, excludable: false }));
    }
  }
  return pages;
}

function healthPage(source: HealthSource, counters: HealthCounters, log: Logger): Page {
  return (request, response, url) => {
    if (!onlyGet(request, response)) return;
    const excluded = new Set(url.searchParams.getAll("exclude"));
    const serializable = url.searchParams.get("serializable") === "true";
    const answer = (reason: string): void => {
      const body = JSON.stringify({ health: reason === "" ? "true" : "false", reason });
      if (reason === "") {
        counters.successes++;
        sendText(response, body);
        return;
      }
      counters.failures++;
      log.warn("/health error", { output: body, "status-code": 503 });
      sendError(response, 503, body);
    };
    const alarm = source.alarms.find((name) => !excluded.has(name));
    if (alarm !== undefined) answer(`ALARM ${alarm === "NOSPACE" || alarm === "CORRUPT" ? alarm : "UNKNOWN"}`);
    else if (!serializable && !source.hasLeader) answer("RAFT NO LEADER");
    else source.read(serializable, (error) => answer(error === undefined ? "" : `RANGE ERROR:${error.message}`));
  };
}

interface ChecksContext {
  readonly source: HealthSource;
  readonly counters: HealthCounters;
  readonly log: Logger;
  readonly excludable: boolean;
}

function checksPage(kind: string, all: readonly string[], context: ChecksContext): Page {
  return (request, response, url) => {
    if (!onlyGet(request, response)) return;
    const excluded = new Set(
      context.excludable ? url.searchParams.getAll("exclude").filter((name) => name !== "") : [],
    );
    const names = all.filter((name) => !excluded.delete(name));
    if (excluded.size > 0) {
      const missing = [...excluded].map((name) => JSON.stringify(name)).join(",");
      context.log.warn("some health checks cannot be excluded", { "missing-health-checks": missing });
    }
    runChecks(kind, names, context, (lines, passed) => {
      if (passed) sendPassed(response, url.searchParams.has("verbose") ? lines : "");
      else sendFailed(response, { path: url.pathname, lines, log: context.log });
    });
  };
}

function sendPassed(response: PageResponse, lines: string): void {
  sendText(response, `${lines}ok\n`, { "X-Content-Type-Options": "nosniff" });
}

function sendFailed(response: PageResponse, failure: { path: string; lines: string; log: Logger }): void {
  failure.log.error("Health check error", { path: failure.path, reason: failure.lines, "status-code": 503 });
  sendError(response, 503, failure.lines);
}

/** Runs the checks at once and reports them in their order. */
function runChecks(
  kind: string,
  names: readonly string[],
  { source, counters }: ChecksContext,
  done: (lines: string, passed: boolean) => void,
): void {
  const failures: (string | undefined)[] = names.map(() => undefined);
  let waiting = names.length;
  const finish = (): void => {
    const lines = names.map((name, index) =>
      failures[index] === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${failures[index]}\n`,
    );
    done(
      lines.join(""),
      failures.every((failure) => failure === undefined),
    );
  };
  if (waiting === 0) finish();
  for (const [index, name] of names.entries()) {
    kinds[kind][name](source, (failure) => {
      failures[index] = failure;
      counters.record(`${kind}/${name}`, failure === undefined);
      if (--waiting === 0) finish();
    });
  }
}
