/**
 * Prometheus text (format 0.0.4) out of plain numbers: every metric is a function that is asked when `/metrics` is read,
 * so that what counts on the hot path is a field and not a library call. As in Go, metrics come in the order of their
 * names, and one whose labels nobody has used yet is not there at all.
 */
import { assert } from "../../base/assert.ts";
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

export interface Summary {
  /** Quantile, such as `0.5`, → seconds. */
  readonly quantiles: ReadonlyMap<string, number>;
  readonly sum: number;
  readonly count: number;
}

interface Metric {
  readonly name: string;
  /** HELP and TYPE. */
  readonly head: string;
  /** The lines below; empty when there is nothing to show. */
  readonly lines: () => string;
}

export const contentType = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

export class MetricsRegistry {
  readonly #metrics: Metric[] = [];
  #isSorted = true;

  counter(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#add(name, help, "counter", () => samples(name, read()));
  }

  gauge(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#add(name, help, "gauge", () => samples(name, read()));
  }

  histogram(name: string, help: string, read: () => Histogram | readonly Distribution[]): void {
    this.#add(name, help, "histogram", () => {
      const found = read();
      if ("observe" in found) return distribution(name, { histogram: found });
      return found.map((one) => distribution(name, one)).join("");
    });
  }

  summary(name: string, help: string, read: () => Summary): void {
    this.#add(name, help, "summary", () => {
      const { quantiles, sum, count } = read();
      const lines = [...quantiles].map(([quantile, value]) => line(name, `quantile="${quantile}"`, value));
      return `${lines.join("")}${line(`${name}_sum`, "", sum)}${line(`${name}_count`, "", count)}`;
    });
  }

  /** Everything, as text. */
  text(): string {
    if (!this.#isSorted) this.#metrics.sort((one, other) => (one.name < other.name ? -1 : 1));
    this.#isSorted = true;
    let text = "";
    for (const { head, lines } of this.#metrics) {
      const body = lines();
      if (body !== "") text += head + body;
    }
    return text;
  }

  #add(name: string, help: string, type: string, lines: () => string): void {
    assert(!this.#metrics.some((metric) => metric.name === name), "a metric is registered once");
    const escaped = help.replaceAll("\\", String.raw`\\`).replaceAll("\n", String.raw`\n`);
    this.#metrics.push({ name, head: `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`, lines });
    this.#isSorted = false;
  }
}

function samples(name: string, read: number | readonly Sample[]): string {
  if (typeof read === "number") return line(name, "", read);
  return read.map(({ labels, value }) => line(name, labelText(labels), value)).join("");
}

function distribution(name: string, { labels, histogram }: Distribution): string {
  const own = labelText(labels);
  const before = own === "" ? "" : `${own},`;
  let text = "";
  let below = 0;
  const bounds = boundTexts(histogram.bounds);
  for (let index = 0; index < bounds.length; index++) {
    below += histogram.counts[index];
    text += line(`${name}_bucket`, before + bounds[index], below);
  }
  text += line(`${name}_bucket`, `${before}le="+Inf"`, histogram.count);
  return text + line(`${name}_sum`, own, histogram.sum) + line(`${name}_count`, own, histogram.count);
}

const textsOfBounds = new WeakMap<readonly number[], readonly string[]>();

function boundTexts(bounds: readonly number[]): readonly string[] {
  let texts = textsOfBounds.get(bounds);
  if (texts === undefined) {
    texts = bounds.map((bound) => `le="${goNumber(bound)}"`);
    textsOfBounds.set(bounds, texts);
  }
  return texts;
}

function line(name: string, labels: string, value: number): string {
  return labels === "" ? `${name} ${goNumber(value)}\n` : `${name}{${labels}} ${goNumber(value)}\n`;
}

/** Texts of labels that are given again at each reading: most lines are those of gRPC methods, which never change. */
const labelTexts = new WeakMap<Labels, string>();

/** In the order of their names, as Go sorts them. */
function labelText(labels: Labels | undefined): string {
  if (labels === undefined) return "";
  const known = labelTexts.get(labels);
  if (known !== undefined) return known;
  const text = Object.keys(labels)
    .sort()
    .map((key) => `${key}="${escapeValue(labels[key])}"`)
    .join(",");
  labelTexts.set(labels, text);
  return text;
}

function escapeValue(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value
    .replaceAll("\\", String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll("\n", String.raw`\n`);
}

/**
 * A number as Go's `strconv.FormatFloat(value, 'g', -1, 64)` writes it: with an exponent from a million up and below
 * 0.0001. The bounds of histograms are labels, so their text must be the same.
 */
export function goNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-4 && size < 1e6)) return String(value);
  const [digits, exponent] = value.toExponential().split("e");
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
