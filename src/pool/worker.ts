import { collectTickets, storeWithTickets } from '../channel/tickets.js';
import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { encodeThrown } from '../codec/errors.js';
import { CancelledError, TimeoutError } from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { messageAt } from '../memory/message.js';
import { indexOf, self } from '../memory/participants.js';
import { now } from '../platform/platform.js';
import { type PortableTarget, resolveTarget } from '../process/target.js';
import { fail } from '../process/work.js';
import { hold, onRing, ring, unhold } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import { Board, CHUNK, PARTLY, PHASE, RETURNED, SPREAD, TELL, THREW, TIMED_OUT, UNLOAD } from './board.js';
import type { Kind } from './carriers.js';
import { Chunk, isThenable, type PartlyMessage } from './chunk.js';
import { MemoryLimit } from './memory.js';
import { packed, packResult } from './parcel.js';
import { prepare } from './preparation.js';
import { provideSignal } from './task-signal.js';

/** What a worker is told at its birth. */
export interface WorkerOptions {
  readonly board: number;
  readonly slots: number;
  /** For how many workers there is room on the board. */
  readonly capacity: number;
  /** Its number on the board. */
  readonly index: number;
  readonly kind: Kind;
  /** It retires when its memory has grown beyond this, bytes. */
  readonly maxMemory: number | undefined;
  /** It retires after so many tasks. */
  readonly maxTasks: number | undefined;
  /** May it spend CPU time on waiting? */
  readonly lingers: boolean;
  /** Handle of a message that says what to do before the first task and after the last: see prepare(); 0: nothing. */
  readonly preparation: number;
}

type Runnable = (...args: unknown[]) => unknown;

/** A function that this worker has run. */
interface Known {
  readonly fn: Runnable;
  /** How many more of its calls are thought to take long. */
  long: number;
}

/** How many functions a worker keeps ready; the one that came first goes first. */
const FUNCTIONS_KEPT = 256;
/** How long the news of a finished task may wait while its worker goes on with others, ms. */
const NEWS = 0.1;
/**
 * News wait for no call that is thought to take longer than they may: for as many calls as this for each ms that one took. To tell takes
 * a µs or two, so a few percent of that time at most.
 */
