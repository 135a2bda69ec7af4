import { beginLending, endCollecting, type Tickets } from '../channel/tickets.js';
import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { encode, encodeInto, takeEncoded } from '../codec/encode.js';
import { decodeThrown, decodeThrownAsync, joinStacks } from '../codec/errors.js';
import {
  CancelledError,
  type Ending,
  LifecycleError,
  OutOfMemoryError,
  TimeoutError,
  WorkerDiedError,
} from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { cpuCount } from '../platform/platform.js';
import type { Process } from '../process/process.js';
import { checkStartMethod } from '../process/start-method.js';
import { portable, type Target } from '../process/target.js';
import type { Thread } from '../process/thread.js';
import { Completion } from '../wait/completion.js';
import { markDead } from '../wait/deaths.js';
import { hold, holding, onRing, ring, unhold } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import type { WaitOptions } from '../wait/options.js';
import { AsyncResult, type Source } from './async-result.js';
import { Board, CHUNK, MAX_WORKERS, PHASE, TELL, THREW } from './board.js';
import { type Carrier, type Kind, startWorker } from './carriers.js';
import type { Context } from './context.js';
import { Durations } from './durations.js';
import { type Definition, Functions, freeKept, type Kept, storeKept } from './functions.js';
import { type MappedIterator, mapInOrder, mapUnordered } from './imap.js';

export interface PoolOptions {
  /** Workers. Default cpuCount(). */
  size?: number;
  /** 'process' (default) or 'thread'. */
  kind?: Kind;
  /** How its processes start. Default: getContext(). */
  context?: Context;
  /** Runs once in each new worker, before its first task. Its failure fails every task with its error. */
  initializer?: Target<any, any>;
  initargs?: readonly unknown[];
  /** A worker is replaced when its resident memory passes this after a task, bytes. */
  maxMemoryPerChild?: number;
}

export interface TaskOptions {
  /** Milliseconds of running (waiting is not counted); past it the worker is killed and replaced and the task rejects with TimeoutError. */
  timeout?: number;
  /** Aborting removes a waiting task, and kills and replaces the worker of a running one. */
  signal?: AbortSignal;
  /** Run again when its worker died (not when it threw). Default 0. */
  retries?: number;
}

export interface MapOptions extends TaskOptions {
  /** Items a task. `timeout` and `retries` count for each task. */
  chunksize?: number;
}

export interface PoolStats {
  size: number;
  busy: number;
  pending: number;
  completed: number;
  failed: number;
  restarts: number;
  /** Of running, ms. */
  taskTime: { mean: number; p50: number; p99: number };
}

/** Tasks that are on the board at a time; more wait in this process. */
const SLOTS = 2048;
/**
 * Workers that end one after the other before they are ready, after which the pool gives up. SIGKILL comes from outside, so
 * it may be chance that it hits those that start: ten of it count as one.
 */
const FAILED_STARTS = 3;
const KILLED = 0.1;

/**
 * Calls in one turn of the event loop whose stacks are taken, for errors to show: taking one costs more than the whole
 * task does.
 */
const STACKS_A_TURN = 8;

/** Where a call came from; its stack is made into text only when asked. */
interface Caller {
  stack?: string;
}

