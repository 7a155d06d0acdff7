/**
 * Prometheus text out of plain numbers: every metric is a function that is asked when `/metrics` is read, so that what
 * counts on the hot path is a field and not a library call.
 */
import { Registry, type MetricType } from "prom-client";
import type { Histogram } from "../../base/histogram.ts";

export type Labels = Readonly<Record<string, string>>;

/** One line of a metric. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** What a histogram with labels gives: one distribution for each set of labels. */
export interface Distribution {
  readonly labels?: Labels;
  readonly histogram: Histogram;
}

interface Value {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

export class MetricsRegistry {
  readonly #registry = new Registry();

  counter(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#add(name, help, "counter", () => samples(read()));
  }

  gauge(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#add(name, help, "gauge", () => samples(read()));
  }

  histogram(name: string, help: string, read: () => Histogram | readonly Distribution[]): void {
    this.#add(name, help, "histogram", () => {
      const found = read();
      const all: readonly Distribution[] = "observe" in found ? [{ histogram: found }] : found;
      return all.flatMap((one) => distribution(name, one));
    });
  }

  /** @param read - quantile → seconds, then sum and count. */
  summary(
    name: string,
    help: string,
    read: () => { quantiles: ReadonlyMap<string, number>; sum: number; count: number },
  ): void {
    this.#add(name, help, "summary", () => {
      const { quantiles, sum, count } = read();
      const values: Value[] = [...quantiles].map(([quantile, value]) => ({ labels: { quantile }, value }));
      return [
        ...values,
        { labels: {}, value: sum, metricName: `${name}_sum` },
        { labels: {}, value: count, metricName: `${name}_count` },
      ];
    });
  }

  get contentType(): string {
    return "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
  }

  /** Everything, as text. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }

  #add(
    name: string,
    help: string,
    type: "counter" | "gauge" | "histogram" | "summary",
    values: () => readonly Value[],
  ): void {
    const metric = {
      name,
      help,
      type: type as unknown as MetricType,
      aggregator: "sum",
      get: () => Promise.resolve({ name, help, type, aggregator: "sum", values: values() }),
      reset: () => undefined,
    };
    // The library's own metric classes hold their values; ours are read when asked, which is all a registry needs.
    this.#registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
  }
}

function samples(read: number | readonly Sample[]): readonly Value[] {
  if (typeof read === "number") return [{ labels: {}, value: read }];
  return read.map(({ labels = {}, value }) => ({ labels, value }));
}

function distribution(name: string, { labels = {}, histogram }: Distribution): Value[] {
  const values: Value[] = [];
  let below = 0;
  for (const [index, bound] of histogram.bounds.entries()) {
    below += histogram.counts[index];
    values.push({ labels: { ...labels, le: String(bound) }, value: below, metricName: `${name}_bucket` });
  }
  values.push({ labels: { ...labels, le: "+Inf" }, value: histogram.count, metricName: `${name}_bucket` });
  values.push({ labels, value: histogram.sum, metricName: `${name}_sum` });
  values.push({ labels, value: histogram.count, metricName: `${name}_count` });
  return values;
}
