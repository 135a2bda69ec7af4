import { registerRefusal } from '../codec/handles.js';
import { LifecycleError } from '../errors/errors.js';
import type { Target } from '../process/target.js';
import { timeoutOf } from '../wait/options.js';
import type { Blow } from './carriers.js';
import { ExecutorMap } from './executor-map.js';
import { Future } from './future.js';
import type { Items } from './intake.js';
import type { MapOptions } from './map.js';
import { checkCount, type PoolOptions, poolOptions } from './options.js';
import { Pool, staysHere } from './pool.js';
import { ofThreads } from './thread-pool.js';

/** Options of an executor: those of a {@link Pool}, and `maxWorkers`. */
export interface ExecutorOptions extends PoolOptions {
  /** The same as `size`, by Python's name. Default: {@link cpuCount | cpuCount()}. */
  maxWorkers?: number;
}

/** Options of {@link ProcessPoolExecutor.map}. */
export interface ExecutorMapOptions extends Omit<MapOptions, 'timeout'> {
  /** Milliseconds from the call of map() within which all results are to be there. Tasks that run are not ended by that. */
  timeout?: number;
  /** Tasks whose results have not been taken, at most: so many chunks of items are taken ahead. Default: all. */
  buffersize?: number;
}

/** Options of {@link ProcessPoolExecutor.shutdown}. */
export interface ShutdownOptions {
  /** Wait until the workers have ended? Default true. */
  wait?: boolean;
  /** Call off what waits? Default false. */
  cancelFutures?: boolean;
}

/**
 * Runs functions in worker processes, each call as a Future.
 *
 * Order: tasks start in the order in which they were given.
 * Life: workers start with the executor. One that was never shut down does not keep the program alive once its futures are over.
 *
 * Python: `concurrent.futures.ProcessPoolExecutor`, which breaks for good when a worker dies. Here only the future that it ran rejects,
 * with WorkerDiedError, and another worker takes its place.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { asCompleted, ProcessPoolExecutor } from 'manyhands';
 *
 * await using executor = new ProcessPoolExecutor(2);
 * const futures = ['a', 'b', 'c'].map(letter => executor.submit((s: string) => s.toUpperCase(), letter));
 * const letters = [];
 * for await (const future of asCompleted(futures)) letters.push(await future.result());
 * assert.deepEqual(letters.sort(), ['A', 'B', 'C']);
 * ```
 */
export class ProcessPoolExecutor implements AsyncDisposable {
  /** What its workers are. */
  readonly kind: 'process' | 'thread';
  readonly #pool: Pool;
  #isShutDown = false;

  /**
   * @throws {RangeError | TypeError} An option is wrong, or none that there is.
   * @throws {SerializationError} Initializer, its arguments or finalizer cannot cross.
   */
  constructor(options?: number | ExecutorOptions) {
    const chosen = executorOptions(options);
    this.kind = chosen.kind ?? 'process';
    this.#pool = new Pool(chosen);
  }

  /**
   * Calls `fn(...args)` in a worker. Arguments are copied at once; a function crosses once for each worker, with what it captures as
   * it was at its first task. The future rejects with what the function threw, WorkerDiedError when the worker ended under it,
   * SerializationError when something cannot cross, the error of the initializer when there can be no workers.
   * @throws {LifecycleError} The executor was shut down.
   */
  submit<A extends readonly unknown[], R>(fn: (...args: A) => R, ...args: A): Future<Awaited<R>>;
  /** Calls what a module exports, or a function. */
  submit<A extends readonly unknown[], R>(fn: Target<A, R>, ...args: A): Future<Awaited<R>>;
  submit(fn: unknown, ...args: readonly unknown[]): Future<any> {
    this.#checkOpen();
    const future = Future.pending<Future<unknown>>();
    this.#pool.submitInto(future, fn, args, undefined, this.submit);
    return future;
  }

