import { readdirSync } from 'node:fs';
import path from 'node:path';
import {
  MessageChannel,
  type MessagePort,
  type ResourceLimits,
  receiveMessageOnPort,
  threadId,
  Worker,
} from 'node:worker_threads';
import { collectTickets, storeWithTickets, type Tickets } from '../channel/tickets.js';
import { entryModule } from '../codec/functions/modules.js';
import { LifecycleError, WorkerDiedError } from '../errors/errors.js';
import { free, givenTo, takeOver, transfer } from '../memory/allocator.js';
import { REASON } from '../memory/layout.js';
import { carries } from '../memory/message.js';
import { indexOf, self, threadIds } from '../memory/participants.js';
import { native } from '../native/native.js';
import { haveAllLook } from '../wait/deaths.js';
import { blockUntil, ring } from '../wait/doorbell.js';
import { forgetThread, rememberThread } from './children.js';
import { type End, Execution, type ExecutionOptions } from './execution.js';
import {
  nextThreadName,
  present,
  type SharedIdentity,
  shareIdentity,
  type ThreadIdentity,
  threadIdentity,
} from './identity.js';
import { KnownThread } from './known.js';
import { type Bounds, checkLimits, LEAST_HEAP, outOfHeap } from './limits.js';
import { OUTCOME } from './records.js';
import { getStartMethod, type StartMethod } from './start-method.js';

export interface ThreadOptions<A extends readonly unknown[], R> extends ExecutionOptions<A, R> {
  /** Bytes: of its heap, beyond which it ends with a WorkerDiedError (the young generation comes on top), and of its stack. */
  limits?: { heap?: number; stack?: number };
}

/**
 * What a thread and its starter tell each other, each word once. It is not in the commons, so that none of it is lost or
 * freed too early when either ends at any moment.
 *   TID      0: it has not begun
 *   TAG      its participant
 *   OUTCOME  of OUTCOME; the message lies in the port by then
 *   ENDING   1: it ends in order, and has told CODE
 *   BLOCKED  1: its starter blocks its event loop until the thread ends
 *   ARGS     a block that holds ends of pipes open (src/channel/tickets.ts) until the thread has decoded its task; and its number
 *   RESULT   one that holds them open until the starter has decoded the outcome; and its number
 */
export const WORD = {
  TID: 0,
  TAG: 1,
  OUTCOME: 2,
  ENDING: 3,
  CODE: 4,
  BLOCKED: 5,
  ARGS: 6,
  ARGS_SERIAL: 7,
  RESULT: 8,
  RESULT_SERIAL: 9,
} as const;

/**
 * Makes a block of the commons that holds open what the tickets are for, and gives it to the starter. The thread may be terminated
 * at any step of this, and of endCustody(): then the block is its own, which goes with it, or the starter's.
 */
export function takeCustody(words: Int32Array, word: number, tickets: Tickets | null, starter: number): void {
  if (tickets === null) return;
  const handle = storeWithTickets(new Uint8Array(0), self(), tickets);
  words[word + 1] = tickets.serial;
  Atomics.store(words, word, handle);
  transfer(handle, self(), givenTo(starter));
}

/** Ends that, unless the other side has. True: there was something to end. */
export function endCustody(words: Int32Array, word: number, starter: number): boolean {
  const handle = Atomics.load(words, word) >>> 0;
  if (handle === 0) return false;
  const isThere = carries(handle, words[word + 1]) && takeOver(handle, givenTo(starter), self());
  if (isThere) free(handle);
  Atomics.store(words, word, 0);
  return isThere;
}

/** What a thread is told at its birth. */
export interface Birth {
  readonly words: Int32Array;
  /** Where the outcome goes. */
  readonly port: MessagePort;
  readonly task: Uint8Array;
  readonly thread: ThreadIdentity;
  /** Participant tag of its starter. */
  readonly starter: number;
  readonly identity: SharedIdentity;
  readonly startMethod: StartMethod;
  readonly entry: string | undefined;
  readonly argv: readonly string[];
}

/** How often a blocked thread looks whether another still exists, ms; and when that has said that it ends. */
const LOOK = 20;
const LOOK_AT_THE_END = 1;
/** What Node gives for a Worker that was terminated or ran out of memory. */
const TERMINATED = 1;
const MIB = 2 ** 20;

