import { AsyncResult } from './async-result.js';
import { ChunkSizes } from './chunk-sizes.js';
import { type Batch, type ChunkRunner, Feed, type FeedOwner } from './feed.js';
import type { Items } from './intake.js';
import { checkCount, checkTaskOptions, type TaskOptions } from './options.js';

/** How far a map is. */
export interface MapProgress {
  /** Items whose call is over. */
  done: number;
  /** Of these, items whose call failed. */
  failed: number;
  /** All items; undefined: that is not known yet. */
  total: number | undefined;
  /** Milliseconds since the map was given. */
  elapsed: number;
  /** Items a second, of the last seconds. */
  rate: number;
  /** Milliseconds until all are done, if it goes on like that; undefined: `total` is not known. */
  eta: number | undefined;
}

/** Options of {@link Pool.map} and its kin. */
export interface MapOptions extends TaskOptions {
  /**
   * Items a task. Default of map() and starmap(): chosen from the measured cost of an item, so that a task takes a few milliseconds; with
   * `timeout`, 1. Default of imap() and imapUnordered(): 1.
   */
  chunksize?: number;
  /**
   * Called here whenever a chunk is over, and once all are, with `done` equal to `total`. What it throws is an uncaught exception, and the map
   * goes on.
   */
  onProgress?: (progress: MapProgress) => void;
}

/** @throws {RangeError | TypeError} */
export function checkMapOptions(options: MapOptions): void {
  checkTaskOptions(options);
  checkCount('chunksize', options.chunksize);
  const { onProgress } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new TypeError(`Cannot use ${typeof onProgress} as "onProgress": give a function`);
}

/** All results in the order of the items. @throws {TypeError} `items` cannot be iterated. */
export function mapAll(runner: ChunkRunner, items: Items, options: MapOptions): AsyncResult<unknown[]> {
  return new WholeMap(runner, items, options).result;
}

class WholeMap implements FeedOwner {
  readonly result = AsyncResult.pending<AsyncResult<unknown[]>>();
  readonly #runner: ChunkRunner;
  readonly #feed: Feed;
  readonly #sizes: ChunkSizes;
  readonly #signal: AbortSignal | undefined;
  #first: Batch | undefined;
  /** Results, by batch. */
  readonly #values: unknown[][] = [];
  /** The first error in the order of items. */
  #failure: { readonly item: number; readonly error: unknown } | undefined;
  /** Why it was called off. */
  #stopped: { readonly reason: unknown } | undefined;

  constructor(runner: ChunkRunner, items: Items, options: MapOptions) {
    this.#runner = runner;
    this.#signal = options.signal;
    // A time-out is each item's.
    this.#sizes = new ChunkSizes(options.chunksize ?? (options.timeout === undefined ? undefined : 1));
    this.#feed = new Feed(runner, items, options, this, true);
    this.result.setSource(this);
    this.#feed.start();
  }

  wanted(): number {
    const { total, given, underWay } = this.#feed;
    const workers = this.#runner.size;
    if (underWay.size >= this.#sizes.ahead(workers)) return 0;
    return this.#sizes.next(total === undefined ? undefined : total - given, workers);
  }

  given(batch: Batch): void {
    this.#first ??= batch;
    this.#sizes.given(batch.length, batch.bytes);
  }

  settled(batch: Batch): void {
    const { duration } = batch.result;
    if (duration !== undefined) this.#sizes.over(batch.length, duration);
    if (batch.errors) this.#fail(batch, batch.errors);
    if (!this.#failure) this.#values[batch.number] = batch.values as unknown[];
  }

  #fail({ start }: Batch, errors: ReadonlyMap<number, unknown>): void {
    for (const [index, error] of errors)
      if (!this.#failure || start + index < this.#failure.item)
        this.#failure = { item: start + index, error };
    this.#values.length = 0;
  }

  over(): void {
    const failure = this.#failure ?? this.#feed.failure;
    if (this.#stopped) this.result.fail(this.#stopped.reason);
    else if (failure && this.#signal?.aborted) this.result.fail(this.#signal.reason);
    else if (failure) this.result.fail(failure.error);
    else this.result.give(join(this.#values));
  }

  // ── called off, as the source of its result ──

  cancel(reason: unknown): boolean {
    return this.#stop(reason, chunk => chunk.cancel());
  }

  /** False: some of it runs, or has run. */
  withdraw(reason: unknown): boolean {
    if (this.#first && !this.#first.result.withdraw()) return false;
    return this.#stop(reason, chunk => chunk.withdraw());
  }

  isRunning(): boolean {
    for (const { result } of this.#feed.underWay) if (result.isRunning()) return true;
    return false;
  }

  #stop(reason: unknown, callOff: (chunk: AsyncResult<unknown>) => void): boolean {
    if (this.#stopped || this.#feed.isOver) return false;
    this.#stopped = { reason };
    this.#feed.stop(callOff).catch(() => {}); // of two errors, the reason is the one that counts
    return true;
  }
}

/** How many arrays concat() may be given: more arguments than that do not fit on the stack some day. */
const MOST_ARGUMENTS = 4096;

/** All that is in them: at once, as far as that goes, which takes a fifth of the time. */
function join(arrays: unknown[][]): unknown[] {
  const [first = []] = arrays;
  if (arrays.length <= 1) return first;
  if (arrays.length <= MOST_ARGUMENTS) return first.concat(...arrays.slice(1));
  const all: unknown[] = [];
  for (const array of arrays) for (const value of array) all.push(value);
  return all;
}
