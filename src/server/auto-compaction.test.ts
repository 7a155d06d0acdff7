import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { createStderrLogger } from "../platform/node/index.ts";
import { EtcdError } from "../wire/errors.ts";
import { type AutoCompactorOptions, startAutoCompaction } from "./auto-compaction.ts";

const MINUTE_MS = 60_000;

let clock: ManualClock;
let revision: number;
let isLeader: boolean;
let compacted: number[];
let answer: EtcdError | undefined;
let options: AutoCompactorOptions;

beforeEach(() => {
  clock = new ManualClock();
  revision = 1;
  isLeader = true;
  compacted = [];
  answer = undefined;
  options = {
    clock,
    log: createStderrLogger("fatal"),
    currentRevision: () => revision,
    isLeader: () => isLeader,
    compact: (at, callback) => {
      compacted.push(at);
      callback(answer);
    },
  };
});

/** Time passes with one change a minute. */
function minutes(count: number): void {
  for (let minute = 0; minute < count; minute++) {
    clock.advance(MINUTE_MS);
    revision++;
  }
}

describe("periodic", () => {
  test("keeps the history of the retention, and compacts once in it", () => {
    startAutoCompaction({ mode: "periodic", retentionMs: 10 * MINUTE_MS }, options);
    minutes(9);
    expect(compacted).toEqual([]);
    minutes(1);
    expect(compacted).toEqual([1]);
    minutes(9);
    expect(compacted).toEqual([1]);
    minutes(1);
    // As in etcd the sample is one interval older than the retention.
    expect(compacted).toEqual([1, 9]);
  });

  test("with a retention of more than an hour compacts every hour", () => {
    startAutoCompaction({ mode: "periodic", retentionMs: 180 * MINUTE_MS }, options);
    minutes(179);
    expect(compacted).toEqual([]);
    minutes(61);
    expect(compacted).toEqual([1, 54]);
  });

  test("tries again at the next sample after a failure, and takes 'compacted' for success", () => {
    answer = new EtcdError("timeout");
    startAutoCompaction({ mode: "periodic", retentionMs: 10 * MINUTE_MS }, options);
    minutes(12);
    expect(compacted).toHaveLength(3);
    answer = new EtcdError("compacted");
    minutes(1);
    expect(compacted).toHaveLength(4);
    minutes(9);
    expect(compacted).toHaveLength(4);
  });

  test("nothing is compacted while nothing changes, or while another member leads", () => {
    startAutoCompaction({ mode: "periodic", retentionMs: 10 * MINUTE_MS }, options);
    clock.advance(60 * MINUTE_MS);
    expect(compacted).toEqual([1]);
    isLeader = false;
    minutes(60);
    expect(compacted).toEqual([1]);
  });
});

describe("revision", () => {
  test("keeps the last revisions, looked at every five minutes", () => {
    startAutoCompaction({ mode: "revision", retentionRevisions: 100 }, options);
    revision = 100;
    clock.advance(5 * MINUTE_MS);
    expect(compacted).toEqual([]);
    revision = 150;
    clock.advance(5 * MINUTE_MS);
    clock.advance(5 * MINUTE_MS);
    expect(compacted).toEqual([50]);
    revision = 151;
    clock.advance(5 * MINUTE_MS);
    expect(compacted).toEqual([50, 51]);
  });
});

test("off means off", () => {
  expect(startAutoCompaction({ mode: "off" }, options)).toBeUndefined();
});
