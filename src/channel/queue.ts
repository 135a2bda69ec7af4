import { ClosedError, QueueEmptyError, QueueFullError, QueueShutDownError } from '../errors/errors.js';
import { Cell } from '../sync/cell.js';
import { type NamedOptions, nameOf } from '../sync/naming.js';
import { registerShared, SharedObject } from '../sync/shared-object.js';
import { checkWait, timeoutOf, type WaitOptions } from '../wait/options.js';
import { Batch } from './batch.js';
import { breath } from './breath.js';
import { type Exchange, OUTCOME, type Outcome } from './exchange.js';
import { put, putSync, take, takeSync } from './handover.js';
import { ITEM_ABROAD, mustWait, pack, unpack, unpackAsync } from './item.js';
import type { Ledger } from './ledger.js';
import type { Lifeline } from './lifeline.js';
import { borrow, giveBack, handedOn, INLINE_BYTES, type Parcel, release } from './parcel.js';
import { openQueue, partsOf, type Sort } from './queue-cell.js';
import { Reserve } from './reserve.js';
import { issueTicket } from './tickets.js';
import { IS_READY, WATCH, type Waitable, type Watch, type Watcher } from './waitable.js';

const { DONE, NOT_NOW, NEVER, GONE } = OUTCOME;
const NOW = { timeout: 0 };
/** Items that putMany() takes from an iterable before it puts them. */
const AT_ONCE = 1024;
const MOST_AT_ONCE = 2 ** 31 - 1;

/** What came of putMany() so far, and until when it may wait. */
interface Putting {
  /** How many items are in. */
  put: number;
  readonly deadline: number;
  readonly options: WaitOptions | undefined;
}

const SORT: Sort = { kind: 'Queue', order: 'first', joinable: false };

/** A way for items from one thread or process to others: a {@link Queue} or a {@link Connection}. */
export interface Channel<T> extends AsyncIterable<T>, Disposable {}

/**
 * First in, first out, between any number of threads and processes that put and get. What was put is in shared memory when
 * `put` resolves: it outlives its producer, whatever becomes of that one. Items are [anything that can cross](../../docs/values.md):
 * also functions, locks, other queues.
 *
 * Order: items of one producer stay in order. Who waits, to put or to get, is called in order of arrival; a running thread may be
 * quicker than one that is being woken, but none is overtaken that way for more than a tenth of a second.
 *
 * Room: `maxsize` items; without it, or with 0 or less, as many as there is memory for: half of what the commons had left as the
 * queue was made. A full queue has putters wait. One item always fits, however large it is.
 *
 * Who has it: each thread that made or received it, until it closes it, drops it, or ends. It is there, with its items, as long as
 * anyone has it or it is on its way to somebody; then its memory is freed.
 *
 * Names: with `{ name }` it is one queue for all programs of a user, as big as the first of them made it; other sizes are
 * ignored. Its items lie in memory of its own: up to half of what the machine has left, 4 GiB at most, 4 KiB for each item of more
 * than 2 KiB and each of a LifoQueue or PriorityQueue. It is gone with the last program that has it open. What goes into it may
 * hold locks and queues that have names themselves, and no others.
 *
 * Death: a producer that is killed leaves whole items only; a consumer that is killed takes at most those along that it was getting.
 *
 * Python: `multiprocessing.Queue`, whose feeder thread loses what was put when its process is killed, and holds up its end
 * when nobody gets. See [Queues](../../docs/queues.md).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, Queue } from 'manyhands';
 *
 * using numbers = new Queue<number>();
 * using squares = new Queue<number>();
 * const work = async () => {
 *   for await (const n of numbers) await squares.put(n * n);
 *   squares.shutdown(); // which ends the loop below
 * };
 * const worker = new Process({ target: work }).start();
 *
 * await numbers.putMany([1, 2, 3]);
 * numbers.shutdown(); // which ends the loop above
 * const got = [];
 * for await (const square of squares) got.push(square);
 * assert.deepEqual(got, [1, 4, 9]);
 * await worker.join();
 * ```
 */
export class Queue<T = any> extends SharedObject implements Channel<T>, Waitable {
  /** @internal */
  protected readonly exchange: Exchange;
  /** @internal Who owes taskDone(), where that matters. */
  protected readonly ledger: Ledger | undefined;
  readonly #lifeline: Lifeline | undefined;
  readonly #how = this.cell.shared ? ITEM_ABROAD : undefined;
  #isClosed = false;
  /** Bytes of the last long item: the next one may be like it. */
  #guess = 0;

