import { registerRefusal } from '../codec/handles.js';
import { Failure } from '../codec/path.js';
import { CancelledError, LifecycleError, TimeoutError } from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { cpuCount } from '../platform/platform.js';
import type { Process } from '../process/process.js';
import type { Target } from '../process/target.js';
import type { Thread } from '../process/thread.js';
import { Completion } from '../wait/completion.js';
import { holding, onRing } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import type { WaitOptions } from '../wait/options.js';
import type { AsyncResult } from './async-result.js';
import { Board, CHUNK, SPREAD } from './board.js';
import type { Blow } from './carriers.js';
import type { Partly } from './chunk.js';
import { Crew } from './crew.js';
import type { ChunkRunner, Entrant } from './feed.js';
import { Functions } from './functions.js';
import { type BufferedMapOptions, type MappedIterator, mapInOrder, mapUnordered } from './imap.js';
import type { Items } from './intake.js';
import { checkMapOptions, type MapOptions, mapAll } from './map.js';
import { checkSize, type PoolOptions, type PoolStats, poolOptions, type TaskOptions } from './options.js';
import { Preparation } from './preparation.js';
import type { Caller } from './task.js';
import { Tasks } from './tasks.js';
import { detach } from './transfer.js';

/** Tasks that are on the board at a time; more wait in this process. */
const SLOTS = 2048;

/**
 * Calls in one turn of the event loop whose stacks are taken, for errors to show: taking one costs more than the whole
 * task does.
 */
const STACKS_A_TURN = 8;

/** Callbacks of what a call comes to. They run in the calling thread; what they throw is an uncaught exception. */
export interface Callbacks<R> {
  /** Called with what it returned. */
  callback?: (value: R) => void;
  /** Called with what it threw, or why it has no result; then nothing is reported as unhandled. */
  errorCallback?: (error: unknown) => void;
}

/** The pools of this process that have not ended. */
const pools = new Set<Pool>();

// A fork has copies, whose workers and tasks are its parent's.
onFork(() => ({
  take: () => {
    for (const pool of pools) pool.disown();
    pools.clear();
  },
}));

/**
 * Workers that wait for tasks: processes, or threads of this one.
 *
 * Order: tasks start by their priority, and in the order in which they were given; a task that waits starts as soon as any worker
 * is free. A worker runs one at a time.
 * Endings: whatever a task or its worker does, the task's promise settles. A worker that died is replaced, and only the
 * task that it ran is lost (or run again, with `retries`).
 * Life: workers start with the pool. An idle pool does not keep the program alive, and its workers end with it.
 *
 * Python: `multiprocessing.Pool` and `ThreadPool`, whose tasks are lost, and whose callers hang, when a worker dies.
 * See [Pools](../../docs/pools.md).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Pool } from 'manyhands';
 *
 * const square = (n: number) => n * n;
 * await using pool = new Pool(2);
 * assert.equal(await pool.run(square, [7]), 49);
 * assert.deepEqual(await pool.map(square, [1, 2, 3]), [1, 4, 9]);
 *
 * let sum = 0;
 * for await (const result of pool.imapUnordered(square, [1, 2, 3])) sum += result;
 * assert.equal(sum, 14);
 * ```
 */
export class Pool implements AsyncDisposable {
  readonly #board: Board;
  readonly #functions: Functions;
  readonly #preparation: Preparation;
  readonly #crew: Crew;
  readonly #tasks: Tasks;
  readonly #ended = new Completion<void>();
  readonly #stopListening: () => void;
  /** Maps that have not taken all their items. */
  readonly #maps = new Set<Entrant>();
  #stacks = 0;
  #state: 'open' | 'closed' | 'terminated' = 'open';
  #broken: { error: unknown } | undefined;
  /** The process that it belongs to. */
  readonly #creator = process.pid;

