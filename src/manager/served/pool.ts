import type { BufferedMapOptions } from '../../pool/imap.js';
import type { MapOptions } from '../../pool/map.js';
import type { PoolOptions, PoolStats, TaskOptions } from '../../pool/options.js';
import { Pool } from '../../pool/pool.js';
import type { Target } from '../../process/target.js';
import type { WaitOptions } from '../../wait/options.js';
import { currentCall } from '../call.js';

type Work = Target<any, any>;

/** The pool of a manager: its workers are those of the server, and what one of them runs ends with the call that asked for it. */
export class ServedPool implements AsyncDisposable {
  readonly #pool: Pool;

  constructor(size?: number | PoolOptions, options?: PoolOptions) {
    this.#pool = new Pool(size, options);
  }

  run(fn: Work, args: readonly unknown[] = [], options?: TaskOptions): Promise<unknown> {
    return this.#pool.run(fn, args, called(options));
  }

  map(fn: Work, items: Iterable<unknown>, options?: MapOptions): Promise<unknown[]> {
    return this.#pool.map(fn, items, called(options));
  }

  starmap(fn: Work, items: Iterable<readonly unknown[]>, options?: MapOptions): Promise<unknown[]> {
    return this.#pool.starmap(fn, items, called(options));
  }

  imap(fn: Work, items: Iterable<unknown>, options?: BufferedMapOptions): AsyncIterableIterator<unknown> {
    return this.#pool.imap(fn, items, options);
  }

  imapUnordered(
    fn: Work,
    items: Iterable<unknown>,
    options?: BufferedMapOptions,
  ): AsyncIterableIterator<unknown> {
    return this.#pool.imapUnordered(fn, items, options);
  }

  broadcast(fn: Work, args: readonly unknown[] = [], options?: TaskOptions): Promise<unknown[]> {
    return this.#pool.broadcast(fn, args, called(options));
  }

  ready(options?: WaitOptions): Promise<void> {
    return this.#pool.ready(called(options));
  }

  room(options?: WaitOptions): Promise<void> {
    return this.#pool.room(called(options));
  }

  join(options?: WaitOptions): Promise<boolean> {
    return this.#pool.join(called(options));
  }

  resize(size: number): void {
    this.#pool.resize(size);
  }

  close(): void {
    this.#pool.close();
  }

  terminate(): Promise<void> {
    return this.#pool.terminate();
  }

  size(): number {
    return this.#pool.size;
  }

  stats(): PoolStats {
    return this.#pool.stats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.terminate();
  }
}

/** Options of one who gives up when the call does, or its client is gone. */
function called<O extends WaitOptions>(options: O | undefined): O {
  const signal = currentCall()?.signal;
  return { ...options, ...(signal ? { signal } : {}) } as O;
}
