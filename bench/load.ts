/**
 * The load generator, a process of its own: closed loops on raw HTTP/2 streams. One job comes as JSON in the first
 * argument, its result goes as JSON to standard output, in the last line; `measuring` and `measured` stand before it when
 * measuring begins and ends.
 */
import { Latencies } from "./latencies.ts";
import { clock, RawClient } from "./raw-client.ts";
import * as requests from "./requests.ts";

export interface Job {
  readonly operation:
    | "put"
    | "range"
    | "serializable"
    | "list"
    | "txn"
    | "watch"
    | "keepalive"
    | "load"
    | "range-under-writes"
    | "slow-list";
  /** Of the member, or of all members of a cluster, its leader first: connections go to them in turn. */
  readonly ports: readonly number[];
  /** The server speaks TLS, and its certificate is this file. */
  readonly caFile?: string | undefined;
  readonly streams: number;
  readonly connections: number;
  readonly seconds: number;
  readonly warmUpSeconds?: number | undefined;
  /** Keys that exist (or are to be made by `load`). */
  readonly keys: number;
  /** Pairs of a `list`. */
  readonly limit?: number;
  /** Of a `put`: so many watchers beside it, each of a key of its own that nobody writes. */
  readonly watchers?: number;
}

export interface Result {
  /** Operations (for `watch`: events delivered) within the measured time. */
  readonly count: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Time before measuring begins, if the job says nothing. */
const defaultWarmUpSeconds = 0.5;
/** Different requests made beforehand, spread over all keys; enough not to favour a cache. */
const poolMax = 100_000;

const kv = (method: string): string => `/etcdserverpb.KV/${method}`;

/** Runs closed loops until told to stop; `issue` starts one operation and calls back when it is done. */
class Loops {
  readonly latencies = new Latencies();
  #isMeasuring = false;
  #isOver = false;
  #measuredSince = 0;
  #measuredMs = 0;

