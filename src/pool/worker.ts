import { beginCollecting, endCollecting } from '../channel/tickets.js';
import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { encodeInto, takeEncoded } from '../codec/encode.js';
import { encodeThrown } from '../codec/errors.js';
import { REASON } from '../memory/layout.js';
import { messageAt } from '../memory/message.js';
import { indexOf, self } from '../memory/participants.js';
import { now } from '../platform/platform.js';
import { type PortableTarget, resolveTarget } from '../process/target.js';
import { fail } from '../process/work.js';
import { hold, onRing, ring, unhold } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import { Board, CHUNK, PHASE, RETURNED, TELL, THREW } from './board.js';

/** What a worker is told at its birth. */
export interface WorkerOptions {
  readonly board: number;
  readonly slots: number;
  readonly workers: number;
  /** Its number on the board. */
  readonly index: number;
  /** It retires when its memory has grown beyond this, bytes. */
  readonly maxMemory: number | undefined;
  /** May it spend CPU time on waiting? */
  readonly lingers: boolean;
  /** Handle of a message with what to run first, an Initializer; 0: nothing. */
  readonly initializer: number;
}

/** What a worker runs before its first task. */
export interface Initializer {
  readonly target: PortableTarget;
  readonly args: readonly unknown[];
}

const ROOT = { root: 'result' };

type Runnable = (...args: unknown[]) => unknown;

/** How many functions a worker keeps ready; the one that came first goes first. */
const FUNCTIONS_KEPT = 256;
/** How long the news of a finished task may wait while its worker goes on with others, ms. */
const NEWS = 0.1;
/** How long a worker looks out for the next task before it sleeps, ms; how often it looks between looks at the clock. */
const LINGER = 0.05;
const LOOKS = 64;
/** How often lingering may fail in a row at most; once it has, it is tried every so many times. */
const MOST_CREDIT = 4;
const SELDOM = 64;
/** After this much work at a stretch the event loop has its turn, ms. */
const STRETCH = 10;

/** A pool worker's life: takes tasks from the board, one at a time, until the pool closes or it has grown too large. */
function serve(options: WorkerOptions): Promise<void> {
  return new Promise(resolve => {
    own = new Worker(options, resolve);
    void own.start();
  });
}

/** The whole life of a worker's process or thread: what tasks have left on its event loop ends with it. */
export async function serveToTheEnd(options: WorkerOptions): Promise<never> {
  await serve(options);
  process.exit();
}

/** The worker that this thread is. In a process that a task has forked: none. That goes on with the task, but the tasks are its parent's. */
let own: Worker | undefined;
onFork(() => ({
  take: () => {
    own = undefined;
  },
}));

class Worker {
  readonly #board: Board;
  readonly #index: number;
  readonly #maxMemory: number;
  readonly #initializer: number;
  readonly #leave: () => void;
  /** Record number of the pool's thread. */
  readonly #owner: number;
  readonly #functions = new Map<number, Runnable>();
  readonly #lingers: boolean;
  /** How often in a row lingering may be in vain. */
  #credit = 1;
  #skipped = 0;
  #busy = false;
  /** Has it finished tasks of which the pool has not been told? */
  #news = false;

  constructor(options: WorkerOptions, leave: () => void) {
    this.#board = Board.at(options.board, options.slots, options.workers);
    this.#index = options.index;
    this.#maxMemory = options.maxMemory ?? Number.POSITIVE_INFINITY;
    this.#initializer = options.initializer;
    this.#lingers = options.lingers;
    this.#leave = leave;
    this.#owner = indexOf(this.#board.owner);
  }

