/** The tables of the benchmark. Figures are medians over rounds; a ratio above 1 means that ours is better. */
import type { Result } from "./load.ts";

export interface Row {
  readonly name: string;
  readonly streams: number;
  readonly runs: (Result & { readonly contender?: "ours" | "go"; readonly cpuMicros: number; readonly rss: number })[];
}

export interface CapacityRow {
  readonly contender: string;
  readonly keys: number;
  readonly loadSeconds: number;
  readonly rss: number;
  readonly rssPeak: number;
  readonly startMs: number;
  readonly rssAfterStart: number;
  /** Growth of the resident memory while one client took a list of everything slowly. */
  readonly slowListRss: number;
  readonly slowListSeconds: number;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[Math.floor(sorted.length / 2)];
}

const figures = {
  rate: (run: Row["runs"][number]) => run.count / run.seconds,
  p50: (run: Row["runs"][number]) => run.p50,
  p99: (run: Row["runs"][number]) => run.p99,
  cpu: (run: Row["runs"][number]) => run.cpuMicros,
  rss: (run: Row["runs"][number]) => run.rss / 2 ** 20,
};

function of(row: Row, contender: "ours" | "go", figure: (run: Row["runs"][number]) => number): number {
  return median(row.runs.filter((run) => run.contender === contender).map(figure));
}

export function printTable(rows: readonly Row[]): void {
  const header = [
    "operation",
    "streams",
    "ours/s",
    "go/s",
    "ratio",
    "p50 ms",
    "go",
    "p99 ms",
    "go",
    "p99 ratio",
    "CPU µs",
    "go",
    "CPU ratio",
    "RSS MB",
    "go",
  ];
  const lines = rows.map((row) => {
    const ours = (figure: keyof typeof figures) => of(row, "ours", figures[figure]);
    const go = (figure: keyof typeof figures) => of(row, "go", figures[figure]);
    return [
      row.name,
      String(row.streams),
      String(Math.round(ours("rate"))),
      String(Math.round(go("rate"))),
      ratio(ours("rate"), go("rate")),
      ours("p50").toFixed(2),
      go("p50").toFixed(2),
      ours("p99").toFixed(2),
      go("p99").toFixed(2),
      ratio(go("p99"), ours("p99")),
      ours("cpu").toFixed(1),
      go("cpu").toFixed(1),
      ratio(go("cpu"), ours("cpu")),
      String(Math.round(ours("rss"))),
      String(Math.round(go("rss"))),
    ];
  });
  print([header, ...lines]);
  console.log("ratio: throughput ours/Go; p99 and CPU ratio: Go/ours. Above 1 is better for ours throughout.");
}

export function printCapacity(rows: readonly CapacityRow[]): void {
  print([
    [
      "server",
      "keys",
      "load s",
      "RSS MB",
      "peak MB",
      "restart ms",
      "RSS MB after restart",
      "slow list s",
      "RSS MB more",
    ],
    ...rows.map((row) => [
      row.contender,
      String(row.keys),
      row.loadSeconds.toFixed(1),
      mebibytes(row.rss),
      mebibytes(row.rssPeak),
      String(Math.round(row.startMs)),
      mebibytes(row.rssAfterStart),
      row.slowListSeconds.toFixed(1),
      mebibytes(row.slowListRss),
    ]),
  ]);
}

/** @param times - milliseconds from the kill of the leader to the next acknowledged write, by contender. */
export function printFailOvers(times: ReadonlyMap<string, readonly number[]>): void {
  if (times.size === 0) return;
  print([
    ["leader killed", "times", "median ms", "most ms"],
    ...[...times].map(([contender, all]) => [
      contender,
      String(all.length),
      median(all).toFixed(0),
      Math.max(...all).toFixed(0),
    ]),
  ]);
}

function mebibytes(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20));
}

function ratio(a: number, b: number): string {
  return Number.isFinite(a / b) ? `${(a / b).toFixed(2)}x` : "-";
}

export function print(lines: readonly (readonly string[])[]): void {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  for (const line of lines) {
    console.log(
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
        .join("  "),
    );
  }
}
