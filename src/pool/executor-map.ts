import type { MappedIterator } from './imap.js';

/** Results in the order of their items until the first error, or until time is out; then what waits is called off. */
export class ExecutorMap<R> implements AsyncIterableIterator<R> {
  readonly #results: MappedIterator<R>;
  /** When all results are to be there; `performance.now()`'s time. */
  readonly #deadline: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** `timeout`: ms from now on. */
  constructor(results: MappedIterator<R>, timeout: number | undefined) {
    this.#results = results;
    if (timeout !== undefined) this.#deadline = performance.now() + timeout;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls that overlap are served in their order. */
  next(): Promise<IteratorResult<R>> {
    const result = this.#turn.then(() => this.#next());
    this.#turn = result.catch(() => {});
    return result;
  }

  async #next(): Promise<IteratorResult<R>> {
    const deadline = this.#deadline;
    try {
      // What is there already is given, even if it is late to ask for it.
      return await this.#results.next(
        deadline === undefined ? {} : { timeout: Math.max(0, deadline - performance.now()) },
      );
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  /** Ends the iteration: what waits is called off, what runs is left to end. */
  async return(): Promise<IteratorResult<R>> {
    return (await this.#results.return?.()) ?? { done: true, value: undefined };
  }
}