  start(slots: number, issue: (slot: number, done: () => void) => void): void {
    for (let slot = 0; slot < slots; slot++) {
      let started = 0;
      // Made once a loop, not once an operation.
      const done = (): void => {
        if (this.#isMeasuring) this.latencies.record(clock.monotonic() - started);
        next();
      };
      const next = (): void => {
        if (this.#isOver) return;
        started = clock.monotonic();
        issue(slot, done);
      };
      next();
    }
  }

  async run({ seconds, warmUpSeconds = defaultWarmUpSeconds }: Job): Promise<void> {
    await sleep(warmUpSeconds);
    process.stdout.write("measuring\n");
    this.#isMeasuring = true;
    this.#measuredSince = clock.monotonic();
    await sleep(seconds);
    this.#isMeasuring = false;
    this.#measuredMs = clock.monotonic() - this.#measuredSince;
    this.#isOver = true;
    process.stdout.write("measured\n");
  }

  result(factor = 1): Result {
    const { latencies } = this;
    return {
      count: latencies.count * factor,
      seconds: this.#measuredMs / 1000,
      p50: latencies.percentile(0.5),
      p99: latencies.percentile(0.99),
      max: latencies.percentile(1),
    };
  }
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(resolve, seconds * 1000));
}

const random = (below: number): number => Math.floor(Math.random() * below);

async function connect({ ports, connections, caFile }: Job): Promise<RawClient[]> {
  const port = (index: number): number => ports[index % ports.length];
  return Promise.all(Array.from({ length: connections }, (_, index) => RawClient.connect(port(index), caFile)));
}

function pool(count: number, make: (index: number) => Uint8Array): Uint8Array[] {
  const length = Math.min(count, poolMax);
  return Array.from({ length }, (_, index) => make(Math.floor((index * count) / length)));
}

async function unary(job: Job, path: string, bodies: readonly Uint8Array[]): Promise<Result> {
  const clients = await connect(job);
  await watchBeside(clients, job.watchers ?? 0);
  const loops = new Loops();
  loops.start(job.streams, (slot, done) =>
    clients[slot % clients.length].unary(path, bodies[random(bodies.length)], done),
  );
  await loops.run(job);
  return loops.result();
}

/** Resolves when all are answered. */
async function watchBeside(clients: readonly RawClient[], count: number): Promise<void> {
  const one = (index: number): Promise<void> =>
    new Promise((resolve) =>
      clients[index % clients.length]
        .stream("/etcdserverpb.Watch/Watch", () => resolve())
        .sendMessage(requests.watch(requests.keyOf(index, "/registry/beside")), false),
    );
  await Promise.all(Array.from({ length: count }, (_, index) => one(index)));
}

/** Creates a key, updates it four times under its revision, goes on to the next. */
async function txn(job: Job): Promise<Result> {
  const clients = await connect(job);
  const loops = new Loops();
  const updatesMax = 4;
  const salt = random(1e9);
  const keyIn = (slot: number, round: number): Uint8Array =>
    requests.keyOf(slot * 1e7 + round, `/registry/leases/${salt}`);
  const state = Array.from({ length: job.streams }, (_, slot) => ({
    slot,
    round: 0,
    updates: 0,
    revision: 0,
    key: keyIn(slot, 0),
  }));
  loops.start(job.streams, (slot, done) => {
    const own = state[slot];
    if (own.updates > updatesMax) {
      own.round++;
      own.updates = own.revision = 0;
      own.key = keyIn(slot, own.round);
    }
    const answered = (answer: Uint8Array): void => {
      own.revision = requests.revisionOf(answer);
      own.updates++;
      done();
    };
    clients[slot % clients.length].unary(kv("Txn"), requests.guardedPut(own.key, own.revision), answered, true);
  });
  await loops.run(job);
  return loops.result();
}

/** One put at a time, over when every watcher has got it. */
async function watch(job: Job): Promise<Result> {
  const clients = await connect(job);
  const key = requests.keyOf(0, "/registry/watched");
  let waiting = job.streams;
  let settle: (() => void) | undefined;
  const arrived = (): void => {
    if (--waiting > 0) return;
    settle?.();
  };
  const created = new Promise<void>((resolve) => (settle = resolve));
  for (let index = 0; index < job.streams; index++) {
    clients[index % clients.length]
      .stream("/etcdserverpb.Watch/Watch", arrived)
      .sendMessage(requests.watch(key), false);
  }
  await created;
  const putter = await RawClient.connect(job.ports[0], job.caFile);
  const body = requests.put(key);
  const loops = new Loops();
  loops.start(1, (_slot, done) => {
    waiting = job.streams;
    settle = done;
    putter.unary(kv("Put"), body, () => undefined);
  });
  await loops.run(job);
  return loops.result(job.streams);
}

async function keepAlive(job: Job): Promise<Result> {
  const clients = await connect(job);
  const base = BigInt(1 + random(1e9)) * 1_000_000n;
  const granted = Array.from(
    { length: job.streams },
    (_, slot) =>
      new Promise<void>((resolve) =>
        clients[0].unary("/etcdserverpb.Lease/LeaseGrant", requests.leaseGrant(base + BigInt(slot)), () => resolve()),
      ),
  );
  await Promise.all(granted);
  const answered: (() => void)[] = [];
  const streams = Array.from({ length: job.streams }, (_, slot) =>
    clients[slot % clients.length].stream("/etcdserverpb.Lease/LeaseKeepAlive", () => answered[slot]()),
  );
  const bodies = streams.map((_, slot) => requests.keepAlive(base + BigInt(slot)));
  const loops = new Loops();
  loops.start(job.streams, (slot, done) => {
    answered[slot] = done;
    streams[slot].sendMessage(bodies[slot], false);
  });
  await loops.run(job);
  return loops.result();
}

/** Puts every key once, in order. */
async function load(job: Job): Promise<Result> {
  const clients = await connect(job);
  const latencies = new Latencies();
  const started = clock.monotonic();
  let next = 0;
  await Promise.all(
    Array.from(
      { length: job.streams },
      (_, slot) =>
        new Promise<void>((resolve) => {
          const put = (): void => {
            if (next >= job.keys) return resolve();
            const issued = clock.monotonic();
            clients[slot % clients.length].unary(kv("Put"), requests.put(requests.keyOf(next++)), () => {
              latencies.record(clock.monotonic() - issued);
              put();
            });
          };
          put();
        }),
    ),
  );
  const seconds = (clock.monotonic() - started) / 1000;
  return {
    count: job.keys,
    seconds,
    p50: latencies.percentile(0.5),
    p99: latencies.percentile(0.99),
    max: latencies.percentile(1),
  };
}

/** Linearizable ranges of a few clients while others write as fast as the disk lets them; only the ranges are measured. */
async function rangeUnderWrites(job: Job): Promise<Result> {
  const clients = await connect(job);
  const writers = await connect(job);
  const puts = pool(job.keys, (index) => requests.put(requests.keyOf(index)));
  const ranges = pool(job.keys, (index) => requests.range(requests.keyOf(index), false));
  const writes = new Loops();
  writes.start(job.streams, (slot, done) =>
    writers[slot % writers.length].unary(kv("Put"), puts[random(puts.length)], done),
  );
  const reads = new Loops();
  reads.start(4, (slot, done) =>
    clients[slot % clients.length].unary(kv("Range"), ranges[random(ranges.length)], done),
  );
  await reads.run(job);
  return reads.result();
}

/** One list of everything, taken at a tenth of what a local network carries; `count` is bytes. */
async function slowList(job: Job): Promise<Result> {
  const bytesPerSecond = 32 << 20;
  const client = await RawClient.connect(job.ports[0], job.caFile);
  const started = clock.monotonic();
  const stream = client.slowUnary(kv("Range"), requests.list(requests.keyOf(0), 0), bytesPerSecond);
  while (!stream.isComplete && clock.monotonic() - started < job.seconds * 1000) await sleep(0.05);
  return { count: stream.taken, seconds: (clock.monotonic() - started) / 1000, p50: 0, p99: 0, max: 0 };
}

function run(job: Job): Promise<Result> {
  const { keys } = job;
  switch (job.operation) {
    case "put":
      return unary(
        job,
        kv("Put"),
        pool(keys, (index) => requests.put(requests.keyOf(index))),
      );
    case "range":
      return unary(
        job,
        kv("Range"),
        pool(keys, (index) => requests.range(requests.keyOf(index), false)),
      );
    case "serializable":
      return unary(
        job,
        kv("Range"),
        pool(keys, (index) => requests.range(requests.keyOf(index), true)),
      );
    case "list": {
      const limit = job.limit ?? 1000;
      return unary(
        job,
        kv("Range"),
        pool(Math.min(keys, 5000), () => requests.list(requests.keyOf(random(keys - limit)), limit)),
      );
    }
    case "txn":
      return txn(job);
    case "watch":
      return watch(job);
    case "keepalive":
      return keepAlive(job);
    case "range-under-writes":
      return rangeUnderWrites(job);
    case "slow-list":
      return slowList(job);
    default:
      return load(job);
  }
}

process.stdout.write(JSON.stringify(await run(JSON.parse(process.argv[2]) as Job)), () => process.exit(0));
