/** Sizes for people in decimal units, as etcd's tools print them (`25 kB`, `2.1 GB`). */
const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** @param bytes - a size, not negative. One decimal below 10 of a unit, none above, rounded half up. */
export function humanSize(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  const exponent = Math.min(Math.floor(Math.log(bytes) / Math.log(1000)), units.length - 1);
  const value = Math.floor((bytes / 1000 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : roundHalfEven(value)} ${units[exponent]}`;
}

/** The rounding of Go's `%.0f`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