/** A thread as the kernel knows it: its start tells one id from its next use. */
interface Kernel {
  readonly tid: number;
  readonly start: number | undefined;
}

/**
 * The same as Process on a worker thread of this process: a function with an event loop and a heap of its own.
 *
 * It ends when the target's promise has settled and nothing is left on its event loop. process.exit() ends it alone; so does
 * an error that nobody catches, which goes to stderr. What it prints goes through the event loop of its starter.
 * It ends with the thread that started it.
 *
 * Python: `threading.Thread`, but memory is shared only where it is meant to be.
 */
export class Thread<A extends readonly unknown[] = any[], R = unknown> extends Execution<A, R> {
  readonly #limits: ThreadOptions<A, R>['limits'];
  #worker: Worker | undefined;
  #words: Int32Array = new Int32Array(0);
  #port: MessagePort | undefined;
  #ident: number | undefined;
  /** New threads of this process that it may be, until it says which. */
  #born: readonly Kernel[] = [];
  #outcomeTaken = false;
  #cause: unknown;

  constructor(options: ThreadOptions<A, R> = {}) {
    super(options, options?.name ?? nextThreadName(), threadIdentity()?.daemon ?? false);
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

  /** The kernel's thread id. Undefined until the thread has begun, some milliseconds after start(). */
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

  getName(): string {
    return this.name;
  }

  setName(name: string): void {
    this.name = name;
  }

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
    void this.#worker?.terminate();
    // V8 cannot interrupt a system call: one that sleeps must come back from it.
    this.#ring(0);
  }

  #ring(reason: number): void {
    const tag = Atomics.load(this.#words, WORD.TAG);
    if (tag !== 0) ring(indexOf(tag), reason);
  }

