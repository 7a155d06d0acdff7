/**
 * Go's text form of durations ("1h2m3.5s", "100ms"), which etcd's flags, logs and command lines use.
 * Durations are milliseconds with fraction in memory; the text form is exact to the nanosecond.
 */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Most milliseconds a Go duration can hold (2^63 - 1 nanoseconds). */
const maxDurationMs = 9_223_372_036_854;

/**
 * Parses Go's `time.ParseDuration` form.
 *
 * @returns milliseconds, with fraction, negative allowed.
 * @throws {Error} with Go's own text: `time: invalid duration "x"`, `time: missing unit in duration "5"`,
 * `time: unknown unit "x" in duration "5x"`.
 */
export function parseDuration(text: string): number {
  let rest = text;
  let sign = 1;
  if (rest.startsWith("-") || rest.startsWith("+")) {
    if (rest.startsWith("-")) sign = -1;
    rest = rest.slice(1);
  }
  if (rest === "0") return 0;
  if (rest === "") throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  let total = 0;
  while (rest !== "") {
    const number = /^(?:\d+\.?\d*|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
    rest = rest.slice(number.length);
    const unit = /^[^\d.]*/.exec(rest)?.[0] ?? "";
    if (unit === "") throw new Error(`time: missing unit in duration ${JSON.stringify(text)}`);
    const scale = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined;
    if (scale === undefined) {
      throw new Error(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`);
    }
    rest = rest.slice(unit.length);
    total += Number(number) * scale;
  }
  if (total > maxDurationMs) throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  return sign * total;
}

/** Formats milliseconds as Go's `Duration.String`: `0s`, `1.5µs`, `100ms`, `1m0s`, `2h0m0s`. */
export function formatDuration(ms: number): string {
  const nanoseconds = Math.round(Math.abs(ms) * 1e6);
  if (nanoseconds === 0) return "0s";
  const sign = ms < 0 ? "-" : "";
  if (nanoseconds < 1000) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1_000_000) return `${sign}${trimmed(nanoseconds, 1000)}\u00b5s`;
  if (nanoseconds < 1_000_000_000) return `${sign}${trimmed(nanoseconds, 1_000_000)}ms`;
  const wholeSeconds = Math.floor(nanoseconds / 1e9);
  const fraction = nanoseconds - wholeSeconds * 1e9;
  const seconds = trimmed((wholeSeconds % 60) * 1e9 + fraction, 1e9);
  const minutes = Math.floor(wholeSeconds / 60) % 60;
  const hours = Math.floor(wholeSeconds / 3600);
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  if (minutes > 0) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${seconds}s`;
}

/** `value / unit` as decimal text without trailing zeros; exact because it works on the digits. */
function trimmed(value: number, unit: number): string {
  const whole = Math.floor(value / unit);
  const digits = String(unit).length - 1;
  const fraction = String(value - whole * unit)
    .padStart(digits, "0")
    .replace(/0+$/, "");
  return fraction === "" ? String(whole) : `${whole}.${fraction}`;
}
