import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { Line } from './line.js';
import { caller } from './owner.js';

/** The flag of a manager. */
export class ServedEventFlag {
  #isSet = false;
  readonly #line = new Line<void, boolean>();

  isSet(): boolean {
    return this.#isSet;
  }

  set(): void {
    this.#isSet = true;
    for (const waiter of this.#line.all) waiter.resolve(true);
  }

  clear(): void {
    this.#isSet = false;
  }

  wait(options?: WaitOptions): boolean | Promise<boolean> {
    const timeout = timeoutOf(options);
    if (this.#isSet || timeout === 0) return this.#isSet;
    return this.#line.wait(caller(), undefined, {
      timeout,
      signal: options?.signal,
      tooLate: () => false,
    });
  }
}
