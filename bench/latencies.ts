/** Latencies of one run: counts per microsecond up to 200 ms, then per millisecond, so that recording costs an increment. */
const fineMax = 200_000;
const coarseMax = 60_000;

export class Latencies {
  readonly #fine = new Uint32Array(fineMax);
  readonly #coarse = new Uint32Array(coarseMax);
  count = 0;

  record(ms: number): void {
    const us = Math.floor(ms * 1000);
    if (us < fineMax) this.#fine[us]++;
    else this.#coarse[Math.min(Math.floor(ms), coarseMax - 1)]++;
    this.count++;
  }

  /** Milliseconds below which `share` of the values lie. */
  percentile(share: number): number {
    let left = Math.ceil(this.count * share);
    for (let us = 0; us < fineMax; us++) {
      left -= this.#fine[us];
      if (left <= 0) return us / 1000;
    }
    for (let ms = 0; ms < coarseMax; ms++) {
      left -= this.#coarse[ms];
      if (left <= 0) return ms;
    }
    return coarseMax;
  }
}