const WARY = 32;
/** How long a worker looks out for the next task before it sleeps, ms; how often it looks between looks at the clock. */
const LINGER = 0.1;
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
  readonly #memory: MemoryLimit | undefined;
  /** How many tasks it may run still. */
  #tasksLeft: number;
  readonly #preparation: number;
  readonly #leave: () => void;
  /** What to do before it leaves. */
  #finalize: (() => unknown) | undefined;
  /** Record number of the pool's thread. */
  readonly #owner: number;
  readonly #functions = new Map<number, Known>();
  readonly #lingers: boolean;
  /** How often in a row lingering may be in vain. */
  #credit = 1;
  #skipped = 0;
  #busy = false;
  /** The slot of the task that it runs; −1: none. */
  #slot = -1;
  /** What that task calls, once it has been called before. */
  #known: Known | undefined;
  /** That task's, if it has asked. */
  #controller: AbortController | undefined;
  /** Has it finished tasks of which the pool has not been told? */
  #news = false;

  constructor(options: WorkerOptions, leave: () => void) {
    this.#board = Board.at(options.board, options.slots, options.capacity);
    this.#index = options.index;
    if (options.maxMemory !== undefined) this.#memory = new MemoryLimit(options.kind, options.maxMemory);
    this.#tasksLeft = options.maxTasks ?? Number.POSITIVE_INFINITY;
    this.#preparation = options.preparation;
    this.#lingers = options.lingers;
    this.#leave = leave;
    this.#owner = indexOf(this.#board.owner);
  }

  async start(): Promise<void> {
    hold();
    this.#board.introduce(this.#index, indexOf(self()), self());
    if (this.#preparation !== 0 && !(await this.#prepare())) return;
    provideSignal(() => this.#signal());
    onRing(REASON.CHANNEL, () => {
      this.#hear();
      this.#work();
    });
    this.#board.setPhase(this.#index, PHASE.READY);
    this.#tell();
    this.#work();
  }

  async #prepare(): Promise<boolean> {
    try {
      const { value } = await decodeAsync(messageAt(this.#preparation));
      this.#finalize = await prepare(value);
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
    const board = this.#board;
    const start = now();
    for (let told = start; ; ) {
      const slot = board.claim(this.#index);
      if (slot < 0) {
        if (this.#news) this.#tell();
        if (this.#lingers && !board.isDismissed(this.#index) && this.#linger()) continue;
        if (this.#memory?.isPassedUnseen()) {
          void this.#end();
          return;
        }
        if (board.rest(this.#index)) {
          this.#busy = false;
          return;
        }
        if (!board.isOver(this.#index)) continue;
        void this.#end();
        return;
      }
      const pending = this.#run(slot);
      if (own !== this) return;
      if (pending) {
        if (this.#news) this.#tell();
        void pending.then(() => this.#resume());
        return;
      }
      const time = now();
      if (this.#isSpent(time)) {
        void this.#end();
        return;
      }
      if (time - told > NEWS) {
        this.#tell();
        told = time;
      }
      if (time - start > STRETCH) {
        if (this.#news) this.#tell();
        setImmediate(() => this.#resume(false));
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
        if (this.#board.isQuiet(this.#index)) continue;
        if (this.#credit < MOST_CREDIT) this.#credit++;
        return true;
      }
    } while (now() < end);
    if (this.#credit > 0) this.#credit--;
    return false;
  }

  /** `afterTask`: one has just come to its end. */
  #resume(afterTask = true): void {
    if (own !== this) return;
    if (afterTask && this.#isSpent(now())) void this.#end();
    else {
      this.#busy = false;
      this.#work();
    }
  }

  /** After each task, which ended at `time`: is it to be replaced? */
  #isSpent(time: number): boolean {
    return --this.#tasksLeft <= 0 || this.#memory?.isPassed(time) === true;
  }

  async #end(): Promise<void> {
    if (this.#news) this.#tell();
    try {
      await this.#finalize?.();
    } catch (error) {
      fail(error);
    }
    this.#board.setPhase(this.#index, PHASE.RETIRED);
    this.#tell();
    unhold();
    this.#leave();
  }

  // ── the task that it runs ──

  /** Undefined: it is finished already. */
  #run(slot: number): Promise<void> | undefined {
    const board = this.#board;
    this.#slot = slot;
    const known = this.#functions.get(board.functionOf(slot));
    this.#known = known;
    if ((board.flags(slot) & TELL) !== 0 || (this.#news && known && known.long > 0)) this.#tell();
    const start = now();
    let value: unknown;
    try {
      const fn = known ? known.fn : this.#functionAtOnce(slot);
      if (!fn || board.args(slot, needsModules)) return this.#runLater(slot, start);
      const args = board.args(slot, decode) as unknown[];
      if ((board.flags(slot) & UNLOAD) !== 0) this.#unload(slot);
      if ((board.flags(slot) & CHUNK) !== 0) return this.#runChunk(slot, fn, args, start);
      value = fn(...args);
      if (isThenable(value)) return this.#await(slot, value, start);
    } catch (error) {
      this.#finish(slot, THREW, error, start);
      return undefined;
    }
    this.#finish(slot, RETURNED, value, start);
    return undefined;
  }

  /** The same where something must be imported first. */
  async #runLater(slot: number, start: number): Promise<void> {
    try {
      const fn = await this.#function(slot);
      const args = (await this.#board.args(slot, decodeAsync)).value as unknown[];
      if ((this.#board.flags(slot) & UNLOAD) !== 0) this.#unload(slot);
      if ((this.#board.flags(slot) & CHUNK) !== 0) await this.#runChunk(slot, fn, args, start);
      else await this.#await(slot, fn(...args), start);
    } catch (error) {
      this.#finish(slot, THREW, error, start);
    }
  }

  #unload(slot: number): void {
    this.#board.setRead(slot);
    this.#tell();
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

  #runChunk(slot: number, fn: Runnable, items: unknown[], start: number): Promise<void> | undefined {
    const chunk = new Chunk(fn, items, (this.#board.flags(slot) & SPREAD) !== 0);
    const pending = chunk.run();
    if (pending) return pending.then(() => this.#finishChunk(slot, chunk, start));
    this.#finishChunk(slot, chunk, start);
    return undefined;
  }

  async #function(slot: number): Promise<Runnable> {
    const id = this.#board.functionOf(slot);
    const known = this.#functions.get(id);
    if (known) return known.fn;
    const { value } = await decodeAsync(messageAt(this.#board.definitionOf(slot)));
    const fn = (await resolveTarget(value as PortableTarget)) as Runnable;
    this.#keep(id, fn);
    return fn;
  }

  /** The same where nothing must be imported first: otherwise undefined. */
  #functionAtOnce(slot: number): Runnable | undefined {
    const message = messageAt(this.#board.definitionOf(slot));
    const value = needsModules(message) ? undefined : decode(message);
    if (typeof value !== 'function') return undefined;
    this.#keep(this.#board.functionOf(slot), value as Runnable);
    return value as Runnable;
  }

  #keep(id: number, fn: Runnable): void {
    this.#functions.set(id, { fn, long: 1 });
    if (this.#functions.size <= FUNCTIONS_KEPT) return;
    for (const oldest of this.#functions.keys()) {
      this.#functions.delete(oldest);
      break;
    }
  }

  // ── called off ──

  /** For the task that runs: aborted when it is called off. */
  #signal(): AbortSignal | undefined {
    if (this.#slot < 0 || own !== this) return undefined;
    if (!this.#controller) {
      this.#controller = new AbortController();
      this.#board.heed(this.#slot);
      this.#hear(); // SYNC POINT: it may have been called off between its last look and heed()
    }
    return this.#controller.signal;
  }

  /** Tells the task that runs if it has been called off. */
  #hear(): void {
    const controller = this.#controller;
    if (!controller || controller.signal.aborted || own !== this) return;
    const why = this.#board.calledOff(this.#slot);
    if (why === 0) return;
    controller.abort(
      why === TIMED_OUT
        ? new TimeoutError('Cannot go on with the task as its time is out: end it')
        : new CancelledError('Cannot go on with the task as its caller has called it off: end it'),
    );
  }

  // ── what it came to ──

  #finishChunk(slot: number, chunk: Chunk, start: number): void {
    if (chunk.errors || own !== this) this.#finish(slot, PARTLY, chunk, start);
    else this.#finish(slot, RETURNED, chunk.values, start, chunk);
  }

  #finish(slot: number, outcome: number, value: unknown, start: number, chunk?: Chunk): void {
    if (own !== this) {
      if (outcome === THREW) fail(value);
      return;
    }
    this.#slot = -1;
    this.#controller = undefined;
    const told = this.#write(slot, outcome, value, chunk);
    const took = now() - start;
    if (!this.#board.finish(this.#index, slot, told, Math.round(took * 1000))) awaitTheEnd();
    this.#news = true;
    const known = this.#known;
    if (!known) return;
    if (known.long > 0) known.long--;
    if (took > NEWS) known.long = Math.max(known.long, Math.ceil(took * WARY));
  }

  /** Writes down what a task came to; what cannot be written is told by the error that says so. */
  #write(slot: number, outcome: number, value: unknown, chunk: Chunk | undefined): number {
    const board = this.#board;
    try {
      if (outcome === THREW) this.#store(slot, () => encodeThrown(value));
      else if (outcome === PARTLY) this.#store(slot, () => encodePartly(value as Chunk));
      else {
        packResult(value, board.resultRoom(slot));
        if (packed.handle !== 0) board.setResultBlock(slot, packed.handle);
        else board.setResultLength(slot, packed.length);
      }
      return outcome;
    } catch (error) {
      if (chunk) return this.#write(slot, PARTLY, withoutWhatCannotCross(chunk), undefined);
      if (outcome !== THREW) return this.#write(slot, THREW, error, undefined);
      board.setResultLength(slot, 0); // not even room for the error: the pool says so
      return THREW;
    }
  }

  #store(slot: number, encoding: () => Uint8Array): void {
    const { result, tickets } = collectTickets(encoding);
    const room = this.#board.resultRoom(slot);
    if (result.length <= room.length && !tickets) {
      room.set(result);
      this.#board.setResultLength(slot, result.length);
      return;
    }
    try {
      this.#board.setResultBlock(slot, storeWithTickets(result, self(), tickets));
    } catch (error) {
      tickets?.release();
      throw error;
    }
  }
}

/** For one that is being killed, and must touch nothing more. */
function awaitTheEnd(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function encodePartly({ values, errors = new Map() }: Chunk): Uint8Array {
  return encode({ values, errors: [...errors] } satisfies PartlyMessage, { root: 'result' });
}

/** Some result of the chunk cannot cross: that becomes its item's error. */
function withoutWhatCannotCross(chunk: Chunk): Chunk {
  chunk.values.forEach((value, index) => {
    try {
      collectTickets(() => encode(value, { root: 'result' })).tickets?.release();
    } catch (error) {
      chunk.values[index] = undefined;
      chunk.fail(index, error);
    }
  });
  return chunk;
}
