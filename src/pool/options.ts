import type { Process } from '../process/process.js';
import { checkStartMethod } from '../process/start-method.js';
import { moduleUrl, portable, type Target } from '../process/target.js';
import type { Thread } from '../process/thread.js';
import { timeoutOf } from '../wait/options.js';
import { MOST_WORKERS } from './board.js';
import type { Context } from './context.js';
import { checkTransfer } from './transfer.js';

/** How many workers a pool has, of which kind, and how they live. */
export interface PoolOptions {
  /** Workers. Default: {@link cpuCount | cpuCount()}. */
  size?: number;
  /** 'process' (default) or 'thread'. */
  kind?: 'process' | 'thread';
  /** How its processes start. Default: that of {@link getContext | getContext()}. */
  context?: Context;
  /** Runs once in each new worker, before its first task. Its failure fails every task with its error. */
  initializer?: Target<any, any>;
  /** What the initializer is called with. */
  initargs?: readonly unknown[];
  /** Runs once in each worker before it ends of itself (close, recycling, resize), not when it is killed. */
  finalizer?: Target<[], any>;
  /** A worker is replaced after this many tasks. Replacement is spread out, never all workers at once. */
  maxTasksPerChild?: number;
  /** A worker is replaced when its memory passes this after a task, bytes: resident memory of a process, the heap of a thread. */
  maxMemoryPerChild?: number;
  /**
   * Tasks beyond so many outstanding ones wait before they count as given: `stats` does not see them, no worker is offered them, and
   * maps take no more items. `room()` waits until there is room. Default: no limit.
   */
  maxPending?: number;
  /** Modules that workers have imported before the initializer runs: URLs, paths from the working directory, names of packages. */
  preload?: readonly (string | URL)[];
}

/** What holds for one task. */
export interface TaskOptions {
  /** Milliseconds of running (waiting is not counted); past it the worker is killed and replaced and the task rejects with TimeoutError. */
  timeout?: number;
  /** Aborting removes a waiting task, and kills and replaces the worker of a running one. */
  signal?: AbortSignal;
  /** Lower runs first. Default 0. */
  priority?: number;
  /** Run again when its worker died (not when it threw). Default 0. */
  retries?: number;
  /** ArrayBuffers to move rather than copy: they are detached here once the task is given. */
  transfer?: readonly ArrayBuffer[];
}

/** What a pool has done and has to do, at one instant. */
export interface PoolStats {
  /** How many workers there are to be. */
  size: number;
  /** Tasks that run. */
  busy: number;
  /** Tasks that wait. */
  pending: number;
  /** Tasks whose function returned. */
  completed: number;
  /** Tasks that came to an error. */
  failed: number;
  /** Workers that were replaced as they had died: not those that retired. */
  restarts: number;
  /** How long tasks ran, ms. */
  taskTime: {
    /** The mean of all. */
    mean: number;
    /** The median of the latest thousand. */
    p50: number;
    /** Of the latest thousand, 99 % took no longer. */
    p99: number;
  };
}

/** What carries one of a pool's workers. */
export type Worker = Process | Thread;

const OPTIONS = {
  size: true,
  kind: true,
  context: true,
  initializer: true,
  initargs: true,
  finalizer: true,
  maxTasksPerChild: true,
  maxMemoryPerChild: true,
  maxPending: true,
  preload: true,
} satisfies Record<keyof PoolOptions, true>;

/** What the two arguments of a pool come to. @throws {RangeError | TypeError} */
export function poolOptions(size?: number | PoolOptions, more?: PoolOptions): PoolOptions {
  if (size !== undefined && typeof size !== 'number' && (typeof size !== 'object' || size === null))
    throw new TypeError(
      `Cannot make a pool of ${size === null ? 'null' : typeof size}: give a size, or options`,
    );
  if (more !== undefined && (typeof more !== 'object' || more === null))
    throw new TypeError(
      `Cannot use ${more === null ? 'null' : typeof more} as options of a pool: give an object`,
    );
  const options = {
    ...(typeof size === 'object' ? size : { ...(size === undefined ? {} : { size }) }),
    ...more,
  };
  checkOptions(options);
  return options;
}

function checkOptions(options: PoolOptions): void {
  for (const name of Object.keys(options))
    if (!Object.hasOwn(OPTIONS, name))
      throw new TypeError(
        `Cannot use option "${name}" for a pool: it takes ${Object.keys(OPTIONS).join(', ')}`,
      );
  const { size, kind, context, initializer, initargs, finalizer, maxMemoryPerChild, preload } = options;
  if (size !== undefined) checkSize(size);
  if (kind !== undefined && kind !== 'process' && kind !== 'thread')
    throw new RangeError(`Cannot make a pool of kind ${String(kind)}: give 'process' or 'thread'`);
  if (context !== undefined) checkContext(context);
  if (initializer !== undefined) portable(initializer);
  if (finalizer !== undefined) portable(finalizer);
  if (initargs !== undefined && !Array.isArray(initargs))
    throw new TypeError(`Cannot use ${typeof initargs} as "initargs": give an array`);
  checkCount('maxTasksPerChild', options.maxTasksPerChild);
  checkCount('maxPending', options.maxPending);
  if (maxMemoryPerChild !== undefined && !(typeof maxMemoryPerChild === 'number' && maxMemoryPerChild > 0))
    throw new RangeError(`Cannot use ${String(maxMemoryPerChild)} as "maxMemoryPerChild": give bytes`);
  if (preload !== undefined) checkPreload(preload);
}

export function checkSize(size: number): void {
  if (!(Number.isInteger(size) && size >= 1 && size <= MOST_WORKERS))
    throw new RangeError(
      `Cannot make a pool of ${String(size)} workers: give a whole number from 1 to ${MOST_WORKERS}`,
    );
}

function checkContext(context: unknown): void {
  if (typeof context !== 'object' || context === null)
    throw new TypeError('Cannot use that as "context": give what getContext() returns');
  checkStartMethod((context as Context).method);
}

function checkPreload(preload: readonly (string | URL)[]): void {
  if (
    !Array.isArray(preload) ||
    !preload.every(module => typeof module === 'string' || module instanceof URL)
  )
    throw new TypeError('Cannot preload that: give an array of paths, URLs or names of packages');
  for (const module of preload) moduleUrl(module);
}

/** @throws {RangeError | TypeError} */
export function checkTaskOptions(options: TaskOptions): void {
  const { timeout, retries, priority, signal, transfer } = options;
  if (timeout !== undefined) timeoutOf(options);
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0))
    throw new RangeError(`Cannot use ${String(retries)} as "retries": give a whole number, 0 or more`);
  if (priority !== undefined && (typeof priority !== 'number' || Number.isNaN(priority)))
    throw new RangeError(`Cannot use ${String(priority)} as "priority": give a number`);
  if (signal !== undefined && typeof signal?.addEventListener !== 'function')
    throw new TypeError('Cannot use that as "signal": give an AbortSignal');
  if (transfer !== undefined) checkTransfer(transfer);
}

/** A whole number from 1 on, if it is given at all. @throws {RangeError} */
export function checkCount(name: string, value: number | undefined): void {
  if (value !== undefined && !((Number.isInteger(value) || value === Number.POSITIVE_INFINITY) && value >= 1))
    throw new RangeError(`Cannot use ${String(value)} as "${name}": give a whole number, 1 or more`);
}
