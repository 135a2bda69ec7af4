import { AsyncResource } from 'node:async_hooks';
import { inspect } from 'node:util';
import { type ResourceLimits, receiveMessageOnPort, threadId } from 'node:worker_threads';
import { collectTickets } from '../channel/tickets.js';
import { decodeThrown } from '../codec/errors.js';
import { entryModule } from '../codec/functions/modules.js';
import { LifecycleError, WorkerDiedError } from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { indexOf, isKnownDead, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { haveAllLook } from '../wait/deaths.js';
import { blockUntil, ring } from '../wait/doorbell.js';
import { forgetThread, rememberThread } from './children.js';
import { type Cradle, makeCradle, mayExist, nameForKernel } from './cradle.js';
import { endCustody, takeCustody } from './custody.js';
import { type End, Execution, type ExecutionOptions, type Outcome } from './execution.js';
import { nextThreadName, present, type SharedIdentity, shareIdentity } from './identity.js';
import { KnownThread } from './known.js';
import { type Bounds, checkLimits, LEAST_HEAP, outOfHeap } from './limits.js';
import { OUTCOME } from './records.js';
import { noteEnd, noteGone, noteStart, takeCradle } from './reserve.js';
import { enrolledSelf, nameOf, nameVersion, rename } from './roster.js';
import { getStartMethod, type StartMethod } from './start-method.js';
import { ENDING, WORD } from './thread-words.js';

/** What a {@link Thread} runs, and how it lives. */
export interface ThreadOptions<A extends readonly unknown[], R> extends ExecutionOptions<A, R> {
  /** What it may use. */
  limits?: {
    /** Bytes of its heap, beyond which it ends with a WorkerDiedError; the young generation comes on top. */
    heap?: number;
    /** Bytes of its stack, beyond which calls throw a RangeError. */
    stack?: number;
  };
}

/** What a thread is told at its birth. */
export interface Birth {
  readonly task: Uint8Array;
  readonly name: string;
  readonly daemon: boolean;
  /** Participant tag of its starter. */
  readonly starter: number;
  readonly identity: SharedIdentity;
  readonly startMethod: StartMethod;
  readonly entry: string | undefined;
  readonly argv: readonly string[];
  /** What of its environment is another by now; undefined for what is not there. */
  readonly env: Record<string, string | undefined> | undefined;
  /** What ends it is told by its starter, not by itself. */
  readonly isHooked: boolean;
}

/** An error that has ended a thread, as result() gives it, and the thread. */
export interface ThreadFailure {
  /** What ended it. */
  readonly error: unknown;
  /** The thread that it has ended. */
  readonly thread: Thread;
}
/** What {@link Thread.excepthook} may be set to. */
export type ExceptHook = (failure: ThreadFailure) => void;

/** How often a blocked thread looks whether another still exists, ms; and when that has said that it ends. */
const LOOK = 20;
const LOOK_AT_THE_END = 1;
/** What Node gives for a Worker that was terminated or ran out of memory. */
const TERMINATED = 1;
const MIB = 2 ** 20;
/** Of a thread that has not been started: nothing has happened yet. */
const NO_WORDS = new Int32Array(Object.keys(WORD).length);

/**
 * What a {@link Process} is, on a worker thread of this process: a function with an event loop and a heap of its own.
 *
 * It ends when the target's promise has settled and nothing is left on its event loop. process.exit() ends it alone; so does
 * an error that nobody catches, which goes to stderr. What it prints goes through the event loop of its starter.
 * It ends with the thread that started it.
 *
 * Python: `threading.Thread`, but memory is shared only where it is meant to be. See [Threads](../../docs/threads.md).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { currentThread, Thread } from 'manyhands';
 *
 * const where = () => [process.pid, currentThread().name];
 * const thread = new Thread({ target: where, name: 'helper' }).start();
 * assert.deepEqual(await thread.result(), [process.pid, 'helper']); // another thread, the same process
 * ```
 */
export class Thread<A extends readonly unknown[] = any[], R = unknown> extends Execution<A, R> {
  readonly #limits: ThreadOptions<A, R>['limits'];
  /** Where it lives. Undefined before start(). */
  #cradle: Cradle | undefined;
  #words: Int32Array = NO_WORDS;
  #ident: number | undefined;
  /** Which of its names `name` is: see nameVersion(). */
  #nameVersion = 1;
  /** The async context of start(), which is that of all that is told of it. */
  #context: AsyncResource | undefined;
  #outcomeTaken = false;
  #lateTaken = false;
  /** What result() rejects with. */
  #error: unknown;
  /** Node's reason for its end. */
  #cause: unknown;
  /** Who is told of errors that end it; undefined: it prints them itself. */
  #hook: ExceptHook | undefined;
  /** Errors that it is still to be told of. */
  readonly #failures: unknown[] = [];

  /**
   * What becomes of an error that ends a thread which this thread starts: it is called here with the error and the Thread. The
   * default prints both on stderr, `Thread-1: Error: …`. A thread keeps to the one that was set when it was started; to
   * have the default back, set it to what this was at first.
   *
   * Errors that end a thread are: what its target throws or rejects with, also if somebody awaits result(); what nobody catches
   * on its event loop; what Node ends it for, as a heap beyond its limit. process.exit() and terminate() are none.
   *
   * It is called before 'exit' is emitted and before a join() resolves, on the event loop; if joinSync() or isAlive() learn of the error, from
   * there, before they return. The default needs no event loop of this thread's. If this thread has ended by then, the
   * error is printed. If the hook throws or rejects, so is what it threw, and the error with it.
   *
   * Python: `threading.excepthook`, which is called on the thread that fails.
   */
  static get excepthook(): ExceptHook {
    return excepthook;
  }
  /** @throws {TypeError} It is no function. */
  static set excepthook(hook: ExceptHook) {
    if (typeof hook !== 'function')
      throw new TypeError(`Cannot use ${typeof hook} as "excepthook": give a function`);
    excepthook = hook;
  }

  /**
   * Nothing is started yet: that is for {@link start | start()}.
   * @throws {TypeError | RangeError} An option is wrong.
   */
  constructor(options: ThreadOptions<A, R> = {}) {
    super(options, options?.name ?? nextThreadName(), enrolledSelf()?.daemon ?? false);
    checkLimits(options.limits, BOUNDS);
    this.#limits = options.limits;
  }

  static {
    Thread.letCross('Thread', Thread, ownThread);
  }

  /** This library's, unique among all threads of the process there ever were; 1 is the main thread. Undefined before start(). */
  get ident(): number | undefined {
    return this.#known?.ident ?? this.#ident;
  }

  /**
   * The kernel's thread id. Undefined until its Worker is there: at once if that had booted ahead of need (see start()), else some
   * tens of milliseconds after start().
   */
  get nativeId(): number | undefined {
    return (this.#known?.nativeId ?? this.#words[WORD.TID]) || undefined;
  }

  get #known(): KnownThread | undefined {
    return this.known as KnownThread | undefined;
  }

  /** Undefined while it is alive; 1 when it was terminated. */
  get exitCode(): number | undefined {
    this.isAlive(); // looks
    return this.end?.exitCode ?? undefined;
  }

  /** Its participant; 0: it has not begun. */
  get #tag(): number {
    return this.#known?.tag ?? Atomics.load(this.#words, WORD.TAG);
  }

  override isAlive(): boolean {
    const tag = this.#known?.tag ?? 0;
    return super.isAlive() && (tag === 0 || !isKnownDead(tag));
  }

  /** Its name: the one that it was given last, be it by itself. */
  getName(): string {
    const tag = this.#tag;
    const version = tag === 0 ? 0 : nameVersion(tag);
    if (version > 1 && version !== this.#nameVersion) {
      this.name = nameOf(tag) ?? this.name;
      this.#nameVersion = version;
    }
    return this.name;
  }

  /**
   * Gives it another name. If it runs, that is its name from now on for enumerateThreads() and currentThread() everywhere (56 bytes of
   * it) and for the kernel (15 bytes), though not in what it prints of an error. To set `name` then tells nobody.
   */
  setName(name: string): void {
    this.name = name;
    if (!this.#tag) this.#cradle?.port.postMessage(name); // SYNC POINT: it looks for this once it has set TAG
    const tag = this.#tag;
    if (tag === 0) return;
    rename(tag, name);
    this.#nameVersion = nameVersion(tag);
    if (this.nativeId !== undefined) nameForKernel(this.nativeId, name);
  }

  /** Sets {@link Thread.daemon}, by Python's old name. @throws {LifecycleError} It has been started. */
  setDaemon(daemon: boolean): void {
    this.daemon = daemon;
  }

  /**
   * Ends it at once, whatever it does, a busy loop or a blocking wait of this library; but not a blocking call into the system,
   * such as execSync(): that is finished first. Its 'exit' and `finally` do not run; locks that it held are recovered as
   * those of a killed process. One that has ended stays as it is.
   */
  terminate(): void {
    this.permit('terminate');
    if (this.end) return;
    void this.#cradle?.worker.terminate();
    // V8 cannot interrupt a system call: one that sleeps must come back from it.
    this.#ring(0);
  }

  /** Sets one of the words that the two share to 1, and has the thread look. Before start() that comes to nothing. */
  protected tell(word: number): void {
    if (!this.#cradle || this.end) return;
    Atomics.store(this.#words, word, 1);
    this.#ring(REASON.CHILD);
  }

  #ring(reason: number): void {
    const tag = Atomics.load(this.#words, WORD.TAG);
    if (tag !== 0) ring(indexOf(tag), reason);
  }

  /** Does its start tell that more will follow for which Workers should be booted ahead of need? */
  protected get foretellsMore(): boolean {
    return this.#limits === undefined;
  }

  protected launch(): void {
    const { result: task, tickets } = collectTickets(() => this.encodeTask());
    const hook = excepthook === printFailure ? undefined : excepthook;
    let env: Birth['env'];
    let cradle: Cradle;
    try {
      const taken = this.#limits === undefined ? takeCradle() : undefined;
      env = taken?.env;
      cradle = taken?.cradle ?? makeCradle(resourceLimits(this.#limits));
    } catch (cause) {
      tickets?.release();
      throw new LifecycleError(
        `Cannot start ${this.name} as the system gives no thread: end some, or raise the limits (ulimit -u)`,
        { cause },
      );
    }
    const { worker, words, port } = cradle;
    takeCustody(words, WORD.ARGS, tickets, self());
    const birth: Birth = {
      task,
      name: this.name,
      daemon: this.daemon,
      starter: self(),
      identity: shareIdentity(),
      startMethod: getStartMethod(),
      entry: entryModule(),
      argv: process.argv,
      env,
      isHooked: hook !== undefined,
    };
    port.postMessage(birth, [task.buffer as ArrayBuffer]);
    Atomics.store(words, WORD.BORN, 1);
    Atomics.notify(words, WORD.BORN);
    this.#cradle = cradle;
    this.#words = words;
    this.#ident = worker.threadId + 1;
    this.#hook = hook;
    const context = new AsyncResource('manyhands.Thread');
    this.#context = context;
    // What keeps the event loop alive is counted in Execution.
    worker.on('error', error => {
      this.#cause = error; // 'exit' follows
    });
    worker.on('exit', exitCode => context.runInAsyncScope(this.#over, this, exitCode));
    noteStart(cradle, { counts: this.foretellsMore });
    rememberThread(this);
  }

  protected block(done: () => boolean, timeout: number): boolean {
    const isDone = this.#block(done, timeout);
    this.#tellFailures();
    return isDone;
  }

  #block(done: () => boolean, timeout: number): boolean {
    const look = () => {
      this.#take();
      return done();
    };
    if (timeout === 0) {
      this.#lookAfter();
      return look();
    }
    Atomics.store(this.#words, WORD.BLOCKED, 1);
    this.#ring(REASON.CHILD);
    const deadline = performance.now() + timeout;
    for (let left = timeout; left > 0; left = deadline - performance.now()) {
      this.#lookAfter();
      const ending = Atomics.load(this.#words, WORD.ENDING) !== ENDING.NONE;
      if (blockUntil(look, Math.min(left, ending ? LOOK_AT_THE_END : LOOK))) return true;
    }
    this.#lookAfter();
    return look();
  }

  /** @internal Takes note of what it has told, on the event loop. */
  update(): void {
    this.#context?.runInAsyncScope(() => {
      this.#take();
      this.#tellFailures();
    });
  }

  #take(): void {
    if (!this.#cradle || this.end) return;
    const ending = Atomics.load(this.#words, WORD.ENDING); // before the outcome: it tells that last
    const outcome = Atomics.load(this.#words, WORD.OUTCOME);
    if (!this.#outcomeTaken && outcome !== OUTCOME.NONE) {
      const message = this.#receive();
      this.#outcomeTaken = true;
      this.conclude(outcome === OUTCOME.THREW, message, () => {
        if (endCustody(this.#words, WORD.RESULT, self())) haveAllLook(); // it may not have been readable
      });
      if (this.#hook && outcome === OUTCOME.THREW) this.#failures.push(this.#error);
    }
    if (!this.#lateTaken && Atomics.load(this.#words, WORD.LATE) !== 0) {
      const message = this.#receive();
      this.#lateTaken = true;
      this.#failures.push(decodeFailure(message));
    }
    if (ending === ENDING.DONE) this.#finish(this.#words[WORD.CODE]);
  }

  #receive(): Uint8Array {
    const received = this.#cradle && receiveMessageOnPort(this.#cradle.port);
    return (received as { message: Uint8Array } | undefined)?.message ?? new Uint8Array(0);
  }

  #tellFailures(): void {
    while (this.#failures.length > 0) {
      const error = this.#failures.shift();
      tellFailure(this.#hook ?? printFailure, { error, thread: this });
    }
  }

  /** Looks whether it still exists: its 'exit' event comes too late for those who block this thread. */
  #lookAfter(): void {
    if (this.end || !this.#cradle || mayExist(this.#cradle)) return;
    // What it told, it told before it ended.
    this.#take();
    this.#finish(
      Atomics.load(this.#words, WORD.ENDING) === ENDING.NONE ? TERMINATED : this.#words[WORD.CODE],
    );
  }

  /** Node knows that it has ended, and all that there is to know of it. */
  #over(told: number): void {
    this.#take();
    // One that is terminated before it has begun exits with 0, as Node tells it.
    const exitCode = Atomics.load(this.#words, WORD.ENDING) === ENDING.NONE ? told || TERMINATED : told;
    if (!this.#outcomeTaken)
      this.settle({ error: this.#death(exitCode) }, { quiet: exitCode === 0 && this.#cause === undefined });
    if (this.#cause !== undefined) this.#failures.push(this.#outcomeTaken ? this.#cause : this.#error);
    this.#finish(exitCode);
    this.#tellFailures();
    if (!this.#cradle) return;
    noteGone(this.#cradle);
    this.#cradle.worker.removeAllListeners();
    this.#cradle = undefined;
  }

  #finish(exitCode: number): void {
    if (this.end || !this.#cradle) return;
    this.#cradle.port.close();
    noteEnd(this.#cradle);
    const isUnread = endCustody(this.#words, WORD.ARGS, self());
    // What it was about to give when it was terminated.
    const isUngiven = !this.#outcomeTaken && endCustody(this.#words, WORD.RESULT, self());
    if (isUnread || isUngiven) haveAllLook();
    this.#ring(0); // it is gone: what is kept for ringing it goes, too
    forgetThread(this);
    this.finish({ exitCode, signalCode: null } satisfies End);
  }

  protected override settle(...[outcome, how]: [Outcome<R>, { quiet: boolean }]): void {
    if ('error' in outcome) this.#error = outcome.error;
    super.settle(outcome, how);
  }

  #death(exitCode: number): WorkerDiedError {
    const cause = this.#cause;
    const { heap } = this.#limits ?? {};
    let how = `it exited with code ${exitCode}`;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY')
      how = outOfHeap(heap);
    else if (cause instanceof Error) how = `"${cause.message}" was thrown`;
    else if (Atomics.load(this.#words, WORD.ENDING) === ENDING.NONE) how = 'it was terminated';
    return new WorkerDiedError(
      `Cannot give the result of ${this.name} as ${how} before its target returned`,
      { pid: process.pid, exitCode, signalCode: null, ...(cause === undefined ? {} : { cause }) },
    );
  }
}

/** An object that stands for a thread which runs already. */
export function knownThread(known: KnownThread): Thread {
  return new Thread(known as ThreadOptions<any, any>);
}

/** The object that stands for this thread, which is a worker. */
export function ownThread(): Thread {
  present.thread ??= knownThread(knowOneself());
  return present.thread;
}

function knowOneself(): KnownThread {
  const tid = native.threadId();
  const who = enrolledSelf();
  return who
    ? new KnownThread(who.name, who.daemon, who.ident, tid, self())
    : new KnownThread(`Worker-${threadId}`, false, threadId + 1, tid, 0);
}

let excepthook: ExceptHook = printFailure;

function printFailure({ error, thread }: ThreadFailure): void {
  process.stderr.write(`${thread.name}: ${inspect(error)}\n`);
}

/** Nothing is lost of what a hook cannot deal with. */
function tellFailure(hook: ExceptHook, failure: ThreadFailure): void {
  const printBoth = (own: unknown) => {
    printFailure(failure);
    process.stderr.write(`${failure.thread.name}: Thread.excepthook threw: ${inspect(own)}\n`);
  };
  try {
    Promise.resolve(hook(failure)).catch(printBoth);
  } catch (own) {
    printBoth(own);
  }
}

function decodeFailure(message: Uint8Array): unknown {
  try {
    return decodeThrown(message);
  } catch (error) {
    return error;
  }
}

function resourceLimits({ heap, stack }: { heap?: number; stack?: number } = {}): ResourceLimits {
  return {
    ...(heap === undefined ? {} : { maxOldGenerationSizeMb: heap / MIB }),
    ...(stack === undefined ? {} : { stackSizeMb: stack / MIB }),
  };
}

/** With less, Node takes the program down with it. */
const BOUNDS: Bounds = { heap: [LEAST_HEAP, 'bytes'], stack: [MIB / 2, 'bytes'] };