  /**
   * Calls `fn` with each item, and gives the results in order. All items are taken, and given to the workers, in this call, or
   * `buffersize` chunks of them ahead of who takes the results: endless input needs that. An error comes in the place of its result
   * and ends the iteration; as does TimeoutError, for a result that is not there `timeout` ms after this call. When it has ended,
   * or is left early, what waits is called off.
   * @throws {LifecycleError} The executor was shut down.
   * @throws {RangeError | TypeError} An option is wrong.
   */
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ExecutorMapOptions,
  ): AsyncIterableIterator<Awaited<R>>;
  map<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ExecutorMapOptions,
  ): AsyncIterableIterator<Awaited<R>>;
  map(
    fn: Target<[unknown], unknown>,
    items: Items,
    { timeout, buffersize, ...options }: ExecutorMapOptions = {},
  ): AsyncIterableIterator<any> {
    this.#checkOpen();
    timeoutOf({ timeout });
    checkCount('buffersize', buffersize);
    checkCount('chunksize', options.chunksize);
    const buffer = (buffersize ?? Number.POSITIVE_INFINITY) * (options.chunksize ?? 1);
    return new ExecutorMap(this.#pool.imap(fn, items, { ...options, buffer }), timeout);
  }

  /**
   * Takes no more tasks; workers end when all that were given are over. Resolves when they have ended; at once with `wait: false`,
   * and the program still does not end before them. With `cancelFutures`, futures that no worker has begun are cancelled.
   */
  async shutdown({ wait = true, cancelFutures = false }: ShutdownOptions = {}): Promise<void> {
    this.#isShutDown = true;
    this.#pool.close();
    if (cancelFutures) this.#pool.withdrawAll();
    const ended = this.#pool.join();
    if (wait) await ended;
  }

  /**
   * Shuts it down, cancels futures that no worker has begun, and sends SIGTERM to the workers; threads are terminated. Futures that
   * run reject with WorkerDiedError. Resolves when the workers have ended: one that listens to SIGTERM ends after its task.
   */
  terminateWorkers(): Promise<void> {
    return this.#end('terminate');
  }

  /** {@link terminateWorkers | terminateWorkers()} by SIGKILL, which nothing withstands. */
  killWorkers(): Promise<void> {
    return this.#end('kill');
  }

  async #end(blow: Blow): Promise<void> {
    this.#isShutDown = true;
    await this.#pool.end(blow);
  }

  /** As leaving Python's `with`: shutdown(), which lets all tasks finish. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  #checkOpen(): void {
    if (this.#isShutDown)
      throw new LifecycleError('Cannot run a task as the executor was shut down: make a new one');
  }
}

/**
 * A {@link ProcessPoolExecutor} with threads of this process for workers.
 *
 * Python: `concurrent.futures.ThreadPoolExecutor`, whose threads share all objects. Here each has its own heap: nearer to it is
 * `InterpreterPoolExecutor`.
 */
export class ThreadPoolExecutor extends ProcessPoolExecutor {
  declare readonly kind: 'thread';

  /** @throws {RangeError | TypeError} An option is wrong, or `kind` is 'process'. */
  constructor(options?: number | ExecutorOptions) {
    super(ofThreads('ThreadPoolExecutor', executorOptions(options)));
  }
}

registerRefusal(ProcessPoolExecutor, staysHere);

/** @throws {RangeError | TypeError} */
function executorOptions(options: number | ExecutorOptions | undefined): PoolOptions {
  if (typeof options !== 'object' || options === null) return poolOptions(options);
  const { maxWorkers, ...rest } = options;
  if (maxWorkers === undefined) return poolOptions(rest);
  if (rest.size !== undefined && rest.size !== maxWorkers)
    throw new RangeError(
      `Cannot have ${maxWorkers} as "maxWorkers" and ${rest.size} as "size", which are the same: give one of them`,
    );
  return poolOptions({ ...rest, size: maxWorkers });
}
