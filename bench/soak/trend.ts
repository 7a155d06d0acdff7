/** Whether a series of samples grows: least squares, with the uncertainty of the slope. */

export interface Point {
  /** Hours since the start. */
  readonly hours: number;
  readonly value: number;
}

export interface Trend {
  readonly mean: number;
  /** Growth per hour. */
  readonly slope: number;
  /** Standard error of the slope. */
  readonly error: number;
  /** What the slope makes of the time between the first and the last sample. */
  readonly grown: number;
}

/** @param points - at least three. */
export function trendOf(points: readonly Point[]): Trend {
  const count = points.length;
  const meanAt = points.reduce((sum, { hours }) => sum + hours, 0) / count;
  const mean = points.reduce((sum, { value }) => sum + value, 0) / count;
  let spread = 0;
  let together = 0;
  for (const { hours, value } of points) {
    spread += (hours - meanAt) ** 2;
    together += (hours - meanAt) * (value - mean);
  }
  const slope = together / spread;
  let rest = 0;
  for (const { hours, value } of points) rest += (value - mean - slope * (hours - meanAt)) ** 2;
  const error = Math.sqrt(rest / (count - 2) / spread);
  return { mean, slope, error, grown: slope * (points[count - 1].hours - points[0].hours) };
}

export interface GrowthLimit {
  /** Growth per hour that is one. */
  readonly perHour: number;
  /** Growth within the samples below which nothing is said: noise, caches that fill. */
  readonly atLeast: number;
}

/** True when more than the limit is certain: three standard errors below the slope. */
export function growsBeyond({ slope, error, grown }: Trend, limit: GrowthLimit): boolean {
  return slope - 3 * error > limit.perHour && grown > limit.atLeast;
}
