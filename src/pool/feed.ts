import { OutOfMemoryError, SerializationError } from '../errors/errors.js';
import { type Abortable, unwatchAbort, watchAbort } from '../wait/abort.js';
import type { Completion } from '../wait/completion.js';
import type { AsyncResult } from './async-result.js';
import { Partly } from './chunk.js';
import { Intake, type Items } from './intake.js';
import type { MapOptions } from './map.js';
import { packed } from './parcel.js';
import { ProgressMeter } from './progress.js';

/** What a map needs of its pool. */
export interface ChunkRunner {
  /** How many workers there are. */
  readonly size: number;
  /** Is there room for a task, as `maxPending` has it? */
  readonly hasRoom: boolean;
  /** Happens when that may have changed. */
  readonly room: Completion<void>;
  /** Gives the workers a chunk. What cannot be given rejects; throws if the pool takes no more. */
  submit(items: unknown[], feed: Entrant): AsyncResult<unknown[] | Partly>;
  /** All items have been given: takes from the caller what was to be moved. */
  finish(): void;
  /** Has `feed` told of the pool's end until leave(). */
  enter(feed: Entrant): void;
  leave(feed: Entrant): void;
}

/** What a pool knows of a map. */
export interface Entrant {
  /** Does the pool, though it has been closed, take chunks and not end as long as this is there? */
  readonly staysOpen: boolean;
  /** The pool takes no more. */
  poolEnds(error: unknown): void;
}

/** Items that were given together. */
export class Batch {
  /** By item, once all its calls are over; undefined for one that failed. */
  values: unknown[] | undefined;
  /** By the number of the item within this batch. */
  errors: ReadonlyMap<number, unknown> | undefined;

  constructor(
    /** Ascending from 0 in the order in which they were given. */
    readonly number: number,
    /** The number of its first item in the map. */
    readonly start: number,
    readonly length: number,
    /** What the arguments took. */
    readonly bytes: number,
    readonly result: AsyncResult<unknown[] | Partly>,
  ) {}
}

/** Whom a feed works for. */
export interface FeedOwner {
  /** How many items the next batch is to have; 0: none now. */
  wanted(): number;
  given(batch: Batch): void;
  settled(batch: Batch): void;
  /** All that was given has settled, and there will be no more. */
  over(): void;
}

/**
 * Takes items from where they come from and gives them to a pool, in batches, as its owner wants them and the pool has room.
 *
 * Async items are collected until a batch is full, or until nothing is under way: a slow input does not keep a worker from
 * what there is already.
 */
export class Feed implements Entrant, Abortable {
  readonly staysOpen: boolean;
  /** Given and not settled. */
  readonly underWay = new Set<Batch>();
  #batches = 0;
  /** Items given so far. */
  given = 0;
  /** Why it ended before its time: what the input threw, or the pool's end. */
  failure: { error: unknown } | undefined;
  readonly #runner: ChunkRunner;
  readonly #intake: Intake;
  readonly #owner: FeedOwner;
  readonly #signal: AbortSignal | undefined;
  /** May batches be smaller than wanted, so that workers can begin? */
  readonly #hasty: boolean;
  #progress: ProgressMeter | undefined;
  #collected: unknown[] = [];
  #isEnded = false;
  #isTaking = false;
  #isOver = false;
  #unwatchRoom: (() => void) | undefined;

  /** `staysOpen`: what is not async is given to the last item, though the pool be closed meanwhile. @throws {TypeError} */
  constructor(runner: ChunkRunner, items: Items, options: MapOptions, owner: FeedOwner, staysOpen: boolean) {
    this.#intake = new Intake(items);
    this.#runner = runner;
    this.#owner = owner;
    this.#signal = options.signal;
    this.#hasty = options.chunksize === undefined;
    this.staysOpen = staysOpen && !this.#intake.isAsync;
    if (options.onProgress) this.#progress = new ProgressMeter(options.onProgress);
  }