  protected launch(): void {
    const { port1, port2 } = new MessageChannel();
    this.#words = new Int32Array(new SharedArrayBuffer(4 * Object.keys(WORD).length));
    try {
      const { result: task, tickets } = collectTickets(() => this.encodeTask());
      takeCustody(this.#words, WORD.ARGS, tickets, self());
      const birth: Birth = {
        words: this.#words,
        port: port2,
        task,
        thread: { name: this.name, daemon: this.daemon },
        starter: self(),
        identity: shareIdentity(),
        startMethod: getStartMethod(),
        entry: entryModule(),
        argv: process.argv,
      };
      const before = new Set(readdirSync(TASKS));
      this.#worker = this.#begin(birth);
      this.#born = readdirSync(TASKS)
        .filter(tid => !before.has(tid))
        .map(Number)
        .map(tid => ({ tid, start: startOf(tid) }));
    } catch (error) {
      port1.close();
      if (endCustody(this.#words, WORD.ARGS, self())) haveAllLook();
      throw error;
    }
    this.#port = port1;
    this.#ident = this.#worker.threadId + 1;
    rememberThread(this);
  }

  #begin(birth: Birth): Worker {
    let worker: Worker;
    try {
      worker = new Worker(path.join(__dirname, 'thread-main.js'), {
        workerData: birth,
        transferList: [birth.port, birth.task.buffer as ArrayBuffer],
        resourceLimits: resourceLimits(this.#limits),
      });
    } catch (cause) {
      throw new LifecycleError(
        `Cannot start ${this.name} as the system gives no thread: end some, or raise the limits (ulimit -u)`,
        { cause },
      );
    }
    worker.unref(); // what keeps the event loop alive is counted in Execution
    worker.on('error', error => {
      this.#cause = error; // 'exit' follows
    });
    worker.on('exit', exitCode => {
      this.update();
      this.#over(exitCode);
    });
    return worker;
  }

  protected block(done: () => boolean, timeout: number): boolean {
    const look = () => {
      this.update();
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
      const ending = Atomics.load(this.#words, WORD.ENDING) !== 0;
      if (blockUntil(look, Math.min(left, ending ? LOOK_AT_THE_END : LOOK))) return true;
    }
    this.#lookAfter();
    return look();
  }

  /** Takes note of what it has told. */
  update(): void {
    if (this.#outcomeTaken || !this.#port) return;
    const outcome = Atomics.load(this.#words, WORD.OUTCOME);
    if (outcome === OUTCOME.NONE) return;
    const received = receiveMessageOnPort(this.#port) as { message: Uint8Array } | undefined;
    this.#outcomeTaken = true;
    this.conclude(outcome === OUTCOME.THREW, received?.message ?? new Uint8Array(0), () => {
      if (endCustody(this.#words, WORD.RESULT, self())) haveAllLook(); // it may not have been readable
    });
  }

  /** Looks whether it still exists: its 'exit' event comes too late for those who block this thread. */
  #lookAfter(): void {
    if (this.end || !this.#worker) return;
    const tid = Atomics.load(this.#words, WORD.TID);
    const born = tid === 0 ? this.#born : this.#born.filter(one => one.tid === tid);
    if (born.some(exists)) {
      if (tid !== 0) return;
      // Others may have been born at the same moment: it is none of those that have told more than this one.
      const others = threadIds();
      if (Atomics.load(this.#words, WORD.TID) !== 0) return;
      if (born.some(one => !others.has(one.tid) && exists(one))) return;
    }
    // What it told, it told before it ended.
    this.update();
    this.#finish(Atomics.load(this.#words, WORD.ENDING) === 0 ? TERMINATED : this.#words[WORD.CODE]);
  }

  /** Node knows that it has ended, and all that there is to know of it. */
  #over(told: number): void {
    // One that is terminated before it has begun exits with 0, as Node tells it.
    const exitCode = Atomics.load(this.#words, WORD.ENDING) === 0 ? told || TERMINATED : told;
    if (!this.#outcomeTaken)
      this.settle({ error: this.#death(exitCode) }, { quiet: exitCode === 0 && this.#cause === undefined });
    this.#finish(exitCode);
    this.#worker?.removeAllListeners();
    this.#worker = undefined;
  }

  #finish(exitCode: number): void {
    if (this.end) return;
    this.#port?.close();
    const isUnread = endCustody(this.#words, WORD.ARGS, self());
    // What it was about to give when it was terminated.
    const isUngiven = !this.#outcomeTaken && endCustody(this.#words, WORD.RESULT, self());
    if (isUnread || isUngiven) haveAllLook();
    this.#ring(0); // it is gone: what is kept for ringing it goes, too
    forgetThread(this);
    this.finish({ exitCode, signalCode: null } satisfies End);
  }

  #death(exitCode: number): WorkerDiedError {
    const cause = this.#cause;
    const { heap } = this.#limits ?? {};
    let how = `it exited with code ${exitCode}`;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY')
      how = outOfHeap(heap);
    else if (cause instanceof Error) how = `"${cause.message}" was thrown`;
    else if (Atomics.load(this.#words, WORD.ENDING) === 0) how = 'it was terminated';
    return new WorkerDiedError(
      `Cannot give the result of ${this.name} as ${how} before its target returned`,
      { pid: process.pid, exitCode, signalCode: null, ...(cause === undefined ? {} : { cause }) },
    );
  }
}

/** The object that stands for this thread, which is a worker. */
export function ownThread(): Thread {
  const { name, daemon } = threadIdentity() ?? { name: `Worker-${threadId}`, daemon: false };
  present.thread ??= new Thread(
    new KnownThread(name, daemon, threadId + 1, native.threadId()) as ThreadOptions<any, any>,
  );
  return present.thread;
}

const TASKS = '/proc/self/task';

/** In clock ticks; undefined: there is no such thread. */
function startOf(tid: number): number | undefined {
  const stat = native.processStat(tid);
  return !stat || stat[0] === 'Z' || stat[0] === 'X' ? undefined : stat[2];
}

function exists({ tid, start }: Kernel): boolean {
  return start !== undefined && startOf(tid) === start;
}

function resourceLimits({ heap, stack }: { heap?: number; stack?: number } = {}): ResourceLimits {
  return {
    ...(heap === undefined ? {} : { maxOldGenerationSizeMb: heap / MIB }),
    ...(stack === undefined ? {} : { stackSizeMb: stack / MIB }),
  };
}

/** With less, Node takes the program down with it. */
const BOUNDS: Bounds = { heap: [LEAST_HEAP, 'bytes'], stack: [MIB / 2, 'bytes'] };
