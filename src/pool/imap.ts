import { TimeoutError } from '../errors/errors.js';
import { type Abortable, unwatchAbort, watchAbort } from '../wait/abort.js';
import { atDeadline } from '../wait/deadlines.js';
import { checkWait, type WaitOptions } from '../wait/options.js';
import { type Batch, type ChunkRunner, Feed, type FeedOwner } from './feed.js';
import type { Items } from './intake.js';
import type { MapOptions } from './map.js';
import { checkCount } from './options.js';

/** Results as they come. After an error in the place of one, next() goes on with the following. */
export interface MappedIterator<R> extends AsyncIterableIterator<R>, AsyncDisposable {
  /**
   * The next result; calls that overlap are served in their order. Rejects with what the call threw in the place of its result; with
   * `signal.reason` when aborted, and then the result is not lost.
   * @throws {TimeoutError} The next result was not there when `timeout` ms had passed; it is not lost.
   */
  next(options?: WaitOptions): Promise<IteratorResult<R>>;
  /**
   * Ends the iteration: what waits is called off, what runs is left to end, results that nobody has taken are dropped. Settles with what the
   * iterator of the items does when it is told so; that is not waited for if it is being asked for an item just now.
   */
  return(): Promise<IteratorResult<R>>;
  /** {@link MappedIterator.return | return()} that rejects with `error`. */
  throw(error: unknown): Promise<IteratorResult<R>>;
  /** The same as {@link return | return()}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of {@link Pool.imap} and {@link Pool.imapUnordered}. */
export type BufferedMapOptions = MapOptions & {
  /** Items that have been taken and whose results have not, at most. Default: four chunks a worker. */
  buffer?: number;
};

/** Results in the order of their items. @throws {TypeError | RangeError} */
export function mapInOrder<R>(
  runner: ChunkRunner,
  items: Items,
  options: BufferedMapOptions,
): MappedIterator<R> {
  return new Mapped<R>(runner, items, options, true);
}

/** Each result as soon as it is there. @throws {TypeError | RangeError} */
export function mapUnordered<R>(
  runner: ChunkRunner,
  items: Items,
  options: BufferedMapOptions,
): MappedIterator<R> {
  return new Mapped<R>(runner, items, options, false);
}

/** So many batches that have been passed keep their places at most. */
const MOST_PASSED = 1024;

class Mapped<R> implements MappedIterator<R>, FeedOwner {
  readonly #feed: Feed;
  readonly #ordered: boolean;
  readonly #buffer: number;
  readonly #chunksize: number;
  /** In the order in which they are to be taken: all batches that were given, when ordered; else those that are over. */
  readonly #batches: (Batch | undefined)[] = [];
  /** How many at its beginning have been passed. */
  #passed = 0;
  /** How many of the first one's results have been taken. */
  #taken = 0;
  #delivered = 0;
  /** Those who wait in next(), the first first. */
  readonly #waiters = new Set<Waiter<R>>();
  #ending: Promise<void> | undefined;
  #hasToldFailure = false;

  constructor(runner: ChunkRunner, items: Items, options: BufferedMapOptions, ordered: boolean) {
    const { chunksize = 1, buffer = runner.size * 4 * chunksize } = options;
    checkCount('buffer', buffer);
    this.#buffer = buffer;
    this.#chunksize = Math.min(chunksize, buffer);
    this.#ordered = ordered;
    this.#feed = new Feed(runner, items, { ...options, chunksize }, this, false);
    this.#feed.start();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(options?: WaitOptions): Promise<IteratorResult<R>> {
    try {
      if (options) checkWait(options);
      if (this.#waiters.size === 0 && this.#isNextThere) return Promise.resolve(this.#step());
    } catch (error) {
      return Promise.reject(error);
    }
    if (options?.timeout === 0) return Promise.reject(tooLate(0));
    return new Promise((resolve, reject) => {
      this.#waiters.add(new Waiter(resolve, reject, options, this.#waiters));
    });
  }

  /** Is there an answer for who asks for the next result? */
  get #isNextThere(): boolean {
    const batch = this.#batches[this.#passed];
    return batch ? batch.values !== undefined : this.#feed.isOver || this.#ending !== undefined;
  }

  /** That answer. Throws what is in the place of the result. */
  #step(): IteratorResult<R> {
    const batch = this.#batches[this.#passed];
    if (!batch) {
      const { failure } = this.#feed;
      if (failure && !this.#ending && !this.#hasToldFailure) {
        this.#hasToldFailure = true;
        throw failure.error;
      }
      return { done: true, value: undefined };
    }
    const index = this.#taken++;
    const { values = [], errors } = batch;
    if (this.#taken === batch.length) {
      this.#pass();
      this.#taken = 0;
    }
    this.#delivered++;
    this.#feed.look();
    if (errors?.has(index)) throw errors.get(index);
    return { done: false, value: values[index] as R };
  }

  /** To take each off the beginning at once would move all of many thousands, as an executor's map may have. */
  #pass(): void {
    this.#batches[this.#passed++] = undefined;
    if (this.#passed < MOST_PASSED && this.#passed < this.#batches.length) return;
    this.#batches.splice(0, this.#passed);
    this.#passed = 0;
  }

  /** Serves those who wait, as far as that goes. */
  #serve(): void {
    for (const waiter of this.#waiters) {
      if (!this.#isNextThere) return;
      waiter.leave();
      try {
        waiter.resolve(this.#step());
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  return(): Promise<IteratorResult<R>> {
    if (!this.#ending) {
      this.#batches.length = 0;
      this.#passed = 0;
      this.#ending = this.#feed.stop(chunk => chunk.withdraw());
      this.#serve();
    }
    return this.#ending.then(() => ({ done: true, value: undefined }));
  }

  async throw(error: unknown): Promise<IteratorResult<R>> {
    await this.return();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  // ── told by the feed ──

  wanted(): number {
    const free = this.#buffer - (this.#feed.given - this.#delivered);
    return free >= this.#chunksize ? this.#chunksize : 0;
  }

  given(batch: Batch): void {
    if (this.#ordered) this.#batches.push(batch);
  }

  settled(batch: Batch): void {
    if (this.#ending) return;
    if (!this.#ordered) this.#batches.push(batch);
    this.#serve();
  }

  over(): void {
    this.#serve();
  }
}

/** Somebody who waits for a result. */
class Waiter<R> implements Abortable {
  readonly #cancelTimer: (() => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #all: Set<Waiter<R>>;

  constructor(
    readonly resolve: (step: IteratorResult<R>) => void,
    readonly reject: (error: unknown) => void,
    options: WaitOptions | undefined,
    all: Set<Waiter<R>>,
  ) {
    this.#all = all;
    if (!options) return;
    const { timeout, signal } = options;
    if (timeout !== undefined && timeout !== Number.POSITIVE_INFINITY)
      this.#cancelTimer = atDeadline(performance.now() + timeout, () => this.abort(tooLate(timeout)), true);
    this.#signal = signal;
    if (signal) watchAbort(signal, this);
  }

  abort(reason: unknown): void {
    this.leave();
    this.reject(reason);
  }

  leave(): void {
    this.#all.delete(this);
    this.#cancelTimer?.();
    if (this.#signal) unwatchAbort(this.#signal, this);
  }
}

function tooLate(timeout: number): TimeoutError {
  return new TimeoutError(`Cannot give the next result within ${timeout} ms: allow more time`);
}
