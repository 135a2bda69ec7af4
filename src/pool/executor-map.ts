import type { MappedIterator } from './imap.js';

/** Results in the order of their items until the first error, or until time is out; then what waits is called off. */
export class ExecutorMap<R> implements AsyncIterableIterator<R> {
  readonly #results: MappedIterator<R>;
  /** When all results are to be there; `performance.now()`'s time. */
  readonly #deadline: number | undefined;

  /** `timeout`: ms from now on. */
  constructor(results: MappedIterator<R>, timeout: number | undefined) {
    this.#results = results;
    if (timeout !== undefined) this.#deadline = performance.now() + timeout;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls that overlap are served in their order. */
  async next(): Promise<IteratorResult<R>> {
    const deadline = this.#deadline;
    try {
      if (deadline === undefined) return await this.#results.next();
      // What is there already is given, even if it is late to ask for it.
      return await this.#results.next({ timeout: Math.max(0, deadline - performance.now()) });
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  /** Ends the iteration: what waits is called off, what runs is left to end. */
  return(): Promise<IteratorResult<R>> {
    return this.#results.return();
  }
}