  async start(): Promise<void> {
    hold();
    this.#board.introduce(this.#index, indexOf(self()), self());
    if (this.#initializer !== 0 && !(await this.#initialize())) return;
    onRing(REASON.CHANNEL, () => this.#work());
    this.#board.setPhase(this.#index, PHASE.READY);
    this.#tell();
    this.#work();
  }

  async #initialize(): Promise<boolean> {
    try {
      const { value } = await decodeAsync(messageAt(this.#initializer));
      const { target, args } = value as Initializer;
      await (await resolveTarget(target))(...args);
      return true;
    } catch (error) {
      this.#board.fail(this.#index, encodeThrown(error));
      this.#tell();
      return false; // and wait to be ended
    }
  }

  #tell(): void {
    this.#news = false;
    ring(this.#owner, REASON.CHANNEL);
  }

  #work(): void {
    if (this.#busy || own !== this) return;
    this.#busy = true;
    const start = now();
    for (let told = start; ; ) {
      const slot = this.#board.claim(this.#index);
      if (slot < 0) {
        if (this.#news) this.#tell();
        if (this.#lingers && this.#linger()) continue;
        if (this.#board.rest(this.#index)) {
          this.#busy = false;
          return;
        }
        if (!this.#board.isEmpty) continue;
        this.#end();
        return;
      }
      const pending = this.#run(slot);
      if (own !== this) return;
      if (pending) {
        if (this.#news) this.#tell();
        void pending.then(() => this.#resume());
        return;
      }
      if (this.#isTooLarge()) {
        this.#end();
        return;
      }
      const time = now();
      if (time - told > NEWS) {
        this.#tell();
        told = time;
      }
      if (time - start > STRETCH) {
        if (this.#news) this.#tell();
        setImmediate(() => this.#resume());
        return;
      }
    }
  }

  /**
   * Looks out for a task a moment longer before it sleeps: falling asleep and being woken takes longer than many a task.
   * Only as long as that proves right: each time it was in vain makes it less likely to be tried.
   */
  #linger(): boolean {
    if (this.#credit === 0) {
      if (++this.#skipped < SELDOM) return false;
      this.#skipped = 0;
    }
    const end = now() + LINGER;
    do {
      for (let i = 0; i < LOOKS; i++) {
        if (this.#board.isEmpty) continue;
        if (this.#credit < MOST_CREDIT) this.#credit++;
        return true;
      }
    } while (now() < end);
    if (this.#credit > 0) this.#credit--;
    return false;
  }

  #resume(): void {
    if (own !== this) return;
    if (this.#isTooLarge()) this.#end();
    else {
      this.#busy = false;
      this.#work();
    }
  }

  #isTooLarge(): boolean {
    return this.#maxMemory !== Number.POSITIVE_INFINITY && process.memoryUsage.rss() > this.#maxMemory;
  }

  #end(): void {
    this.#board.setPhase(this.#index, PHASE.RETIRED);
    this.#tell();
    unhold();
    this.#leave();
  }

  /** Undefined: it is finished already. */
  #run(slot: number): Promise<void> | undefined {
    const board = this.#board;
    if ((board.flags(slot) & TELL) !== 0) this.#tell();
    const start = now();
    const fn = this.#functions.get(board.functionOf(slot));
    if (!fn || board.args(slot, needsModules)) return this.#runLater(slot, start);
    let value: unknown;
    try {
      value = call(fn, board.args(slot, decode) as unknown[], board.flags(slot));
    } catch (error) {
      this.#finish(slot, THREW, error, start);
      return undefined;
    }
    if (isThenable(value)) return this.#await(slot, value, start);
    this.#finish(slot, RETURNED, value, start);
    return undefined;
  }

  /** The same where something must be imported first. */
  async #runLater(slot: number, start: number): Promise<void> {
    try {
      const fn = await this.#function(slot);
      const { value: args } = await this.#board.args(slot, decodeAsync);
      await this.#await(slot, call(fn, args as unknown[], this.#board.flags(slot)), start);
    } catch (error) {
      this.#finish(slot, THREW, error, start);
    }
  }

  async #await(slot: number, value: unknown, start: number): Promise<void> {
    let result: unknown;
    try {
      result = await value;
    } catch (error) {
      this.#finish(slot, THREW, error, start);
      return;
    }
    this.#finish(slot, RETURNED, result, start);
  }

  async #function(slot: number): Promise<Runnable> {
    const id = this.#board.functionOf(slot);
    let fn = this.#functions.get(id);
    if (fn) return fn;
    const { value } = await decodeAsync(messageAt(this.#board.definitionOf(slot)));
    fn = (await resolveTarget(value as PortableTarget)) as Runnable;
    this.#functions.set(id, fn);
    if (this.#functions.size > FUNCTIONS_KEPT) {
      for (const oldest of this.#functions.keys()) {
        this.#functions.delete(oldest);
        break;
      }
    }
    return fn;
  }

  #finish(slot: number, outcome: number, value: unknown, start: number): void {
    if (own !== this) {
      if (outcome === THREW) fail(value);
      return;
    }
    const told = this.#write(slot, outcome, value);
    const microseconds = Math.round((now() - start) * 1000);
    if (!this.#board.finish(this.#index, slot, told, microseconds)) awaitTheEnd();
    this.#news = true;
  }

  /** Writes down what a task came to; what cannot be written is told by the error that says so. */
  #write(slot: number, outcome: number, value: unknown): number {
    const board = this.#board;
    const before = beginCollecting();
    let message: Uint8Array | undefined;
    let length = -1;
    try {
      if (outcome === THREW) message = encodeThrown(value);
      else {
        length = encodeInto(value, board.resultRoom(slot), 0, ROOT);
        if (length < 0) message = takeEncoded();
      }
    } catch (error) {
      endCollecting(before)?.release();
      return this.#writeFailure(slot, outcome, error);
    }
    const tickets = endCollecting(before);
    if (tickets) message ??= board.resultRoom(slot).slice(0, length);
    try {
      if (message) board.putResult(slot, message, tickets);
      else board.setResultLength(slot, length);
      return outcome;
    } catch (error) {
      tickets?.release();
      return this.#writeFailure(slot, outcome, error);
    }
  }

  #writeFailure(slot: number, outcome: number, error: unknown): number {
    if (outcome !== THREW) return this.#write(slot, THREW, error);
    this.#board.setResultLength(slot, 0); // not even room for the error: the pool says so
    return THREW;
  }
}

/** For one that is being killed, and must touch nothing more. */
function awaitTheEnd(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function call(fn: Runnable, args: unknown[], flags: number): unknown {
  return (flags & CHUNK) === 0 ? fn(...args) : applyToEach(fn, args, []);
}

/** Calls the function with one item after the other. The first that throws ends it. */
function applyToEach(fn: Runnable, items: unknown[], results: unknown[]): unknown[] | Promise<unknown[]> {
  while (results.length < items.length) {
    const value = fn(items[results.length]);
    if (isThenable(value)) {
      return Promise.resolve(value).then(result => {
        results.push(result);
        return applyToEach(fn, items, results);
      });
    }
    results.push(value);
  }
  return results;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
  );
}