/** One call. */
interface Task {
  readonly definition: Definition;
  readonly flags: number;
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly caller: Caller | undefined;
  readonly result: AsyncResult<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** Encoded arguments, while it waits for a slot. */
  message: Uint8Array | undefined;
  /** Ends of pipes in its arguments: open until it has settled. */
  tickets: Tickets | null;
  slot: number;
  retries: number;
  timer: NodeJS.Timeout | undefined;
  abort: (() => void) | undefined;
  /** Why its worker is being killed. */
  doomed: { reason: unknown } | undefined;
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

/** A worker's place. */
interface Seat {
  readonly index: number;
  carrier: Carrier | undefined;
  /** How many of its finished tasks have been seen. */
  seen: number;
  /** Has its worker been seen to be more than starting? */
  up: boolean;
}

/**
 * Workers that wait for tasks: processes, or threads of this one.
 *
 * Order: tasks start in the order in which they were given; a task that waits starts as soon as any worker is free.
 * Endings: whatever a task or its worker does, the task's promise settles. A worker that died is replaced, and only the
 * task that it ran is lost (or run again, with `retries`).
 * Life: workers start with the pool. An idle pool does not keep the program alive, and its workers end with it.
 *
 * Python: `multiprocessing.Pool` and `ThreadPool`, whose tasks are lost, and whose callers hang, when a worker dies.
 */
export class Pool implements AsyncDisposable {
  readonly size: number;
  readonly #kind: Kind;
  readonly #options: PoolOptions;
  readonly #board: Board;
  readonly #functions: Functions;
  /** The message with what workers run first. */
  readonly #initializer: Kept | undefined;
  readonly #seats: Seat[] = [];
  readonly #tasks: (Task | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** Tasks for which there was no slot, oldest first. */
  readonly #waiting = new Set<Task>();
  /** Tasks with a time limit that have not been seen running. */
  readonly #untimed = new Set<Task>();
  readonly #ready = new Completion<void>();
  readonly #ended = new Completion<void>();
  readonly #durations = new Durations();
  readonly #stopListening: () => void;
  #outstanding = 0;
  #posted = 0;
  #stacks = 0;
  /** Results whose reading takes time. */
  #reading = 0;
  #completed = 0;
  #failed = 0;
  #restarts = 0;
  #failedStarts = 0;
  #state: 'open' | 'closed' | 'terminated' = 'open';
  #broken: unknown;
  /** The process that it belongs to. */
  readonly #creator = process.pid;

  /**
   * @throws {RangeError | TypeError} An option is wrong.
   */
  constructor(size?: number | PoolOptions, options?: PoolOptions) {
    this.#options = {
      ...(typeof size === 'object' ? size : { ...(size === undefined ? {} : { size }) }),
      ...options,
    };
    checkOptions(this.#options);
    this.size = this.#options.size ?? cpuCount();
    this.#kind = this.#options.kind ?? 'process';
    const me = self();
    this.#initializer = storeInitializer(this.#options, me);
    this.#board = Board.make(SLOTS, this.size, me);
    this.#functions = new Functions(me);
    for (let slot = SLOTS - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
    this.#stopListening = onRing(REASON.CHANNEL, () => this.#drain());
    pools.add(this);
    for (let index = 0; index < this.size; index++) {
      const seat: Seat = { index, carrier: undefined, seen: 0, up: false };
      this.#seats.push(seat);
      this.#seat(seat);
    }
  }

  /** The workers that live, now. */
  get workers(): readonly (Process | Thread)[] {
    return this.#seats.flatMap(({ carrier }) => carrier?.execution ?? []);
  }

  /** Stale as soon as it is read. */
  get stats(): PoolStats {
    let busy = 0;
    for (const task of this.#tasks) if (task && this.#board.takenBy(task.slot) >= 0) busy++;
    return {
      size: this.size,
      busy,
      pending: this.#outstanding - busy,
      completed: this.#completed,
      failed: this.#failed,
      restarts: this.#restarts,
      taskTime: this.#durations.summary(),
    };
  }

  /**
   * Calls `fn(...args)` in a worker. Its arguments are copied at once; a function crosses once for each worker, with
   * what it captures as it was at its first task. Rejects with what the function threw, whose stack goes on to
   * show this call (not when many calls are made in one go).
   * Rejects with WorkerDiedError when the worker ended under it, TimeoutError past `timeout`, `signal.reason` when
   * aborted, CancelledError when cancelled or when the pool was terminated, SerializationError when something cannot cross.
   * @throws {LifecycleError} The pool is closed.
   */
  run<A extends readonly unknown[], R>(
    fn: Target<A, R>,
    args?: A,
    options?: TaskOptions,
  ): AsyncResult<Awaited<R>> {
    const caller = this.#stacks++ < STACKS_A_TURN ? stackOf(this.run) : undefined;
    return this.#submit(fn, args ?? [], options, 0, caller) as AsyncResult<Awaited<R>>;
  }

  /** The same, by Python's name. */
  apply<A extends readonly unknown[], R>(fn: Target<A, R>, args?: A): AsyncResult<Awaited<R>> {
    return this.run(fn, args);
  }

  /**
   * Calls `fn` with each item, in chunks, and gives the results in order. When a call throws, the rest of its chunk
   * is not run; the result rejects with the first error, in order of items, once all chunks have settled.
   * An iterator that throws rejects it with its error.
   */
  map<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options: MapOptions = {},
  ): AsyncResult<Awaited<R>[]> {
    this.#checkOpen();
    checkChunksize(options);
    const { result, resolve, reject } = AsyncResult.pending<Awaited<R>[]>();
    const chunks: AsyncResult<unknown>[] = [];
    result.setSource({
      cancel: () => {
        for (const chunk of chunks) chunk.cancel();
        return true;
      },
      withdraw: () => chunks.filter(chunk => chunk.withdraw()).length > 0,
    });
    void this.#map(fn, items, options, chunks, stackOf(this.map)).then(
      values => {
        result.conclude('returned');
        resolve(values as Awaited<R>[]);
      },
      error => {
        result.conclude('threw');
        reject(error);
      },
    );
    return result;
  }

