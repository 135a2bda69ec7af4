import { TimeoutError } from '../errors/errors.js';
import { Completion } from '../wait/completion.js';
import type { WaitOptions } from '../wait/options.js';
import type { AsyncResult } from './async-result.js';
import { Partly } from './chunk.js';
import type { ChunkRunner, MapOptions } from './map.js';
import { checkCount } from './options.js';

/** Results as they come. After an error in the place of one, next() goes on with the following. */
export interface MappedIterator<R> extends AsyncIterableIterator<R> {
  /** @throws {TimeoutError} The next result was not there when `timeout` ms had passed; it is not lost. */
  next(options?: WaitOptions): Promise<IteratorResult<R>>;
}

export type BufferedMapOptions = MapOptions & {
  /** Items whose results are not taken yet, at most. */
  buffer?: number;
};

/** Where the items come from and where they go. */
interface MapSource {
  readonly items: Iterable<unknown> | AsyncIterable<unknown>;
  readonly chunksize: number;
  /** Chunks that may be outstanding or untaken at a time. */
  readonly chunks: number;
  submit(chunk: unknown[]): AsyncResult<unknown[] | Partly>;
}

/** Results in the order of their items. */
export function mapInOrder<R>(
  runner: ChunkRunner,
  items: Iterable<unknown> | AsyncIterable<unknown>,
  options: BufferedMapOptions,
): MappedIterator<R> {
  return new Mapped<R>(sourceOf(runner, items, options), true);
}

/** Each result as soon as it is there. */
export function mapUnordered<R>(
  runner: ChunkRunner,
  items: Iterable<unknown> | AsyncIterable<unknown>,
  options: BufferedMapOptions,
): MappedIterator<R> {
  return new Mapped<R>(sourceOf(runner, items, options), false);
}

function sourceOf(
  runner: ChunkRunner,
  items: Iterable<unknown> | AsyncIterable<unknown>,
  { chunksize = 1, buffer = runner.size * 4 * chunksize }: BufferedMapOptions,
): MapSource {
  checkCount('buffer', buffer);
  const chunks = Math.max(1, Math.floor(buffer / chunksize));
  return { items, chunksize, chunks, submit: chunk => runner.submit(chunk) };
}

/** What became of a chunk. */
type Settled = { values: unknown[] } | { error: unknown };
type Place = { settled: Settled | undefined };

class Mapped<R> implements MappedIterator<R> {
  readonly #source: MapSource;
  readonly #ordered: boolean;
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #async: boolean;
  /** Chunks given out and not taken yet; when ordered, in that order; else only settled ones, as they settled. */
  readonly #places: Place[] = [];
  readonly #running = new Set<AsyncResult<unknown[] | Partly>>();
  /** Results of the chunk that is being taken. */
  #values: unknown[] = [];
  #given = 0;
  #exhausted = false;
  #feeding = false;
  #stopped = false;
  /** Something has changed for who waits in next(). */
  #news = new Completion<void>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(source: MapSource, ordered: boolean) {
    this.#source = source;
    this.#ordered = ordered;
    const { items } = source;
    this.#async = Symbol.asyncIterator in items;
    this.#iterator =
      Symbol.asyncIterator in items
        ? items[Symbol.asyncIterator]()
        : (items as Iterable<unknown>)[Symbol.iterator]();
    void this.#feed();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Calls that overlap are served in their order. */
  next(options?: WaitOptions): Promise<IteratorResult<R>> {
    const result = this.#turn.then(() => this.#next(options));
    this.#turn = result.catch(() => {});
    return result;
  }

  async #next(options?: WaitOptions): Promise<IteratorResult<R>> {
    for (;;) {
      if (this.#values.length > 0) return { done: false, value: this.#values.shift() as R };
      const place = this.#places[0];
      if (place?.settled) {
        this.#places.shift();
        this.#given--;
        void this.#feed();
        if ('error' in place.settled) throw place.settled.error;
        this.#values = place.settled.values;
        continue;
      }
      if (this.#stopped || (this.#exhausted && this.#given === 0)) return { done: true, value: undefined };
      if (!(await this.#news.wait(options)))
        throw new TimeoutError(`Cannot give the next result within ${options?.timeout} ms: allow more time`);
    }
  }

  /** Ends the iteration: what waits is called off, what runs is left to end. */
  async return(): Promise<IteratorResult<R>> {
    this.#stopped = true;
    this.#values = [];
    this.#places.length = 0;
    for (const chunk of this.#running) {
      chunk.catch(() => {});
      chunk.withdraw();
    }
    this.#tell();
    const wasExhausted = this.#exhausted;
    this.#exhausted = true;
    if (!wasExhausted) await this.#iterator.return?.();
    return { done: true, value: undefined };
  }

  /** Gives out chunks while there is room. */
  async #feed(): Promise<void> {
    if (this.#feeding) return;
    this.#feeding = true;
    while (!this.#exhausted && !this.#stopped && this.#given < this.#source.chunks) {
      const chunk: unknown[] = [];
      try {
        while (chunk.length < this.#source.chunksize) {
          const step = this.#iterator.next();
          const { done, value } = this.#async ? await step : (step as IteratorResult<unknown>);
          if (done) {
            this.#exhausted = true;
            break;
          }
          chunk.push(value);
        }
      } catch (error) {
        this.#exhausted = true;
        if (chunk.length > 0) this.#give(chunk);
        this.#given++;
        this.#places.push({ settled: { error } });
        this.#tell();
        break;
      }
      if (chunk.length > 0 && !this.#stopped) this.#give(chunk);
    }
    this.#feeding = false;
    if (this.#exhausted) this.#tell();
  }

  #give(chunk: unknown[]): void {
    this.#given++;
    const place: Place = { settled: undefined };
    if (this.#ordered) this.#places.push(place);
    const settle = (settled: Settled) => {
      place.settled = settled;
      this.#running.delete(result);
      if (!this.#ordered && !this.#stopped) this.#places.push(place);
      this.#tell();
    };
    let result: AsyncResult<unknown[] | Partly>;
    try {
      result = this.#source.submit(chunk);
    } catch (error) {
      // The pool was closed meanwhile.
      this.#exhausted = true;
      place.settled = { error };
      if (!this.#ordered) this.#places.push(place);
      void (async () => this.#iterator.return?.())().catch(() => {});
      return;
    }
    this.#running.add(result);
    result.then(
      values => settle(values instanceof Partly ? { error: [...values.errors.values()][0] } : { values }),
      error => settle({ error }),
    );
  }

  #tell(): void {
    const news = this.#news;
    this.#news = new Completion<void>();
    news.complete();
  }
}