  start(): void {
    const signal = this.#signal;
    if (signal?.aborted) this.#end({ error: signal.reason });
    else {
      if (signal) watchAbort(signal, this);
      if (this.staysOpen) this.#runner.enter(this);
      if (this.#intake.isOver) this.#end(this.#intake.failure);
    }
    this.look();
  }

  /** How many items there are in all; undefined: not known. */
  get total(): number | undefined {
    return this.#intake.total;
  }

  /** Has all that was given settled, and will there be no more? */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Gives out what is wanted, as far as it can be had. */
  look(): void {
    if (this.#isTaking) this.#giveToIdle();
    else if (!this.#isEnded) {
      this.#isTaking = true;
      if (this.#intake.isAsync) void this.#takeLater();
      else this.#take();
    }
    this.#checkOver();
  }

  #checkOver(): void {
    if (!this.#isEnded || this.#isOver || this.underWay.size > 0) return;
    this.#isOver = true;
    if (!this.failure) this.#progress?.end(this.total);
    this.#owner.over();
  }

  #take(): void {
    for (;;) {
      const count = this.#mayTake();
      if (count === 0) break;
      const items = this.#intake.take(count, this.#hasty);
      if (this.#isEnded) break; // from within the iterator
      this.#give(items);
      if (this.#intake.isOver) this.#exhaust();
    }
    this.#isTaking = false;
  }

  async #takeLater(): Promise<void> {
    for (;;) {
      const count = this.#mayTake();
      if (count === 0) break;
      const collected = this.#collected;
      if (collected.length >= count || (collected.length > 0 && this.underWay.size === 0)) {
        this.#giveCollected();
        continue;
      }
      this.#runner.enter(this);
      const taken = await this.#intake.takeOne();
      if (this.#isEnded) break;
      this.#runner.leave(this);
      if (taken) this.#collected.push(taken.item);
      else {
        this.#giveCollected();
        this.#exhaust();
      }
    }
    this.#isTaking = false;
    this.#checkOver();
  }

  /** How many items the next batch may have. */
  #mayTake(): number {
    if (this.#isEnded) return 0;
    const count = this.#owner.wanted();
    if (count === 0 || this.#runner.hasRoom) return count;
    this.#unwatchRoom ??= this.#runner.room.watch(() => {
      this.#unwatchRoom = undefined;
      queueMicrotask(() => this.look());
    });
    return 0;
  }

  /** The next item keeps us waiting, and the workers have nothing to do. */
  #giveToIdle(): void {
    if (this.#collected.length > 0 && this.underWay.size === 0 && this.#mayTake() > 0) this.#giveCollected();
  }

  #giveCollected(): void {
    const items = this.#collected;
    this.#collected = [];
    this.#give(items);
  }

  #give(items: unknown[]): void {
    if (items.length === 0 || this.#isEnded) return;
    let result: AsyncResult<unknown[] | Partly>;
    try {
      result = this.#runner.submit(items, this);
    } catch (error) {
      this.#breakOff({ error }).catch(() => {});
      return;
    }
    const refusal = result.outcome as { error: unknown } | undefined;
    if (refusal && !(items.length === 1 && concernsItems(refusal.error))) {
      result.catch(() => {});
      this.#giveOtherwise(items, refusal);
      return;
    }
    const batch = new Batch(this.#batches++, this.given, items.length, Math.abs(packed.length), result);
    this.given += items.length;
    this.underWay.add(batch);
    this.#owner.given(batch);
    result.then(
      values => {
        if (values instanceof Partly) batch.errors = values.errors;
        this.#settle(batch, values instanceof Partly ? values.values : values);
      },
      error => {
        const places = Array.from({ length: batch.length }, (_, index) => index);
        batch.errors = new Map(places.map(index => [index, error]));
        this.#settle(batch, new Array(batch.length).fill(undefined));
      },
    );
  }

  /** They could not be given together. */
  #giveOtherwise(items: unknown[], refusal: { error: unknown }): void {
    if (concernsItems(refusal.error)) {
      // Whatever is wrong with one of them, the others are sound.
      const half = items.length >> 1;
      this.#give(items.slice(0, half));
      this.#give(items.slice(half));
    } else this.#breakOff(refusal).catch(() => {});
  }

  #settle(batch: Batch, values: unknown[]): void {
    batch.values = values;
    this.underWay.delete(batch);
    this.#progress?.note(batch.length, batch.errors?.size ?? 0, this.total);
    this.#owner.settled(batch);
    this.look();
  }

  /** The input has no more. */
  #exhaust(): void {
    if (this.#isEnded) return;
    let { failure } = this.#intake;
    try {
      this.#runner.finish();
    } catch (error) {
      failure ??= { error };
    }
    this.#end(failure);
  }

  #end(failure: { error: unknown } | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.failure = failure;
    this.#collected = [];
    this.#unwatchRoom?.();
    if (this.#signal) unwatchAbort(this.#signal, this);
    this.#runner.leave(this);
  }

  /** Ends it because of something that the input has nothing to do with. */
  #breakOff(failure: { error: unknown } | undefined): Promise<void> {
    this.#end(failure);
    return this.#intake.leave();
  }

  poolEnds(error: unknown): void {
    this.#breakOff({ error }).catch(() => {});
    this.look();
  }

  /** What is under way has the signal, too. */
  abort(reason: unknown): void {
    this.poolEnds(reason);
  }

  /** Takes no more, and has `callOff` done to all that is under way. Settles with what the input does when it is told so. */
  async stop(callOff: (result: AsyncResult<unknown>) => void): Promise<void> {
    this.#progress = undefined;
    const left = this.#breakOff(undefined);
    left.catch(() => {});
    for (const { result } of this.underWay) callOff(result);
    this.look();
    await left;
  }
}

/** Does it say that certain items cannot be given, rather than that none can? */
function concernsItems(error: unknown): boolean {
  return (
    error instanceof OutOfMemoryError ||
    (error instanceof SerializationError && error.path.startsWith('args'))
  );
}