  async #map(
    fn: Target<[any], unknown>,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: MapOptions,
    chunks: AsyncResult<unknown>[],
    caller: Caller,
  ): Promise<unknown[]> {
    const list = Symbol.asyncIterator in items ? await collect(items) : Array.from(items);
    // Four chunks a worker, as in Python: few enough to be cheap, enough for the slower workers to be helped out.
    const chunksize = options.chunksize ?? Math.max(1, Math.ceil(list.length / (this.size * 4)));
    for (let i = 0; i < list.length; i += chunksize)
      chunks.push(this.#submit(fn, list.slice(i, i + chunksize), options, CHUNK, caller));
    const settled = await Promise.allSettled(chunks);
    const values: unknown[] = [];
    for (const chunk of settled) {
      if (chunk.status === 'rejected') throw chunk.reason;
      for (const value of chunk.value as unknown[]) values.push(value);
    }
    return values;
  }

  /**
   * Calls `fn` with each item and gives the results in order, as they come. Takes from `items` only as fast as
   * results are taken, `buffer` items ahead (default: four chunks a worker), so that endless input is fine. An error comes
   * in the place of its result, and the iteration goes on after it with next().
   */
  imap<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options: MapOptions & { buffer?: number } = {},
  ): MappedIterator<Awaited<R>> {
    return mapInOrder<Awaited<R>>(this.#source(fn, items, options));
  }

  /** The same, each result as soon as it is there, whatever its place. */
  imapUnordered<T, R>(
    fn: Target<[T], R>,
    items: Iterable<T> | AsyncIterable<T>,
    options: MapOptions & { buffer?: number } = {},
  ): MappedIterator<Awaited<R>> {
    return mapUnordered<Awaited<R>>(this.#source(fn, items, options));
  }

  #source(
    fn: Target<[any], unknown>,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: MapOptions & { buffer?: number },
  ) {
    this.#checkOpen();
    checkChunksize(options);
    const chunksize = options.chunksize ?? 1;
    const caller = stackOf(this.#source);
    const buffer = options.buffer ?? this.size * 4 * chunksize;
    if (!(buffer >= 1)) throw new RangeError(`Cannot use ${buffer} as "buffer": give 1 or more`);
    return {
      items,
      chunksize,
      chunks: Math.max(1, Math.floor(buffer / chunksize)),
      submit: (chunk: unknown[]) => this.#submit(fn, chunk, options, CHUNK, caller) as AsyncResult<unknown[]>,
    };
  }

  /** Resolves when every worker is up. @throws {TimeoutError} Some was not when `timeout` ms had passed. */
  async ready(options?: WaitOptions): Promise<void> {
    this.#checkOpen();
    if (!(await holding(this.#ready.wait(options))))
      throw new TimeoutError(`Cannot have all workers ready within ${options?.timeout} ms: allow more time`);
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** No more tasks. Workers end when all that were given are done. @throws {LifecycleError} The pool is another process's. */
  close(): void {
    this.#checkCreator('close');
    if (this.#state === 'open') this.#state = 'closed';
    this.#closeIfDone();
  }

  /** Ends the workers now. Outstanding tasks reject with CancelledError. Resolves when the workers are gone. */
  async terminate(): Promise<void> {
    this.#checkCreator('terminate');
    if (this.#state !== 'terminated') {
      this.#state = 'terminated';
      if (!this.#ended.outcome) this.#board.close();
      this.#rejectAll(() => new CancelledError('Cannot finish the task as its pool was terminated'));
      for (const seat of this.#seats) this.#kill(seat);
      this.#endIfEmpty();
    }
    await holding(this.#ended.wait());
  }

  /**
   * Waits until the workers have ended. False: `timeout` ms had passed first.
   * @throws {LifecycleError} Neither close() nor terminate() was called, or the pool is another process's.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    this.#checkCreator('join');
    if (this.#state === 'open')
      throw new LifecycleError('Cannot join the pool as it is open: call close() or terminate() first');
    return (await holding(this.#ended.wait(options))) !== undefined;
  }

  /** Like leaving Python's `with`: terminates it, unless it was closed; then joins. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'open') await this.terminate();
    else await this.join();
  }

  // ── tasks ──

  #submit(
    fn: unknown,
    args: readonly unknown[],
    options: TaskOptions | undefined,
    flags: number,
    caller: Caller | undefined,
  ): AsyncResult<unknown> {
    this.#checkOpen();
    const { result, resolve, reject } = AsyncResult.pending<unknown>();
    const timeout = options?.timeout;
    const signal = options?.signal;
    let definition: Definition;
    let slot = -1;
    let message: Uint8Array | undefined;
    const before = beginLending();
    try {
      checkTaskOptions(options);
      signal?.throwIfAborted();
      if (this.#broken !== undefined) throw this.#broken;
      definition = this.#functions.define(fn);
      if (this.#waiting.size === 0 && this.#freeSlots.length > 0 && this.#board.hasRoom) {
        slot = this.#freeSlots[this.#freeSlots.length - 1];
        message = this.#encodeInto(slot, args);
        this.#freeSlots.pop();
      } else message = encode(args, { root: 'args' });
    } catch (error) {
      endCollecting(before)?.release();
      result.conclude('threw');
      reject(error);
      return result;
    }
    const tickets = endCollecting(before);
    const task: Task = {
      definition,
      flags: timeout === undefined ? flags : flags | TELL,
      timeout,
      signal,
      caller,
      result,
      resolve,
      reject,
      message,
      tickets,
      slot: -1,
      retries: options?.retries ?? 0,
      timer: undefined,
      abort: undefined,
      doomed: undefined,
    };
    this.#functions.use(definition);
    result.setSource(new TaskSource(this.#callOff, task));
    if (this.#outstanding++ === 0) hold();
    if (signal) {
      task.abort = () => this.#callOff(task, signal.reason);
      signal.addEventListener('abort', task.abort, { once: true });
    }
    if (slot >= 0) this.#post(task, slot);
    else this.#waiting.add(task);
    return result;
  }

  /** Short arguments straight into the slot; else their message is returned. */
  #encodeInto(slot: number, args: readonly unknown[]): Uint8Array | undefined {
    const length = encodeInto(args, this.#board.argsRoom(slot), 0, { root: 'args' });
    if (length < 0) return takeEncoded();
    this.#board.setArgsLength(slot, length);
    return undefined;
  }

  #post(task: Task, slot: number): void {
    const { definition, flags } = task;
    this.#board.fill(slot, definition.id, definition.handle, flags);
    if (task.message) {
      this.#board.putArgs(slot, task.message);
      task.message = undefined;
    }
    task.slot = slot;
    this.#tasks[slot] = task;
    if (task.timeout !== undefined) this.#untimed.add(task);
    this.#board.post(slot);
    // Many tasks given in one go are announced together.
    if (this.#posted++ === 0) queueMicrotask(this.#announce);
  }

  readonly #announce = (): void => {
    this.#stacks = 0;
    let wanted = this.#posted;
    this.#posted = 0;
    for (const { index } of this.#seats) {
      if (wanted === 0) return;
      if (!this.#board.rouse(index)) continue;
      ring(this.#board.participant(index), REASON.CHANNEL);
      wanted--;
    }
  };

  /** Takes note of all that workers have done. */
  #drain(): void {
    this.#stacks = 0;
    const board = this.#board;
    let starting = 0;
    if (this.#ended.outcome) return;
    for (const seat of this.#seats) {
      for (const count = board.finishedBy(seat.index); seat.seen !== count; ) {
        const slot = board.finishedAt(seat.index, seat.seen);
        seat.seen = (seat.seen + 1) | 0;
        this.#conclude(slot);
      }
      const phase = board.phase(seat.index);
      if (phase === PHASE.STARTING) starting++;
      else if (!seat.up) {
        seat.up = true;
        this.#failedStarts = 0;
      }
      if (phase === PHASE.FAILED) {
        this.#break(this.#failure(seat));
        return;
      }
    }
    if (starting === 0) this.#ready.complete();
    for (const task of this.#untimed) if (board.takenBy(task.slot) >= 0) this.#time(task);
    this.#refill();
  }

  #refill(): void {
    for (const task of this.#waiting) {
      if (this.#freeSlots.length === 0 || !this.#board.hasRoom) return;
      this.#waiting.delete(task);
      const slot = this.#freeSlots.pop() as number;
      try {
        this.#post(task, slot);
      } catch (error) {
        // No room in the commons for its arguments.
        this.#freeSlots.push(slot);
        this.#settle(task, undefined, { error });
      }
    }
  }

  /** The task in this slot is done: reads its result and frees the slot. */
  #conclude(slot: number): void {
    const task = this.#tasks[slot];
    const board = this.#board;
    if (!task || !board.isDone(slot)) return;
    const threw = board.outcome(slot) === THREW;
    this.#durations.add(board.microseconds(slot) / 1000);
    let value: unknown;
    try {
      if (board.result(slot, needsModules)) {
        this.#concludeLater(slot, task, threw);
        return;
      }
      value = board.result(slot, threw ? decodeError : decode);
    } catch (error) {
      this.#release(task);
      this.#settle(task, undefined, { error });
      return;
    }
    this.#release(task);
    if (threw) this.#settle(task, undefined, { error: value });
    else this.#settle(task, value, undefined);
  }

  /** The same where something must be imported first. The slot stays taken meanwhile. */
  #concludeLater(slot: number, task: Task, threw: boolean): void {
    this.#tasks[slot] = undefined;
    this.#reading++;
    this.#board
      .result(slot, async (bytes, offset, length) =>
        threw
          ? { error: await decodeThrownAsync(bytes, offset, length) }
          : { value: (await decodeAsync(bytes, offset, length)).value },
      )
      .catch(error => ({ error }))
      .then(outcome => {
        this.#reading--;
        this.#release(task);
        this.#settle(
          task,
          'value' in outcome ? outcome.value : undefined,
          'error' in outcome ? outcome : undefined,
        );
        this.#refill();
        this.#endIfEmpty();
      });
  }

  /** Frees the slot of a task that no worker has. */
  #release(task: Task): void {
    if (task.slot < 0) return;
    this.#tasks[task.slot] = undefined;
    this.#board.clear(task.slot);
    this.#freeSlots.push(task.slot);
    task.slot = -1;
  }

  #settle(task: Task, value: unknown, failure: { error?: unknown } | undefined): void {
    if (task.timeout !== undefined) {
      this.#untimed.delete(task);
      clearTimeout(task.timer);
    }
    if (task.abort) task.signal?.removeEventListener('abort', task.abort);
    task.tickets?.release();
    this.#functions.release(task.definition);
    if (failure) {
      this.#failed++;
      task.result.conclude('threw');
      const { error } = failure;
      // The caller's own reason stays as it is, and so does what all tasks of a broken pool reject with.
      const isShared = error === this.#broken || error === task.signal?.reason;
      if (error instanceof Error && !isShared && task.caller?.stack) joinStacks(error, task.caller.stack);
      task.reject(error);
    } else {
      this.#completed++;
      task.result.conclude('returned');
      task.resolve(value);
    }
    if (--this.#outstanding === 0) {
      unhold();
      this.#closeIfDone();
    }
  }

  /** Ends a task for a reason of the caller's. False: it is over, or it runs and is to be spared. */
  readonly #callOff: CallOff = (task, reason, { running } = { running: true }) => {
    this.#checkCreator('cancel a task of');
    if (task.result.ready() || task.doomed) return false;
    if (task.slot < 0) {
      if (!this.#waiting.delete(task)) return false; // its result is being read
    } else if (!this.#board.withdraw(task.slot)) {
      if (!running || !this.#board.seize(task.slot)) return false;
      // Its worker has it: that ends, and the task with it.
      task.doomed = { reason };
      this.#kill(this.#seats[this.#board.takenBy(task.slot)]);
      return true;
    } else this.#release(task);
    this.#settle(task, undefined, { error: reason });
    return true;
  };

  #time(task: Task): void {
    this.#untimed.delete(task);
    const { timeout = 0, definition } = task;
    task.timer = setTimeout(() => {
      this.#drain(); // it may be done, and only the news be on its way
      this.#callOff(
        task,
        new TimeoutError(
          `Cannot finish ${definition.name} within ${timeout} ms: its worker was ended. Allow more time`,
        ),
      );
    }, timeout);
  }

  // ── workers ──

  #seat(seat: Seat): void {
    if (this.#broken !== undefined) return;
    this.#board.resetWorker(seat.index);
    seat.seen = 0;
    seat.up = false;
    const { context, maxMemoryPerChild } = this.#options;
    const options = {
      board: this.#board.handle,
      slots: SLOTS,
      workers: this.size,
      index: seat.index,
      maxMemory: maxMemoryPerChild,
      initializer: this.#initializer?.handle ?? 0,
      lingers: cpuCount() > 1,
    };
    try {
      seat.carrier = startWorker(this.#kind, options, context?.method, end => this.#unseat(seat, end));
    } catch (error) {
      this.#break(error);
    }
  }

  /** A worker has ended: what it was doing is decided, and another takes its place. */
  #unseat(seat: Seat, end: Ending): void {
    const retired = this.#board.phase(seat.index) === PHASE.RETIRED;
    const started = this.#board.phase(seat.index) !== PHASE.STARTING;
    const tag = this.#board.tag(seat.index);
    if (this.#kind === 'thread' && tag !== 0) markDead(tag);
    ring(this.#board.participant(seat.index), REASON.CHANNEL); // it is gone: what is kept for ringing it goes, too
    this.#drain();
    seat.carrier = undefined;
    for (const task of this.#tasks.slice()) {
      if (!task) continue;
      this.#conclude(task.slot);
      if (task.slot >= 0 && this.#board.takenBy(task.slot) === seat.index) this.#bereave(task, end);
    }
    const isLast = this.#state === 'terminated' || (this.#state === 'closed' && this.#outstanding === 0);
    if (isLast || this.#broken !== undefined) {
      this.#endIfEmpty();
      return;
    }
    if (!retired) this.#restarts++;
    if (!started) this.#failedStarts += end.signalCode === 'SIGKILL' ? KILLED : 1;
    if (this.#failedStarts >= FAILED_STARTS) {
      this.#break(death('a task', end));
      return;
    }
    this.#seat(seat);
    this.#refill();
  }

  /** A task's worker has ended under it. */
  #bereave(task: Task, end: Ending): void {
    clearTimeout(task.timer);
    if (!task.doomed && task.retries > 0) {
      task.retries--;
      this.#board.abandon(task.slot);
      if (task.timeout !== undefined) this.#untimed.add(task);
      this.#board.post(task.slot);
      if (this.#posted++ === 0) queueMicrotask(this.#announce);
      return;
    }
    this.#release(task);
    this.#settle(task, undefined, {
      error: task.doomed ? task.doomed.reason : death(task.definition.name, end),
    });
  }

  /** What its initializer threw. */
  #failure(seat: Seat): unknown {
    const message = this.#board.failure(seat.index);
    return message
      ? decodeThrown(message)
      : new LifecycleError('Cannot start a worker as its initializer failed');
  }

  /** No worker can be had: all tasks fail, now and later. */
  #break(error: unknown): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#ready.complete();
    this.#rejectAll(() => error);
    for (const seat of this.#seats) this.#kill(seat);
    this.#endIfEmpty();
  }

  /** Ends a worker, whatever it does. */
  #kill(seat: Seat | undefined): void {
    if (!seat?.carrier) return;
    seat.carrier.kill();
    ring(this.#board.participant(seat.index), 0); // a thread that sleeps in the kernel has to come back for that
  }

  #rejectAll(reason: () => unknown): void {
    for (const task of this.#waiting) this.#settle(task, undefined, { error: reason() });
    this.#waiting.clear();
    for (const task of this.#tasks.slice()) {
      if (!task) continue;
      // Slots that workers hold are cleared with the board.
      if (this.#board.withdraw(task.slot)) this.#release(task);
      else this.#tasks[task.slot] = undefined;
      this.#settle(task, undefined, { error: reason() });
    }
  }

  #closeIfDone(): void {
    if (this.#state !== 'closed' || this.#outstanding > 0 || this.#ended.outcome) return;
    this.#board.close();
    for (const { index } of this.#seats)
      if (this.#board.rouse(index)) ring(this.#board.participant(index), REASON.CHANNEL);
    this.#endIfEmpty();
  }

  /** The last worker is gone. */
  #endIfEmpty(): void {
    if (this.#state === 'open' && this.#broken === undefined) return;
    if (this.#ended.outcome || this.#reading > 0 || this.#seats.some(({ carrier }) => carrier)) return;
    this.#stopListening();
    pools.delete(this);
    this.#functions.free();
    if (this.#initializer) freeKept(this.#initializer);
    this.#board.free();
    this.#ended.complete();
  }

  /** @internal In a fork of the process that it belongs to: does nothing for it any more. */
  disown(): void {
    this.#stopListening();
    for (const { timer, signal, abort } of [...this.#tasks, ...this.#waiting].filter(
      task => task !== undefined,
    )) {
      clearTimeout(timer);
      if (abort) signal?.removeEventListener('abort', abort);
    }
  }

  #checkCreator(act: string): void {
    if (this.#creator === process.pid) return;
    throw new LifecycleError(
      `Cannot ${act} the pool as it is that of process ${this.#creator}, of which this one is a fork: make a pool of its own`,
    );
  }

  #checkOpen(): void {
    this.#checkCreator('use');
    if (this.#state !== 'open')
      throw new LifecycleError(`Cannot run a task as the pool is ${this.#state}: make a new pool`);
  }
}

type CallOff = (task: Task, reason: unknown, which?: { running: boolean }) => boolean;

/** What a result calls to be called off. */
class TaskSource implements Source {
  readonly #callOff: CallOff;
  readonly #task: Task;
  constructor(callOff: CallOff, task: Task) {
    this.#callOff = callOff;
    this.#task = task;
  }
  cancel(reason: unknown): boolean {
    return this.#callOff(this.#task, reason);
  }
  withdraw(reason: unknown): boolean {
    return this.#callOff(this.#task, reason, { running: false });
  }
}

/** A worker that found no memory even for its error leaves none. */
function decodeError(bytes: Uint8Array, offset: number, length: number): unknown {
  if (length === 0)
    return new OutOfMemoryError(
      'Cannot give what the task came to as the commons is full: free memory, or raise its limit',
    );
  return decodeThrown(bytes, offset, length);
}

function death(what: string, { pid, exitCode, signalCode }: Ending): WorkerDiedError {
  const how = signalCode ? `was killed by ${signalCode}` : `exited with code ${exitCode}`;
  return new WorkerDiedError(
    `Cannot finish ${what} as worker ${pid} ${how}: run it again, or set "retries"`,
    {
      pid,
      exitCode,
      signalCode,
    },
  );
}

/** The stack of who called `callee`. */
function stackOf(callee: unknown): Caller {
  const caller: Caller = {};
  Error.captureStackTrace(caller, callee as (...args: unknown[]) => unknown);
  return caller;
}

function storeInitializer({ initializer, initargs = [] }: PoolOptions, owner: number): Kept | undefined {
  if (initializer === undefined) return undefined;
  const work = { target: portable(initializer), args: initargs };
  return storeKept(() => encode(work, { root: 'initializer' }), owner);
}

async function collect(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const item of items) list.push(item);
  return list;
}

function checkOptions({ size, kind, context, maxMemoryPerChild }: PoolOptions): void {
  if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= MAX_WORKERS))
    throw new RangeError(
      `Cannot make a pool of ${String(size)} workers: give a whole number from 1 to ${MAX_WORKERS}`,
    );
  if (kind !== undefined && kind !== 'process' && kind !== 'thread')
    throw new RangeError(`Cannot make a pool of kind ${String(kind)}: give 'process' or 'thread'`);
  if (context !== undefined) checkContext(context);
  if (maxMemoryPerChild !== undefined && !(maxMemoryPerChild > 0))
    throw new RangeError(`Cannot use ${String(maxMemoryPerChild)} as "maxMemoryPerChild": give bytes`);
}

function checkContext(context: unknown): void {
  if (typeof context !== 'object' || context === null)
    throw new TypeError('Cannot use that as "context": give what getContext() returns');
  checkStartMethod((context as Context).method);
}

function checkTaskOptions(options: TaskOptions | undefined): void {
  if (!options) return;
  const { timeout, retries } = options;
  if (timeout !== undefined && !(timeout >= 0))
    throw new RangeError(`Cannot use ${String(timeout)} as "timeout": give 0 or more milliseconds`);
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0))
    throw new RangeError(`Cannot use ${String(retries)} as "retries": give a whole number, 0 or more`);
}

function checkChunksize({ chunksize }: MapOptions): void {
  if (chunksize !== undefined && !(Number.isInteger(chunksize) && chunksize >= 1))
    throw new RangeError(`Cannot use ${String(chunksize)} as "chunksize": give a whole number, 1 or more`);
}
