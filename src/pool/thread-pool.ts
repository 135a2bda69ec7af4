import { type PoolOptions, poolOptions } from './options.js';
import { Pool } from './pool.js';

/**
 * A Pool whose workers are threads of this process.
 *
 * Python: `multiprocessing.pool.ThreadPool`. Here each thread has its own heap, as Python's interpreters of `InterpreterPoolExecutor`
 * have: values cross as copies, and all threads compute at the same time.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ThreadPool } from 'manyhands';
 *
 * await using pool = new ThreadPool(1);
 * assert.deepEqual(await pool.map(() => process.pid, [1, 2]), [process.pid, process.pid]);
 * ```
 */
export class ThreadPool extends Pool {
  /** @throws {RangeError | TypeError} An option is wrong, or `kind` is 'process'. */
  constructor(size?: number | PoolOptions, options?: PoolOptions) {
    super(ofThreads('ThreadPool', poolOptions(size, options)));
  }
}

/** The same options, for threads. @throws {RangeError} They are for processes. */
export function ofThreads(name: string, options: PoolOptions): PoolOptions {
  if (options.kind === 'process')
    throw new RangeError(`Cannot make a ${name} of processes: leave "kind" out, or use another class`);
  return { ...options, kind: 'thread' };
}
