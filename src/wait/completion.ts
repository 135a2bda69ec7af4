import { timeoutOf, type WaitOptions } from './options.js';

/** The longest delay that setTimeout takes. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Something that happens once, within this thread, and that any number may wait for. Waiters go on in the order in
 * which they came; one that gives up leaves nothing behind.
 */
export class Completion<T> {
  #outcome: { value: T } | undefined;
  readonly #waiters = new Set<() => void>();

  /** What it came to; undefined: it has not happened yet. */
  get outcome(): { readonly value: T } | undefined {
    return this.#outcome;
  }

  /** It has happened. A second call changes nothing. */
  complete(value: T): void {
    if (this.#outcome) return;
    this.#outcome = { value };
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** Has `listener` called when it happens, if it has not yet. Returns the way to stop. */
  watch(listener: () => void): () => void {
    // Each call counts for itself, also with the same function.
    const waiter = () => listener();
    if (!this.#outcome) this.#waiters.add(waiter);
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  /**
   * Waits for it. Undefined: `timeout` ms had passed first.
   * Rejects with `signal.reason` when aborted, before the call or during the wait.
   */
  async wait(options: WaitOptions = {}): Promise<{ readonly value: T } | undefined> {
    const timeout = timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#outcome || timeout === 0) return this.#outcome;
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + timeout;
      let timer: NodeJS.Timeout | undefined;
      const finish = () => {
        this.#waiters.delete(finish);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        resolve(this.#outcome);
      };
      const abort = () => {
        this.#waiters.delete(finish);
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const watch = () => {
        const left = deadline - performance.now();
        if (left <= 0) finish();
        else timer = setTimeout(watch, Math.min(left, LONGEST_TIMER));
      };
      this.#waiters.add(finish);
      signal?.addEventListener('abort', abort, { once: true });
      if (timeout !== Number.POSITIVE_INFINITY) watch();
    });
  }
}