  /**
   * @throws {RangeError | TypeError} An option is wrong, or none that there is.
   * @throws {SerializationError} Initializer, its arguments or finalizer cannot cross.
   */
  constructor(size?: number | PoolOptions, options?: PoolOptions) {
    const chosen = poolOptions(size, options);
    const workers = chosen.size ?? cpuCount();
    const me = self();
    this.#preparation = new Preparation(chosen, me);
    this.#board = Board.make(SLOTS, workers, me);
    this.#functions = new Functions(me);
    this.#crew = new Crew(this, this.#board, chosen, this.#preparation, {
      ended: (index, end) => {
        this.#drain();
        this.#tasks.bereave(index, end);
      },
      busy: () => this.#tasks.busy,
      hasMail: index => this.#tasks.hasMail(index),
      goesOn: () => this.#state === 'open' || (this.#state === 'closed' && !this.#isDone),
      settled: (index, vacant) => {
        if (vacant) this.#tasks.returnMail(index);
        else this.#tasks.deliver(index);
        this.#tasks.refill();
        this.#endIfEmpty();
      },
      broken: error => this.#breakDown(error),
    });
    const idle = () => this.#closeIfDone();
    this.#tasks = new Tasks(this, this.#board, this.#functions, this.#crew, { idle }, chosen.maxPending);
    this.#stopListening = onRing(REASON.CHANNEL, () => this.#drain());
    pools.add(this);
    this.#crew.resize(workers);
  }

  /** How many workers there are to be. */
  get size(): number {
    return this.#crew.size;
  }

  /** Those that are there now, in the order of their seats: `PoolWorker-1` and so on. Stale as soon as it is read. */
  get workers(): readonly (Process | Thread)[] {
    return this.#crew.workers;
  }

  /** What it has done and has to do. Stale as soon as it is read. */
  get stats(): PoolStats {
    const { busy, pending, completed, failed, taskTime } = this.#tasks.stats;
    return { size: this.size, busy, pending, completed, failed, restarts: this.#crew.restarts, taskTime };
  }

  // ── calls ──

  /**
   * Calls `fn(...args)` in a worker. Its arguments are copied at once; a function crosses once for each worker, with
   * what it captures as it was at its first task. Rejects with what the function threw, whose stack goes on to
   * show this call (not when many calls are made in one go).
   * Rejects with WorkerDiedError when the worker ended under it, TimeoutError past `timeout`, `signal.reason` when
   * aborted, CancelledError when cancelled or when the pool was terminated, SerializationError when something cannot cross.
   * @throws {LifecycleError} The pool is closed.
   */
  run<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: readonly [...A],
    options?: TaskOptions,
  ): AsyncResult<Awaited<R>>;
  /** Calls what a module exports, or a function. */
  run<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args: readonly [...A],
    options?: TaskOptions,
  ): AsyncResult<Awaited<R>>;
  /** Calls what needs no arguments. */
  run<A extends readonly [], R>(fn: Target<A, R>, args?: A, options?: TaskOptions): AsyncResult<Awaited<R>>;
  run(fn: unknown, args?: readonly unknown[], options?: TaskOptions): AsyncResult<any> {
    return this.#run(fn, args, options, this.run);
  }

  /** {@link run | run()} without options, by Python's name. */
  apply<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: readonly [...A],
  ): AsyncResult<Awaited<R>>;
  apply<A extends readonly unknown[], R>(fn: Target<A, R>, args: readonly [...A]): AsyncResult<Awaited<R>>;
  apply<A extends readonly [], R>(fn: Target<A, R>, args?: A): AsyncResult<Awaited<R>>;
  apply(fn: unknown, args?: readonly unknown[]): AsyncResult<any> {
    return this.#run(fn, args, undefined, this.apply);
  }

  /** {@link run | run()} with callbacks for what it comes to. */
  applyAsync<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: readonly [...A],
    options?: TaskOptions & Callbacks<Awaited<R>>,
  ): AsyncResult<Awaited<R>>;
  applyAsync<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args: readonly [...A],
    options?: TaskOptions & Callbacks<Awaited<R>>,
  ): AsyncResult<Awaited<R>>;
  applyAsync<A extends readonly [], R>(
    fn: Target<A, R>,
    args?: A,
    options?: TaskOptions & Callbacks<Awaited<R>>,
  ): AsyncResult<Awaited<R>>;
  applyAsync(
    fn: unknown,
    args?: readonly unknown[],
    options: TaskOptions & Callbacks<any> = {},
  ): AsyncResult<any> {
    checkCallbacks(options);
    return callBack(this.#run(fn, args, options, this.applyAsync), options);
  }

  /**
   * Calls `fn` with each item, in chunks, and gives the results in order. It rejects with the first error, in order of items, once
   * all calls are over. An iterator of items that throws rejects it with its error, once what it had given is over.
   */
  map<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions,
  ): AsyncResult<Awaited<R>[]>;
  map<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions,
  ): AsyncResult<Awaited<R>[]>;
  map(
    fn: unknown,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options?: MapOptions,
  ): AsyncResult<any[]> {
    return this.#map(fn, items, options, CHUNK, this.map);
  }

  /** {@link map | map()} with callbacks for what it comes to. */
  mapAsync<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions & Callbacks<Awaited<R>[]>,
  ): AsyncResult<Awaited<R>[]>;
  mapAsync<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: MapOptions & Callbacks<Awaited<R>[]>,
  ): AsyncResult<Awaited<R>[]>;
  mapAsync(
    fn: unknown,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: MapOptions & Callbacks<any[]> = {},
  ): AsyncResult<any[]> {
    checkCallbacks(options);
    return callBack(this.#map(fn, items, options, CHUNK, this.mapAsync), options);
  }

  /** {@link map | map()} where each item is an array of arguments: calls `fn(...item)`. */
  starmap<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    items: Iterable<readonly [...A]> | AsyncIterable<readonly [...A]>,
    options?: MapOptions,
  ): AsyncResult<Awaited<R>[]>;
  starmap<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    items: Iterable<readonly [...A]> | AsyncIterable<readonly [...A]>,
    options?: MapOptions,
  ): AsyncResult<Awaited<R>[]>;
  starmap(
    fn: unknown,
    items: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>,
    options?: MapOptions,
  ): AsyncResult<any[]> {
    return this.#map(fn, items, options, CHUNK | SPREAD, this.starmap);
  }

  /** {@link starmap | starmap()} with callbacks for what it comes to. */
  starmapAsync<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    items: Iterable<readonly [...A]> | AsyncIterable<readonly [...A]>,
    options?: MapOptions & Callbacks<Awaited<R>[]>,
  ): AsyncResult<Awaited<R>[]>;
  starmapAsync<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    items: Iterable<readonly [...A]> | AsyncIterable<readonly [...A]>,
    options?: MapOptions & Callbacks<Awaited<R>[]>,
  ): AsyncResult<Awaited<R>[]>;
  starmapAsync(
    fn: unknown,
    items: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>,
    options: MapOptions & Callbacks<any[]> = {},
  ): AsyncResult<any[]> {
    checkCallbacks(options);
    return callBack(this.#map(fn, items, options, CHUNK | SPREAD, this.starmapAsync), options);
  }

  /**
   * Calls `fn` with each item and gives the results in order, as they come. Takes from `items` only as fast as
   * results are taken, `buffer` items ahead (default: four chunks a worker), so that endless input is fine. An error comes
   * in the place of its result, and the iteration goes on after it with next().
   */
  imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): MappedIterator<Awaited<R>>;
  imap<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): MappedIterator<Awaited<R>>;
  imap(
    fn: unknown,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: BufferedMapOptions = {},
  ): MappedIterator<any> {
    return mapInOrder(this.#runner(fn, options, CHUNK, this.imap), items, options);
  }

  /** {@link imap | imap()}, each result as soon as it is there, whatever its place. */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): MappedIterator<Awaited<R>>;
  imapUnordered<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options?: BufferedMapOptions,
  ): MappedIterator<Awaited<R>>;
  imapUnordered(
    fn: unknown,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: BufferedMapOptions = {},
  ): MappedIterator<any> {
    return mapUnordered(this.#runner(fn, options, CHUNK, this.imapUnordered), items, options);
  }

  /**
   * Calls `fn(...args)` once on each worker that the pool has, be it busy still or not up yet; results by worker, in the order of
   * `workers`. A worker that has something of this kind to do does it before anything else. Rejects as run() does, with the first
   * error in that order, once all calls are over. If a worker ends before it has begun, its successor makes the call.
   */
  broadcast<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: readonly [...A],
    options?: TaskOptions,
  ): Promise<Awaited<R>[]>;
  broadcast<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args: readonly [...A],
    options?: TaskOptions,
  ): Promise<Awaited<R>[]>;
  broadcast<A extends readonly [], R>(
    fn: Target<A, R>,
    args?: A,
    options?: TaskOptions,
  ): Promise<Awaited<R>[]>;
  async broadcast(fn: unknown, args?: readonly unknown[], options?: TaskOptions): Promise<any[]> {
    this.#checkOpen();
    const caller = stackOf(this.broadcast);
    const results = this.#crew.staying.map(seat =>
      this.#tasks.submit(fn, args ?? [], options, { flags: 0, caller, seat }),
    );
    for (const settled of await Promise.allSettled(results))
      if (settled.status === 'rejected') throw settled.reason;
    return Promise.all(results);
  }

  /** @internal The same as run(), into a result that the caller has made. */
  submitInto(
    into: AsyncResult<unknown>,
    fn: unknown,
    args: readonly unknown[],
    options: TaskOptions | undefined,
    callee: unknown,
  ): void {
    this.#checkOpen();
    this.#tasks.submit(fn, args, options, { flags: 0, caller: this.#stackOf(callee), into });
  }

  #run(
    fn: unknown,
    args: readonly unknown[] | undefined,
    options: TaskOptions | undefined,
    callee: unknown,
  ): AsyncResult<unknown> {
    this.#checkOpen();
    const manner = { flags: 0, caller: this.#stackOf(callee) };
    return this.#tasks.submit(fn, args ?? NO_ARGS, options, manner);
  }

  #map<R>(
    fn: unknown,
    items: Items,
    options: MapOptions = {},
    flags: number,
    callee: unknown,
  ): AsyncResult<R[]> {
    return mapAll(this.#runner(fn, options, flags, callee), items, options) as AsyncResult<R[]>;
  }

  #runner(fn: unknown, { transfer, ...options }: MapOptions, flags: number, callee: unknown): ChunkRunner {
    this.#checkOpen();
    checkMapOptions({ ...options, ...(transfer && { transfer }) });
    const manner = { flags, caller: stackOf(callee) };
    const tasks = this.#tasks;
    const crew = this.#crew;
    return {
      get size() {
        return crew.size;
      },
      get hasRoom() {
        return tasks.hasRoom;
      },
      get room() {
        return tasks.room;
      },
      submit: (chunk, map) => {
        if (this.#state !== 'closed' || !(map.staysOpen && this.#maps.has(map))) this.#checkOpen();
        return tasks.submit(fn, chunk, options, manner) as AsyncResult<unknown[] | Partly>;
      },
      finish: () => detach(transfer ?? []),
      enter: map => this.#maps.add(map),
      leave: map => {
        if (this.#maps.delete(map) && this.#state === 'closed') this.#closeIfDone();
      },
    };
  }

  #endMaps(error: unknown, staying: boolean): void {
    for (const map of [...this.#maps]) if (staying || !map.staysOpen) map.poolEnds(error);
  }

  /** Few of many calls have one. */
  #stackOf(callee: unknown): Caller | undefined {
    return this.#stacks++ < STACKS_A_TURN ? stackOf(callee) : undefined;
  }

  // ── life ──

  /**
   * Resolves when every worker is up and initialised. Rejects with the initializer's error, if that fails.
   * @throws {TimeoutError} Some was not when `timeout` ms had passed.
   * @throws {LifecycleError} The pool is closed, or was terminated while this waited.
   */
  async ready(options?: WaitOptions): Promise<void> {
    this.#checkOpen();
    if (!(await holding(this.#crew.ready.wait(options))))
      throw new TimeoutError(`Cannot have all workers ready within ${options?.timeout} ms: allow more time`);
    if (this.#broken) throw this.#broken.error;
    if (this.#state === 'terminated')
      throw new LifecycleError('Cannot have all workers ready as the pool was terminated: make a new pool');
  }

  /**
   * Resolves when one more task would not have to wait for others to end, as `maxPending` has it: for who has many to give.
   * @throws {TimeoutError} There was no room when `timeout` ms had passed.
   * @throws {LifecycleError} The pool is closed, or was while this waited.
   */
  async room(options?: WaitOptions): Promise<void> {
    this.#checkOpen();
    const deadline = options?.timeout === undefined ? undefined : performance.now() + options.timeout;
    options?.signal?.throwIfAborted();
    while (!this.#tasks.hasRoom) {
      const left = deadline === undefined ? {} : { timeout: Math.max(0, deadline - performance.now()) };
      if (!(await this.#tasks.room.wait({ ...options, ...left })))
        throw new TimeoutError(`Cannot have room for a task within ${options?.timeout} ms: allow more time`);
      this.#checkOpen();
    }
  }

  /**
   * Has so many workers from now on. New ones start at once; those that are too many leave, idle ones first, when they have done what they
   * are at, and run their finalizer.
   * @throws {RangeError} `size` is no whole number from 1 on, or more than the pool has room for: 256, or as many as it began with.
   * @throws {LifecycleError} The pool is closed.
   */
  resize(size: number): void {
    this.#checkOpen();
    checkSize(size);
    if (size > this.#board.capacity)
      throw new RangeError(
        `Cannot make the pool ${size} workers large as it has room for ${this.#board.capacity}: make it that large from the start`,
      );
    if (!this.#broken) this.#crew.resize(size);
  }

  /** No more tasks. Workers end when all that were given are done. @throws {LifecycleError} The pool is another process's. */
  close(): void {
    this.checkCreator('close');
    if (this.#state === 'open') {
      this.#state = 'closed';
      this.#endMaps(notOpen('closed'), false);
    }
    this.#tasks.endRoom();
    this.#closeIfDone();
  }

  /** Ends the workers now. Outstanding tasks reject with CancelledError. Resolves when the workers are gone. */
  async terminate(): Promise<void> {
    this.checkCreator('terminate');
    if (this.#state !== 'terminated') {
      this.#state = 'terminated';
      if (!this.#ended.outcome) this.#board.close();
      this.#endMaps(new CancelledError('Cannot finish the map as its pool was terminated'), true);
      this.#tasks.rejectAll(() => new CancelledError('Cannot finish the task as its pool was terminated'));
      this.#crew.killAll();
      this.#endIfEmpty();
    }
    await holding(this.#ended.wait());
  }

  /** @internal Calls off all that waits. */
  withdrawAll(): void {
    this.#tasks.withdrawAll();
  }

  /**
   * @internal close(), but what waits is called off and the workers are ended now. What they run rejects with WorkerDiedError.
   * Resolves when they are gone: not before one that withstands SIGTERM has come to the end of its task.
   */
  async end(blow: Blow): Promise<void> {
    this.close();
    this.#tasks.giveUp();
    this.#crew.killAll(blow);
    await this.join();
  }

  /**
   * Waits until the workers have ended. False: `timeout` ms had passed first.
   * @throws {LifecycleError} Neither close() nor terminate() was called, or the pool is another process's.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    this.checkCreator('join');
    if (this.#state === 'open')
      throw new LifecycleError('Cannot join the pool as it is open: call close() or terminate() first');
    return (await holding(this.#ended.wait(options))) !== undefined;
  }

  /** Like leaving Python's `with`: terminates it, unless it was closed; then joins. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'open') await this.terminate();
    else await this.join();
  }

  /** Takes note of all that workers have done. */
  #drain(): void {
    this.#stacks = 0;
    if (this.#ended.outcome) return;
    this.#crew.look(this.#collect);
    this.#tasks.look();
    this.#tasks.refill();
  }

  readonly #collect = (index: number, seen: number) => this.#tasks.collect(index, seen);

  /** No worker can be had: all tasks fail, now and later. */
  #breakDown(error: unknown): void {
    this.#broken = { error };
    this.#endMaps(error, true);
    this.#tasks.breakDown(error);
    queueMicrotask(() => this.#endIfEmpty()); // perhaps there was no worker to wait for
  }

  /** Is there nothing that was given before it was closed? */
  get #isDone(): boolean {
    return this.#tasks.outstanding === 0 && this.#maps.size === 0;
  }

  #closeIfDone(): void {
    if (this.#state === 'closed' && this.#isDone && !this.#ended.outcome) {
      this.#board.close();
      this.#crew.rouseAll();
    }
    this.#endIfEmpty();
  }

  /** The last worker is gone. */
  #endIfEmpty(): void {
    if (this.#state === 'open' && !this.#broken) return;
    if (this.#ended.outcome || this.#tasks.isReading || !this.#crew.isEmpty) return;
    this.#stopListening();
    pools.delete(this);
    this.#functions.free();
    this.#preparation.free();
    this.#board.free();
    this.#ended.complete();
  }

  /** @internal In a fork of the process that it belongs to: does nothing for it any more. */
  disown(): void {
    this.#stopListening();
    this.#tasks.disown();
    this.#crew.disown();
  }

  /** @internal @throws {LifecycleError} It is another process's, which has forked this one. */
  checkCreator(act: string): void {
    if (this.#creator === process.pid) return;
    throw new LifecycleError(
      `Cannot ${act} the pool as it is that of process ${this.#creator}, of which this one is a fork: make a pool of its own`,
    );
  }

  #checkOpen(): void {
    this.checkCreator('use');
    if (this.#state !== 'open') throw notOpen(this.#state);
  }
}

function notOpen(state: string): LifecycleError {
  return new LifecycleError(`Cannot run a task as the pool is ${state}: make a new pool`);
}

registerRefusal(Pool, staysHere);

/** Why a pool, or what has one, cannot cross. */
export function staysHere(name: string): Failure {
  return new Failure(
    `this ${name} gives tasks from the thread that made it only`,
    `make a ${name} of its own over there, or return what is to be done next and give that task here`,
  );
}

const NO_ARGS: readonly unknown[] = [];

/** @throws {TypeError} One is no function. */
function checkCallbacks({ callback, errorCallback }: Callbacks<any>): void {
  for (const [name, given] of Object.entries({ callback, errorCallback }))
    if (given !== undefined && typeof given !== 'function')
      throw new TypeError(
        `Cannot use ${given === null ? 'null' : typeof given} as "${name}": give a function`,
      );
}

/** Has callbacks called once a result is there. */
function callBack<R>(result: AsyncResult<R>, { callback, errorCallback }: Callbacks<R>): AsyncResult<R> {
  if (callback === undefined && errorCallback === undefined) return result;
  const call = () => {
    const { outcome } = result;
    if (!outcome) return;
    if ('error' in outcome) {
      if (errorCallback) result.catch(() => {}); // somebody has been told
      errorCallback?.(outcome.error);
    } else callback?.(outcome.value);
  };
  // In a microtask of their own: what they throw is theirs, and concerns neither the pool nor other tasks.
  if (result.ready()) queueMicrotask(call);
  else result.watch(() => queueMicrotask(call));
  return result;
}

/** The stack of who called `callee`. */
function stackOf(callee: unknown): Caller {
  const caller: Caller = {};
  Error.captureStackTrace(caller, callee as (...args: unknown[]) => unknown);
  return caller;
}
