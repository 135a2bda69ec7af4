/** How many of the latest durations percentiles are taken from. */
const KEPT = 1024;

/** Durations, summed up: the mean of all, percentiles of the latest. */
export class Durations {
  readonly #latest = new Float64Array(KEPT);
  #count = 0;
  #sum = 0;

  add(duration: number): void {
    this.#latest[this.#count++ % KEPT] = duration;
    this.#sum += duration;
  }

  summary(): { mean: number; p50: number; p99: number } {
    const sorted = this.#latest.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
    return { mean: this.#count === 0 ? 0 : this.#sum / this.#count, p50: at(0.5), p99: at(0.99) };
  }
}
