/** Draws a plan from a seed. */
import { SeededRandom } from "../../src/platform/virtual/index.ts";
import type { FailpointName } from "../../src/base/failpoints.ts";
import type { Fault, FaultKind, Plan, Target } from "./plan.ts";

export interface DrawOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly members: number | undefined;
  /** Only these kinds of faults. */
  readonly faults?: readonly FaultKind[] | undefined;
  /** Only these failpoints, and each ends the process. */
  readonly failpoints?: readonly FailpointName[] | undefined;
  /** Mean time between faults, and the longest that one lasts. */
  readonly pace?: { readonly meanMs: number; readonly longestMs: number } | undefined;
  /** Win over those that are drawn. */
  readonly flags?: readonly string[] | undefined;
}

/** How often each kind comes, against the others. */
const weights: Readonly<Record<FaultKind, number>> = {
  powerFailure: 6,
  powerFailureAtWrite: 12,
  blackout: 2,
  kill: 6,
  stop: 4,
  pause: 6,
  slow: 3,
  drift: 2,
  clockJump: 2,
  isolate: 8,
  cut: 6,
  badNetwork: 5,
  reset: 4,
  slowDisk: 4,
  stalledDisk: 4,
  fullDisk: 2,
  failedSync: 2,
  bitFlip: 1,
  lostFile: 1,
  lostDisk: 1,
  failpoint: 8,
  moveLeader: 4,
  defragment: 3,
  compact: 3,
  snapshot: 2,
  grow: 2,
  shrink: 1,
  replace: 2,
  compareHashes: 5,
  downgrade: 0.5,
  sleepAlone: 4,
};

/** Points where a member may die, and where it may be held, in any state. */
const fatalPoints: readonly FailpointName[] = [
  "afterCommit",
  "afterStartDBTxn",
  "afterWritebackBuf",
  "applyAfterOpenSnapshot",
  "applyBeforeOpenSnapshot",
  "beforeApplyOneConfChange",
  "beforeApplyOneEntryNormal",
  "beforeCommit",
  "beforeStartDBTxn",
  "beforeWritebackBuf",
  "commitAfterPreCommitHook",
  "commitBeforePreCommitHook",
  "compactAfterCommitBatch",
  "compactAfterCommitScheduledCompact",
  "compactAfterSetFinishedCompact",
  "compactBeforeCommitBatch",
  "compactBeforeCommitScheduledCompact",
  "compactBeforeSetFinishedCompact",
  "defragBeforeCopy",
  "defragBeforeRename",
  "raftAfterApplySnap",
  "raftAfterSave",
  "raftAfterSaveSnap",
  "raftAfterWALRelease",
  "raftBeforeAdvance",
  "raftBeforeApplySnap",
  "raftBeforeFollowerSend",
  "raftBeforeLeaderSend",
  "raftBeforeSave",
  "raftBeforeSaveSnap",
  "raftBeforeWALSaveSnaphot",
  "walAfterSync",
  "walBeforeSync",
];
const slowPoints: readonly FailpointName[] = [
  "beforeSendWatchResponse",
  "raftBeforeSave",
  "walBeforeSync",
  "beforeApplyOneEntryNormal",
];

/** Mean time between two faults while the storm lasts: of one run this, of another that. */
const faultMeansMs = [700, 1_500, 2_500];
/** Before it nothing goes wrong. */
const calmStartMs = 1_500;

export function drawPlan(options: DrawOptions): Plan {
  const { seed, minutes, members, flags = [] } = options;
  const random = new SeededRandom(seed);
  const size = members ?? pick(random, [3, 3, 3, 5]);
  const durationMs = Math.round(minutes * 60_000);
  return {
    seed,
    members: size,
    durationMs,
    clients: seeds(random, 3 + random.below(5)),
    watchers: seeds(random, 2 + random.below(3)),
    faults: drawFaults(random, durationMs, size, options),
    flags: [...drawFlags(random), ...flags],
    segmentSize: pick(random, [64 << 10, 256 << 10, 64 << 20]),
    keepers: seeds(random, 1 + random.below(2)),
  };
}

function drawFlags(random: SeededRandom): string[] {
  return [
    `--snapshot-count=${pick(random, [20, 100, 1_000])}`,
    `--snapshot-catchup-entries=${pick(random, [5, 20, 100])}`,
    `--compaction-batch-limit=${pick(random, [3, 10, 1_000])}`,
    `--backend-batch-limit=${pick(random, [5, 50, 10_000])}`,
    `--max-wals=${pick(random, [1, 5])}`,
    `--pre-vote=${pick(random, [true, true, true, false])}`,
    "--watch-progress-notify-interval=2s",
    "--downgrade-check-time=1s",
  ];
}

