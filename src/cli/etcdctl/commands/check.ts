/** `etcdctl check`: whether a cluster takes a load of writes in time, and what memory a number of keys needs. */
import { prefixEnd } from "../../../base/bytes.ts";
import type { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { quote } from "../../shared/go-quote.ts";
import type { FlagSpec } from "../../shared/flags.ts";
import { ProgressBar } from "../../shared/progress-bar.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { type Context, openContext, request } from "../connect.ts";
import { type LoadStats, runLoad } from "../load-check.ts";
import { untilSignal } from "../until-signal.ts";

type Size = "s" | "m" | "l" | "xl";

const sizes: Readonly<Record<string, Size>> = {
  s: "s",
  small: "s",
  m: "m",
  medium: "m",
  l: "l",
  large: "l",
  xl: "xl",
  xLarge: "xl",
};

const performance = {
  s: { perSecond: 150, clients: 50 },
  m: { perSecond: 1000, clients: 200 },
  l: { perSecond: 8000, clients: 500 },
  xl: { perSecond: 15_000, clients: 1000 },
} as const;

const scale = {
  s: { keys: 10_000, clients: 50 },
  m: { keys: 100_000, clients: 200 },
  l: { keys: 1_000_000, clients: 500 },
  xl: { keys: 3_000_000, clients: 1000 },
} as const;

const performanceSeconds = 60;
/** A cluster passes when it is not worse. */
const throughputShareMin = 0.9;
const slowestSecondsMax = 0.5;
const deviationSecondsMax = 0.1;
const maintenanceMs = 30_000;
const barMs = 200;

function loadFlags(prefix: string, prefixUsage: string, loadUsage: string): readonly FlagSpec[] {
  return [
    { name: "load", type: "string", initial: "s", usage: loadUsage },
    { name: "prefix", type: "string", initial: prefix, usage: prefixUsage },
    {
      name: "auto-compact",
      type: "bool",
      initial: false,
      usage: "Compact storage with last revision after test is finished.",
    },
    { name: "auto-defrag", type: "bool", initial: false, usage: "Defragment storage after test is finished." },
  ];
}

export const checkCommand: Command = {
  name: "check",
  synopsis: "<subcommand>",
  summary: "commands for checking properties of the etcd cluster",
  commands: [
    {
      name: "perf",
      synopsis: "[options]",
      summary: "Check the performance of the etcd cluster",
      flags: loadFlags(
        "/etcdctl-check-perf/",
        "The prefix for writing the performance check's keys.",
        "The performance check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge). Different workload models use different configurations in terms of number of clients and expected throughput.",
      ),
      run: checkPerformance,
    },
    {
      name: "datascale",
      synopsis: "[options]",
      summary: "Check the memory usage of holding data for different workloads on a given server endpoint.",
      description:
        "If no endpoint is provided, localhost will be used. If multiple endpoints are provided, first endpoint will be used.",
      flags: loadFlags(
        "/etcdctl-check-datascale/",
        "The prefix for writing the datascale check's keys.",
        "The datascale check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge)",
      ),
      run: checkScale,
    },
  ],
};

function sizeOf({ flags }: Invocation): Size {
  const text = flags.text("load");
  if (!Object.hasOwn(sizes, text)) throw new CommandFailure(ExitCode.BadFeature, `unknown load option ${text}`);
  return sizes[text];
}

/** @throws {CommandFailure} when somebody's keys are there. */
async function openClients(invocation: Invocation, count: number, command: string): Promise<[Context, Client[]]> {
  const context = await openContext(invocation);
  const clients = await Promise.all(Array.from({ length: count }, () => context.connect()));
  const prefix = invocation.flags.text("prefix");
  const { kvs } = await request(clients[0].call(methods.range, { ...below(prefix), limit: 1n }));
  if (kvs.length > 0) {
    const text = `prefix ${quote(prefix)} has keys. Delete with ${command.replace("%s", prefix)} first`;
    throw new CommandFailure(ExitCode.InvalidInput, text);
  }
  return [context, clients];
}

function below(prefix: string): { key: Uint8Array; rangeEnd: Uint8Array } {
  const key = Buffer.from(prefix, "utf8");
  return { key, rangeEnd: prefixEnd(key) };
}

async function checkPerformance(invocation: Invocation): Promise<void> {
  const { flags, terminal } = invocation;
  const { perSecond, clients: count } = performance[sizeOf(invocation)];
  const [context, clients] = await openClients(invocation, count, "'etcdctl del --prefix %s'");
  const { clock } = clients[0].channel;
  const bar = new ProgressBar(terminal.error, performanceSeconds);
  const start = clock.monotonic();
  const ticker = clock.setTicker(() => bar.show(Math.floor((clock.monotonic() - start) / 1000)), barMs);
  const prefix = flags.text("prefix");
  const stats = await runLoad(clock, {
    clients,
    prefix,
    keySize: 256,
    valueSize: 1024,
    perSecond,
    durationMs: performanceSeconds * 1000,
    signal: untilSignal(),
  });
  ticker.cancel();
  bar.finish();
  const print = (line: string): void => terminal.output.write(`${line}\n`);
  try {
    const { header } = await clients[0].call(methods.deleteRange, below(prefix), { timeoutMs: maintenanceMs });
    if (flags.bool("auto-compact")) await compact(clients[0], header?.revision ?? 0n, terminal);
  } catch (error) {
    print(`FAIL: Cleanup failed during key deletion: ERROR(${messageOf(error)})`);
  }
  if (flags.bool("auto-defrag")) await defragment(context, terminal);
  const passed = printVerdict(stats, perSecond, print);
  print(passed ? "PASS" : "FAIL");
  if (!passed) throw new CommandFailure(ExitCode.Error, undefined);
}

function printVerdict(stats: LoadStats, perSecond: number, print: (line: string) => void): boolean {
  const seconds = (value: number): string => `${value.toFixed(6)}s`;
  const verdicts = [
    printErrors(stats, print),
    stats.perSecond / perSecond > throughputShareMin,
    stats.slowestSeconds <= slowestSecondsMax,
    stats.deviationSeconds <= deviationSecondsMax,
  ];
  const rate = `${Math.floor(stats.perSecond) + 1} writes/s`;
  const slowest = seconds(stats.slowestSeconds);
  const deviation = seconds(stats.deviationSeconds);
  print(verdicts[1] ? `PASS: Throughput is ${rate}` : `FAIL: Throughput too low: ${rate}`);
  print(verdicts[2] ? `PASS: Slowest request took ${slowest}` : `Slowest request took too long: ${slowest}`);
  print(verdicts[3] ? `PASS: Stddev is ${deviation}` : `Stddev too high: ${deviation}`);
  return verdicts.every(Boolean);
}

/** @returns whether there were none. */
function printErrors({ errors }: LoadStats, print: (line: string) => void): boolean {
  if (errors.size === 0) return true;
  print("FAIL: too many errors");
  for (const [text, count] of errors) print(`FAIL: ERROR(${text}) -> ${count}`);
  return false;
}

async function checkScale(invocation: Invocation): Promise<void> {
  const { flags, terminal } = invocation;
  const { keys, clients: count } = scale[sizeOf(invocation)];
  const [context, clients] = await openClients(invocation, count, "etcdctl del --prefix %s");
  const print = (line: string): void => terminal.output.write(`${line}\n`);
  const before = await residentBytes(context.endpoints[0], "before", terminal);
  print(
    `Start data scale check for work load [${keys} key-value pairs, 1024 bytes per key-value, ${count} concurrent clients].`,
  );
  terminal.flush();
  const bar = new ProgressBar(terminal.error, keys);
  const prefix = flags.text("prefix");
  let done = 0;
  const { clock } = clients[0].channel;
  const ticker = clock.setTicker(() => bar.show(done), barMs);
  const stats = await runLoad(clock, {
    clients,
    prefix,
    keySize: 512,
    valueSize: 512,
    requestsMax: keys,
    signal: new AbortController().signal,
    onDone: () => done++,
  });
  ticker.cancel();
  bar.finish();
  const after = await residentBytes(context.endpoints[0], "after", terminal);
  const { header } = await request(clients[0].call(methods.deleteRange, below(prefix)));
  if (flags.bool("auto-compact")) await compact(clients[0], header?.revision ?? 0n, terminal);
  if (flags.bool("auto-defrag")) await defragment(context, terminal);
  if (!printErrors(stats, print)) throw new CommandFailure(ExitCode.Error, undefined);
  print(`PASS: Approximate system memory used : ${((after - before) / (1024 * 1024)).toFixed(2)} MB.`);
}

/** From the member's metrics. @throws {CommandFailure} when they cannot be read. */
async function residentBytes(endpoint: string, when: "before" | "after", terminal: Terminal): Promise<number> {
  const print = (line: string): void => terminal.output.write(`${line}\n`);
  const base = /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`;
  try {
    const response = await fetch(`${base}/metrics`);
    const value = /^process_resident_memory_bytes (.+)$/m.exec(await response.text())?.[1];
    if (value === undefined) print("could not find: process_resident_memory_bytes");
    else if (Number(value) > 0) return Number(value);
  } catch (error) {
    print(`fetch error: ${messageOf(error)}`);
  }
  print(`FAIL: Could not read process_resident_memory_bytes ${when} the put operations.`);
  throw new CommandFailure(ExitCode.Error, undefined);
}

async function compact(client: Client, revision: bigint, terminal: Terminal): Promise<void> {
  terminal.output.write(`Compacting with revision ${revision}\n`);
  await request(client.call(methods.compact, { revision, physical: true }, { timeoutMs: maintenanceMs }));
  terminal.output.write(`Compacted with revision ${revision}\n`);
}

async function defragment({ endpoints, connect }: Context, terminal: Terminal): Promise<void> {
  for (const endpoint of endpoints) {
    terminal.output.write(`Defragmenting ${quote(endpoint)}\n`);
    terminal.flush();
    const client = await connect([endpoint]);
    await request(client.call(methods.defragment, {}, { timeoutMs: maintenanceMs }));
    client.close();
    terminal.output.write(`Defragmented ${quote(endpoint)}\n`);
  }
}
