import { CancelledError, TimeoutError } from '../errors/errors.js';
import { Completion } from '../wait/completion.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { AsyncResult } from './async-result.js';
import { Future } from './future.js';

/** Those given, each once, which have been asked by that. @throws {TypeError} One of them is none. */
function distinct<F extends AsyncResult<unknown>>(futures: Iterable<F>): Set<F> {
  const all = new Set(futures);
  for (const future of all)
    if (!(future instanceof AsyncResult))
      throw new TypeError(
        'Cannot wait for that: give futures of an executor, or what run() of a pool returns; for other promises, there is Promise.race()',
      );
  for (const future of all) future.tell();
  return all;
}

/** What {@link asCompleted | asCompleted()} gives: futures, as they are, in the order in which they end. */
export type CompletedIterator<F> = FutureIterator<F> | SameIterator<F>;

/** One that gives futures. */
export interface FutureIterator<F> extends AsyncIterableIterator<F> {
  /** The next future that is over. */
  next(): Promise<IteratorResult<F, undefined>>;
  /** Hears of no future any more. */
  return(): Promise<IteratorResult<F, undefined>>;
  /** Itself. */
  [Symbol.asyncIterator](): FutureIterator<F>;
}

/**
 * TypeScript takes what an iterator gives to be awaited by `for await`, which it is not: of an interface of its own from the second loop of
 * a program on, of a union never.
 */
export interface SameIterator<F> extends FutureIterator<F> {}

/**
 * Gives each future (not its value) as soon as it is over: those that are over already first, in the order given, then the others as
 * they end. A future that is there twice comes once.
 *
 * next() rejects with TimeoutError when not all are over `timeout` ms after this call, and with `signal.reason` when aborted; that ends
 * the iteration. Futures stay as they are, also when it is left early.
 *
 * Python: `concurrent.futures.as_completed`.
 * @throws {TypeError} One of them is none, or an option is wrong.
 */
export function asCompleted<R, F extends AsyncResult<R> = AsyncResult<R>>(
  futures: Iterable<F>,
  options: WaitOptions = {},
): CompletedIterator<F> {
  return new Completed(distinct(futures), timeoutOf(options), options.signal);
}

class Completed<F extends AsyncResult<unknown>> implements FutureIterator<F> {
  readonly #count: number;
  readonly #timeout: number;
  /** `performance.now()`'s time. */
  readonly #deadline: number;
  readonly #signal: AbortSignal | undefined;
  /** Over and not given yet; `#given` have been. */
  readonly #over: (F | undefined)[] = [];
  #given = 0;
  /** Not over yet, each with the way to hear of it no more. */
  readonly #pending = new Map<F, () => void>();
  #news = new Completion<void>();

  constructor(futures: Set<F>, timeout: number, signal: AbortSignal | undefined) {
    this.#count = futures.size;
    this.#timeout = timeout;
    this.#deadline = performance.now() + timeout;
    this.#signal = signal;
    for (const future of futures) {
      if (future.ready()) this.#over.push(future);
      else
        this.#pending.set(
          future,
          future.watch(() => this.#note(future)),
        );
    }
  }

  #note(future: F): void {
    this.#pending.delete(future);
    this.#over.push(future);
    this.#tell();
  }

  #tell(): void {
    const news = this.#news;
    this.#news = new Completion<void>();
    news.complete();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<F, undefined>> {
    try {
      for (;;) {
        const isThere = this.#given < this.#over.length;
        if (!isThere && this.#pending.size === 0) return { done: true, value: undefined };
        this.#signal?.throwIfAborted();
        if (isThere) return { done: false, value: this.#take() };
        await this.#wait();
      }
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  /** Those that were given are not kept: what they hold may be large. */
  #take(): F {
    const future = this.#over[this.#given] as F;
    this.#over[this.#given++] = undefined;
    return future;
  }

  async #wait(): Promise<void> {
    const timeout = Math.max(0, this.#deadline - performance.now());
    if (!(await this.#news.wait({ timeout, signal: this.#signal })))
      throw new TimeoutError(
        `Cannot give all ${this.#count} futures within ${this.#timeout} ms as ${this.#pending.size} are not over: allow more time`,
      );
  }

  async return(): Promise<IteratorResult<F, undefined>> {
    this.#stop();
    return { done: true, value: undefined };
  }

  #stop(): void {
    for (const forget of this.#pending.values()) forget();
    this.#pending.clear();
    this.#over.length = 0;
    this.#given = 0;
    this.#tell();
  }
}

/** What {@link waitFutures | waitFutures()} waits for. */
export interface WaitFuturesOptions extends WaitOptions {
  /** Until all are over (default), until one is, or until one has failed or all are over. One that was cancelled has not failed. */
  returnWhen?: 'all' | 'first' | 'firstError';
}

/** What {@link waitFutures | waitFutures()} tells. Both sets are in the order in which the futures were given. */
export interface WaitedFutures<F> {
  /** Those that are over: returned, failed or cancelled. */
  readonly done: Set<F>;
  /** Those that wait or run. */
  readonly notDone: Set<F>;
}

/**
 * Waits for futures, and tells which are over. Running out of time is no error: what is over by then is told. Rejects with
 * `signal.reason` when aborted.
 *
 * Python: `concurrent.futures.wait`.
 * @throws {TypeError | RangeError} One of them is no future, or an option is wrong.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ProcessPoolExecutor, waitFutures } from 'manyhands';
 *
 * await using executor = new ProcessPoolExecutor(1);
 * const quick = executor.submit(() => 'done');
 * const slow = executor.submit(() => new Promise(resolve => setTimeout(resolve, 100)));
 * const { done, notDone } = await waitFutures([quick, slow], { returnWhen: 'first' });
 * assert.deepEqual([done.has(quick), notDone.has(slow)], [true, true]);
 * ```
 */
export async function waitFutures<R, F extends AsyncResult<R> = AsyncResult<R>>(
  futures: Iterable<F>,
  { returnWhen = 'all', ...options }: WaitFuturesOptions = {},
): Promise<WaitedFutures<F>> {
  const isEnough = RULES.get(returnWhen);
  if (!isEnough)
    throw new RangeError(
      `Cannot wait until ${String(returnWhen)}: give 'all', 'first' or 'firstError' as "returnWhen"`,
    );
  const all = distinct(futures);
  const pending = [...all].filter(future => !future.ready());
  let left = pending.length;
  const enough = new Completion<void>();
  const look = (future: F) => {
    if (left === 0 || isEnough(future)) enough.complete();
  };
  for (const future of all) if (future.ready()) look(future);
  if (left === 0) enough.complete();
  const forget = pending.map(future =>
    future.watch(() => {
      left--;
      look(future);
    }),
  );
  try {
    await enough.wait(options);
  } finally {
    for (const stop of forget) stop();
  }
  const done = new Set<F>();
  const notDone = new Set<F>();
  for (const future of all) (future.ready() ? done : notDone).add(future);
  return { done, notDone };
}

/** Has one that is over decided that there is no more to wait for? */
const RULES = new Map<unknown, (future: AsyncResult<unknown>) => boolean>([
  ['all', () => false],
  ['first', () => true],
  ['firstError', future => !future.successful() && !wasCancelled(future)],
]);

function wasCancelled(future: AsyncResult<unknown>): boolean {
  if (future instanceof Future) return future.cancelled();
  const { outcome } = future;
  return outcome !== undefined && 'error' in outcome && outcome.error instanceof CancelledError;
}