/** Storms of faults with calm between them, in which the cluster may catch up; few kinds in each run, so that runs differ. */
function drawFaults(random: SeededRandom, durationMs: number, members: number, options: DrawOptions): Fault[] {
  const drawn = (Object.keys(weights) as FaultKind[]).filter(() => random.float() < 0.6);
  const kinds = options.faults === undefined ? drawn : [...options.faults];
  const meanMs = options.pace?.meanMs ?? pick(random, faultMeansMs);
  if (kinds.length === 0) kinds.push("powerFailure");
  const total = kinds.reduce((sum, kind) => sum + weights[kind], 0);
  const faults: Fault[] = [];
  let now = calmStartMs;
  while (now < durationMs) {
    const stormEnd = now + 5_000 + random.float() * 25_000;
    for (now += wait(random, meanMs); now < stormEnd && now < durationMs; now += wait(random, meanMs)) {
      let draw = random.float() * total;
      const kind = kinds.find((one) => (draw -= weights[one]) < 0) ?? kinds[0];
      faults.push(drawFault(random, kind, { atMs: Math.round(now), members, options }));
    }
    now = stormEnd + random.float() * 15_000;
  }
  return faults;
}

function wait(random: SeededRandom, meanMs: number): number {
  return -Math.log(1 - random.float()) * meanMs;
}

interface Draw {
  readonly atMs: number;
  readonly members: number;
  readonly options: DrawOptions;
}

function drawFault(random: SeededRandom, kind: FaultKind, { atMs, members, options }: Draw): Fault {
  const target: Target = random.float() < 0.4 ? "leader" : random.below(members);
  const other = random.below(members);
  /** Mostly short, sometimes longer than elections, leases and request timeouts. */
  const drawnMs = random.float() < 0.7 ? 100 + random.float() * 3_000 : 3_000 + random.float() * 12_000;
  const forMs = Math.round(Math.min(drawnMs, options.pace?.longestMs ?? Infinity));
  switch (kind) {
    case "powerFailure":
    case "kill":
    case "stop":
    case "pause":
    case "stalledDisk":
      return { kind, atMs, target, forMs };
    case "sleepAlone":
      return { kind, atMs, target: "leader", forMs, aloneMs: Math.round(random.float() * 4_000) };
    case "powerFailureAtWrite":
      return { kind, atMs, target, operation: 1 + random.below(60), forMs };
    case "blackout":
    case "downgrade":
      return { kind, atMs, forMs };
    case "slow":
      return {
        kind,
        atMs,
        target,
        turnCostMs: pick(random, [0, 0.05, 0.5, 3]),
        lookCostMs: pick(random, [0, 0.02, 0.3, 2]),
        forMs,
      };
    case "drift":
      return { kind, atMs, target, rate: 0.98 + random.float() * 0.04 };
    case "clockJump":
      return { kind, atMs, target, byMs: Math.round((random.float() - 0.5) * 7_200_000) };
    case "isolate":
      return {
        kind,
        atMs,
        target,
        way: pick(random, ["both", "both", "in", "out"]),
        fromClients: random.below(3) === 0,
        forMs,
      };
    case "cut":
      return {
        kind,
        atMs,
        from: other,
        to: (other + 1 + random.below(members - 1)) % members,
        isOneWay: random.below(2) === 0,
        forMs,
      };
    case "badNetwork": {
      const delayMs = pick(random, [1, 20, 150]);
      return {
        kind,
        atMs,
        target,
        delayMs,
        jitterMs: delayMs * random.float(),
        lossRate: pick(random, [0, 0.02, 0.2]),
        forMs,
      };
    }
    case "reset":
    case "lostDisk":
    case "snapshot":
    case "shrink":
    case "replace":
      return { kind, atMs, target };
    case "slowDisk":
      return { kind, atMs, target, syncMs: pick(random, [5, 50, 400, 1_500]), forMs };
    case "fullDisk":
      return { kind, atMs, target, spareBytes: random.below(200_000), forMs };
    case "failedSync":
      return { kind, atMs, target, count: 1 + random.below(20), forMs };
    case "bitFlip":
      return { kind, atMs, target, where: random.float(), forMs };
    case "lostFile":
      return { kind, atMs, target, file: pick(random, ["database", "snapshot"]), forMs };
    case "defragment":
    case "compact":
      return { kind, atMs, target, failsAt: random.below(2) * (1 + random.below(40)), forMs };
    case "failpoint": {
      const skip = random.below(8);
      const before = skip === 0 ? "" : `${skip}*off->`;
      if (options.failpoints === undefined && random.float() < 0.25)
        return {
          kind,
          atMs,
          target,
          name: pick(random, slowPoints),
          terms: `${before}3*sleep(${50 + random.below(1_500)})`,
          forMs,
        };
      return {
        kind,
        atMs,
        target,
        name: pick(random, options.failpoints ?? fatalPoints),
        terms: `${before}1*panic`,
        forMs,
      };
    }
    case "moveLeader":
      return { kind, atMs, to: other };
    case "grow":
      return { kind, atMs, learnsForMs: random.below(2) * forMs };
    case "compareHashes":
      return { kind, atMs };
  }
}

function seeds(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, () => random.uint32());
}

export function pick<T>(random: SeededRandom, values: readonly T[]): T {
  return values[random.below(values.length)];
}
