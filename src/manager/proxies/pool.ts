import type { BufferedMapOptions } from '../../pool/imap.js';
import type { MapOptions } from '../../pool/map.js';
import type { PoolStats, TaskOptions } from '../../pool/options.js';
import type { Callbacks } from '../../pool/pool.js';
import type { Target } from '../../process/target.js';
import type { WaitOptions } from '../../wait/options.js';
import { RemoteObject } from '../remote-object.js';
import { signalOf, timeOf } from './waits.js';

/**
 * A pool whose workers are the server's: for all who have a proxy of it, on whatever machine.
 *
 * Functions, arguments and results go through the server. Who gives up a task, by `signal` or because its connection ends, calls it
 * off: a running one ends with its worker, which is replaced. All items of a map cross before it begins; `onProgress`
 * and `transfer` are refused. When the last proxy is gone the pool is terminated.
 *
 * Python: `SyncManager.Pool`.
 */
export class PoolProxy extends RemoteObject {
  /** Calls `fn(...args)` in a worker. It rejects as Pool.run() does. */
  run<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args?: A,
    options?: TaskOptions,
  ): Promise<Awaited<R>> {
    return this.#give('run', fn, args ?? [], options);
  }

  /** {@link run | run()} without options, by Python's name. */
  apply<A extends readonly unknown[], R>(fn: Target<A, R>, args?: A): Promise<Awaited<R>> {
    return this.run(fn, args);
  }

  /** {@link run | run()} with callbacks, which run here. */
  applyAsync<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args?: A,
    options: TaskOptions & Callbacks<Awaited<R>> = {},
  ): Promise<Awaited<R>> {
    const { callback, errorCallback, ...rest } = options;
    return calling(this.run(fn, args, rest), callback, errorCallback);
  }

  /** Calls `fn` with each item, in chunks, and gives the results in order. */
  map<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions,
  ): Promise<Awaited<R>[]> {
    return this.#map('map', fn, items, options);
  }

  /** {@link map | map()} with callbacks, which run here. */
  mapAsync<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options: MapOptions & Callbacks<Awaited<R>[]> = {},
  ): Promise<Awaited<R>[]> {
    const { callback, errorCallback, ...rest } = options;
    return calling(this.map(fn, items, rest), callback, errorCallback);
  }

  /** Calls `fn(...item)` for each item. */
  starmap<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    items: Iterable<A> | AsyncIterable<A>,
    options?: MapOptions,
  ): Promise<Awaited<R>[]> {
    return this.#map('starmap', fn, items, options);
  }

  /** {@link starmap | starmap()} with callbacks, which run here. */
  starmapAsync<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    items: Iterable<A> | AsyncIterable<A>,
    options: MapOptions & Callbacks<Awaited<R>[]> = {},
  ): Promise<Awaited<R>[]> {
    const { callback, errorCallback, ...rest } = options;
    return calling(this.starmap(fn, items, rest), callback, errorCallback);
  }

  /** The results of `fn` for each item in order, as they come, fetched as they are taken. */
  imap<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): Promise<AsyncIterableIterator<Awaited<R>>> {
    return this.#map('imap', fn, items, options);
  }

  /** {@link imap | imap()}, each result as soon as it is there. */
  imapUnordered<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): Promise<AsyncIterableIterator<Awaited<R>>> {
    return this.#map('imapUnordered', fn, items, options);
  }

  /** Calls `fn(...args)` once on each worker; results by worker. */
  broadcast<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args?: A,
    options?: TaskOptions,
  ): Promise<Awaited<R>[]> {
    return this.#give('broadcast', fn, args ?? [], options);
  }

  /** Resolves when every worker is up and initialised. */
  ready(options?: WaitOptions): Promise<void> {
    return this.call('ready', timeOf(options), signalOf(options));
  }

  /** Resolves when one more task would not have to wait for others to end, as `maxPending` has it. */
  room(options?: WaitOptions): Promise<void> {
    return this.call('room', timeOf(options), signalOf(options));
  }

  /** Has so many workers from now on: see {@link Pool.resize}. */
  resize(size: number): Promise<void> {
    return this.call('resize', [size]);
  }

  /** How many workers there are to be. */
  size(): Promise<number> {
    return this.call('size');
  }

  /** What it has done and has to do. Stale as soon as it is told. */
  stats(): Promise<PoolStats> {
    return this.call('stats');
  }

  /** No more tasks. */
  close(): Promise<void> {
    return this.call('close');
  }

  /** Ends the workers now. Outstanding tasks reject with CancelledError. */
  terminate(): Promise<void> {
    return this.call('terminate');
  }

  /** Waits until the workers have ended. False: `timeout` ms had passed first. @throws {LifecycleError} It is open. */
  join(options?: WaitOptions): Promise<boolean> {
    return this.call('join', timeOf(options), signalOf(options));
  }

  async #map(
    method: string,
    fn: unknown,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options?: MapOptions,
  ): Promise<any> {
    const all: unknown[] = [];
    for await (const item of items) all.push(item);
    return this.#give(method, fn, all, options);
  }

  async #give(
    method: string,
    fn: unknown,
    given: readonly unknown[],
    options: MapOptions = {},
  ): Promise<any> {
    const { signal, onProgress, transfer, ...rest } = options;
    if (onProgress !== undefined || transfer !== undefined)
      throw new TypeError(
        `Cannot use "${transfer ? 'transfer' : 'onProgress'}" with a manager's pool as the task is given by its server: leave it out, or make a Pool here`,
      );
    return this.call(method, [fn, given, rest], signalOf({ signal }));
  }
}

/** Has callbacks called with what a task comes to. */
function calling<R>(
  result: Promise<R>,
  callback: ((value: R) => void) | undefined,
  errorCallback: ((error: unknown) => void) | undefined,
): Promise<R> {
  // In a microtask of their own: what they throw is theirs.
  result.then(
    value => callback && queueMicrotask(() => callback(value)),
    error => errorCallback && queueMicrotask(() => errorCallback(error)),
  );
  if (!errorCallback) return result;
  result.catch(() => {}); // somebody has been told
  return result;
}
