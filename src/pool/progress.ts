import { now } from '../platform/platform.js';
import type { MapProgress } from './map.js';

/** The rate is that of the last so many samples, which are at least so far apart, ms: of five seconds, or of more where a call takes long. */
const SAMPLES = 32;
const APART = 5000 / SAMPLES;

/** Tells how far a map is. What the listener throws is an uncaught exception, and concerns the map no more. */
export class ProgressMeter {
  readonly #listener: (progress: MapProgress) => void;
  readonly #start = now();
  readonly #samples: { readonly time: number; readonly done: number }[] = [{ time: this.#start, done: 0 }];
  #done = 0;
  #failed = 0;
  /** Has it been said that all is done? */
  #isComplete = false;

  constructor(listener: (progress: MapProgress) => void) {
    this.#listener = listener;
  }

  /** So many calls are over, of which some failed. */
  note(calls: number, failed: number, total: number | undefined): void {
    this.#done += calls;
    this.#failed += failed;
    this.#tell(total);
  }

  /** All calls are over. */
  end(total: number | undefined): void {
    if (!this.#isComplete) this.#tell(total);
  }

  #tell(total: number | undefined): void {
    const time = now();
    const rate = this.#rate(time);
    const done = this.#done;
    this.#isComplete = done === total;
    let eta: number | undefined;
    if (total !== undefined) eta = done === total ? 0 : ((total - done) / rate) * 1000;
    try {
      this.#listener({ done, failed: this.#failed, total, elapsed: time - this.#start, rate, eta });
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Items a second, of late. */
  #rate(time: number): number {
    const samples = this.#samples;
    const oldest = samples[0] as (typeof samples)[number];
    const rate = (this.#done - oldest.done) / (Math.max(time - oldest.time, 1e-3) / 1000);
    if (time - (samples.at(-1) ?? oldest).time >= APART) {
      samples.push({ time, done: this.#done });
      if (samples.length > SAMPLES) samples.shift();
    }
    return rate;
  }
}