  /**
   * A new queue, or with `{ name }` the one of that name if there is one.
   * @param maxsize How many items it holds at most. Default, and 0 or less: as many as there is memory for.
   * @throws {TypeError | RangeError} `maxsize` or the name is none.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(maxsize?: number, options?: NamedOptions);
  constructor(maxsize: number | Cell = 0, options: NamedOptions = {}) {
    const { sort } = new.target.prototype;
    super(maxsize instanceof Cell ? maxsize : openQueue(sort, maxsize, options));
    const { exchange, ledger, lifeline } = partsOf(this.cell, sort);
    this.exchange = exchange;
    this.ledger = ledger;
    this.#lifeline = lifeline;
  }

  /** @internal It is about to be on its way to another thread. */
  static ticketFor(queue: Queue): number {
    return queue.#lifeline === undefined ? 0 : issueTicket(queue.#lifeline, 0);
  }

  /** @internal It has arrived in this thread. */
  static arrived(queue: Queue, ticket: unknown): void {
    if (queue.#lifeline?.join(0, ticket as number) === false) queue.#isClosed = true;
  }

  /** @internal */
  protected get sort(): Sort {
    return SORT;
  }

  /**
   * Puts an item in. When this resolves it is safe. In line by the time the call returns, if it has to wait.
   * @throws {SerializationError} It cannot cross, or holds what programs that share this queue by its name cannot reach; the
   *   queue is as it was.
   * @throws {QueueFullError} There was no room when `timeout` had passed.
   * @throws {QueueShutDownError} The queue was shut down, perhaps meanwhile.
   * @throws {ClosedError} This queue was closed or disposed of.
   * @throws {OutOfMemoryError} There is no memory for it, even though the queue is empty.
   */
  put(item: T, options?: WaitOptions): Promise<void> {
    try {
      this.#checkAsync(options);
      return put(this.exchange, this.#packed(item, options), options, this.#notPut);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** {@link put | put()}, blocking this thread. */
  putSync(item: T, options?: { timeout?: number }): void {
    const timeout = timeoutOf(options);
    putSync(this.exchange, this.#packed(item, options), timeout, this.#notPut);
  }

  /** Puts an item in if there is room. @throws {QueueFullError} There is none. */
  putNowait(item: T): void {
    this.putSync(item, NOW);
  }

  /**
   * Takes the next item out. In line by the time the call returns, if it has to wait.
   * @throws {QueueEmptyError} There was none when `timeout` had passed.
   * @throws {QueueShutDownError} There is none, and never will be.
   * @throws {SerializationError} It cannot be decoded here; it is out of the queue.
   * @throws {ClosedError} This queue was closed or disposed of.
   */
  get(options?: WaitOptions): Promise<T> {
    try {
      this.#checkAsync(options);
      return take(this.exchange, options, this.#notGot) as Promise<T>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** {@link get | get()}, blocking this thread. @throws {SerializationError} Also if it refers to modules that must be awaited. */
  getSync(options?: { timeout?: number }): T {
    const timeout = timeoutOf(options);
    if (this.#isClosed) throw this.closed();
    return takeSync(this.exchange, timeout, this.#notGot) as T;
  }

  /** Takes the next item out if there is one. @throws {QueueEmptyError} There is none. */
  getNowait(): T {
    return this.getSync(NOW);
  }

  /**
   * As many items as are there, at least one, at most `max`, in one step.
   * @throws {SerializationError} One of them cannot be decoded here. `items` has the others, in order: they are out of the queue.
   */
  async getMany(max: number, options?: WaitOptions): Promise<T[]> {
    if (typeof max !== 'number') throw new TypeError(`Cannot get ${typeof max} items: give a number`);
    if (!(max >= 1)) throw new RangeError(`Cannot get ${max} items: give a number from 1 on`);
    this.#checkAsync(options);
    const most = Math.min(Math.floor(max), MOST_AT_ONCE);
    const { space } = this.exchange;
    const batch = new Batch();
    const parcel = borrow();
    try {
      const attempt = (called: boolean) => this.exchange.takeMany(batch, most, parcel, called);
      let outcome: Outcome = attempt(false);
      if (outcome === NOT_NOW) outcome = await this.exchange.get(attempt, options ?? {});
      await breath();
      if (outcome !== DONE) throw this.#notGot(outcome);
      handedOn(parcel); // the batch has it
      return await this.#unpackedAll(batch, parcel);
    } finally {
      batch.drop(space);
      giveBack(parcel, space);
    }
  }

  /**
   * Puts all items in, in order, others' perhaps in between; as many in one step as there is room for, and waits for more.
   * All of an array are encoded first, so that one that cannot cross changes nothing, as long as there is memory for all. Of other
   * iterables 1,024 at a time are.
   * @throws {QueueFullError} Not all were put when `timeout` had passed: `put` tells how many. The same goes for all errors, if
   *   they are objects.
   */
  async putMany(items: Iterable<T>, options?: WaitOptions): Promise<void> {
    let putting: Putting | undefined;
    try {
      this.#checkAsync(options);
      putting = { put: 0, deadline: performance.now() + timeoutOf(options), options };
      for (const group of groups(items)) await this.#putGroup(group, putting);
    } catch (error) {
      throw telling(error, 'put', putting?.put ?? 0);
    }
    await breath();
  }

  /** How many items are in it at this instant. */
  qsize(): number {
    this.check();
    return this.exchange.count;
  }

  /** Has it no items at this instant? */
  empty(): boolean {
    return this.qsize() === 0;
  }

  /** Has it `maxsize` items at this instant? */
  full(): boolean {
    const count = this.qsize();
    const { bound } = this.exchange;
    return bound > 0 && count >= bound;
  }

  /**
   * Nothing goes in any more, from anywhere: `put` throws QueueShutDownError, also for those who wait. What is in it can still be
   * got, and then `get` throws it too; `immediate` drops what is in it. A second call may be the immediate one.
   */
  shutdown({ immediate = false }: { immediate?: boolean } = {}): void {
    this.check();
    this.exchange.shutDown(immediate);
  }

  /**
   * This thread is done with it: its waits end with ClosedError. Others go on; what is in it stays for them. A second call does
   * nothing.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.exchange.failWaits(() => this.closed());
    if (!this.cell.isThere) return;
    this.abandon();
    this.leave();
  }

  /** The same as {@link close | close()}. */
  override [Symbol.dispose](): void {
    this.close();
  }

  /** @hidden Would a `get` not have to wait? See wait(). */
  [IS_READY](): boolean {
    this.check();
    return this.exchange.isReadable();
  }

  /** @hidden */
  [WATCH](watcher: Watcher): Watch {
    this.check();
    return this.exchange.watch(watcher);
  }

  /** Each item as it comes, until the queue is shut down and has no more. */
  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      let item: T;
      try {
        item = await this.get();
      } catch (error) {
        if (error instanceof QueueShutDownError) return;
        throw error;
      }
      yield item;
    }
  }

  protected override facts(): object | undefined {
    if (this.#isClosed) return undefined;
    const { bound, count: size } = this.exchange;
    return bound > 0 ? { maxsize: bound, size } : { size };
  }

  protected override check(): void {
    if (this.#isClosed) throw this.closed();
    super.check();
  }

  protected override closed(): ClosedError {
    if (!this.#isClosed) return super.closed();
    return new ClosedError(
      `Cannot use ${nameOf(this.cell, this)} as this thread has closed it: close it when you are done`,
    );
  }

  /** @internal This thread takes no more part. */
  protected abandon(): void {}

  /** @internal The lower, the sooner it comes out, where that matters. */
  protected rankOf(_options: object | undefined): number {
    return 0;
  }

  #checkAsync(options: WaitOptions | undefined): void {
    if (this.#isClosed) throw this.closed();
    checkWait(options);
  }

  #packed(item: T, options?: WaitOptions): Parcel {
    if (this.#isClosed) throw this.closed();
    const parcel = borrow();
    try {
      parcel.rank = this.rankOf(options);
      pack(item, parcel, this.exchange.space, this.#guess, this.#how);
    } catch (error) {
      giveBack(parcel, this.exchange.space);
      throw error;
    }
    this.#guess = parcel.length > INLINE_BYTES ? parcel.length : 0;
    return parcel;
  }

  async #unpackedAll(batch: Batch, parcel: Parcel): Promise<T[]> {
    const { space } = this.exchange;
    const items: T[] = [];
    let failure: { readonly error: unknown } | undefined;
    while (batch.count > 0) {
      batch.next(parcel);
      try {
        if (mustWait(parcel, space)) items.push((await unpackAsync(parcel, space)).value as T);
        else items.push(unpack(parcel, space) as T);
      } catch (error) {
        failure ??= { error };
      }
      release(parcel, space);
    }
    if (failure) throw telling(failure.error, 'items', items);
    return items;
  }

  async #putGroup(group: Iterable<T>, putting: Putting): Promise<void> {
    const { space } = this.exchange;
    const batch = new Batch();
    const parcel = borrow();
    const reserve = new Reserve(space);
    try {
      for (const item of group) {
        parcel.rank = this.rankOf(putting.options);
        pack(item, parcel, space, this.#guess, this.#how);
        this.#guess = parcel.length > INLINE_BYTES ? parcel.length : 0;
        if (parcel.waiting === undefined) {
          if (parcel.handle !== 0) reserve.take();
          batch.add(parcel);
          handedOn(parcel); // the batch has it
          continue;
        }
        // There is no memory for more than is in the batch: it can come from the queue only.
        reserve.drop();
        await this.#putBatch(batch, putting);
        const outcome = await this.exchange.put(called => this.exchange.offer(parcel, called), left(putting));
        if (outcome !== DONE) throw this.#notPut(outcome);
        putting.put++;
      }
      reserve.drop();
      await this.#putBatch(batch, putting);
    } finally {
      reserve.drop();
      batch.drop(space);
      giveBack(parcel, space);
    }
  }

  async #putBatch(batch: Batch, putting: Putting): Promise<void> {
    if (batch.count === 0) return;
    const { exchange } = this;
    const parcel = borrow();
    parcel.rank = this.rankOf(putting.options);
    const all = batch.count;
    try {
      const attempt = (called: boolean) => exchange.offerMany(batch, parcel, called);
      let outcome: Outcome = attempt(false);
      if (outcome === NOT_NOW) outcome = await exchange.put(attempt, left(putting));
      if (outcome !== DONE) throw this.#notPut(outcome);
    } finally {
      putting.put += all - batch.count;
      handedOn(parcel); // the batch has it still, if it did not go in
      giveBack(parcel, exchange.space);
    }
  }

  readonly #notPut = (outcome: Outcome): Error => {
    if (outcome === GONE) return this.closed();
    const name = nameOf(this.cell, this);
    if (outcome === NEVER)
      return new QueueShutDownError(`Cannot put into ${name} as it was shut down: nothing goes in any more`);
    return new QueueFullError(`Cannot put into ${name} as it had no room in time: get more, or wait longer`);
  };

  readonly #notGot = (outcome: Outcome): Error => {
    if (outcome === GONE) return this.closed();
    const name = nameOf(this.cell, this);
    if (outcome === NEVER)
      return new QueueShutDownError(`Cannot get from ${name} as it was shut down and nothing is left in it`);
    return new QueueEmptyError(
      `Cannot get from ${name} as nothing was in it in time: put more, or wait longer`,
    );
  };
}

/** The options of a wait that is part of putMany(). */
function left({ options, deadline }: Putting): WaitOptions {
  return { signal: options?.signal, timeout: Math.max(0, deadline - performance.now()) };
}

/** An error that also tells what had been done before. A signal's reason may be anything. */
function telling(error: unknown, what: string, value: unknown): unknown {
  const isObject = (typeof error === 'object' && error !== null) || typeof error === 'function';
  if (isObject && Object.isExtensible(error)) Object.assign(error, { [what]: value });
  return error;
}

/** Parts of an iterable: an array is one. */
function* groups<T>(items: Iterable<T>): Iterable<Iterable<T>> {
  if (Array.isArray(items) || ArrayBuffer.isView(items)) {
    yield items;
    return;
  }
  let group: T[] = [];
  for (const item of items) {
    group.push(item);
    if (group.length < AT_ONCE) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/** Lets queues of a class cross. */
export function registerQueue(type: typeof Queue, kind: string): void {
  registerShared<Queue>(kind, type, {
    open: name => new type(0, { name }),
    extra: Queue.ticketFor,
    arrived: Queue.arrived,
  });
}

registerQueue(Queue, 'Queue');
