import type { ChildProcess } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { isMainThread } from 'node:worker_threads';
import { collectTickets } from '../channel/tickets.js';
import { entryModule } from '../codec/functions/modules.js';
import { LifecycleError, WorkerDiedError } from '../errors/errors.js';
import { free } from '../memory/allocator.js';
import { checkedAuthkey, givenAuthkey, inheritAuthkey, programAuthkey } from '../memory/authkey.js';
import { PROCESS, PROCESS_FLAG, PROCESS_STATE } from '../memory/layout.js';
import { native } from '../native/native.js';
import { haveAllLook } from '../wait/deaths.js';
import { blockUntil } from '../wait/doorbell.js';
import { type Program, packPayload, type Settings } from './child.js';
import { forgetChild, rememberChild } from './children.js';
import {
  placeToStart,
  startFolder,
  startNode,
  UNWANTED,
  withoutNodeOptions,
  withoutOptions,
} from './command.js';
import { type End, Execution } from './execution.js';
import { checkForkMethod, startByFork } from './fork-method.js';
import { buryForked, tendForked } from './forked-children.js';
import { identity, nextPath, present, processName, startOfProcess } from './identity.js';
import { Known, KnownProcess } from './known.js';
import { brokenLimit } from './limits.js';
import { type PipedOutput, startWithOutputs } from './piped.js';
import { checkFolder, checkOptions, type ProcessOptions } from './process-options.js';
import {
  claimRecord,
  drop,
  isCarrier,
  move,
  OUTCOME,
  peek,
  put,
  read,
  recordState,
  releaseRecord,
  takeBlock,
  write,
} from './records.js';
import { checkAffinity, checkPriority, setAffinityOf, setPriorityOf } from './scheduling.js';
import { bornWith, currentBirthplace, isGone, isServerOwn, startForked } from './server.js';
import { checkStartMethod, getStartMethod, type StartMethod } from './start-method.js';
import { type ProcessState, type ProcessUsage, stateOf, usageOf } from './usage.js';
import { endOf } from './wait-status.js';
import { RUN } from './work.js';

/** How long to sleep at a stretch, ms: a Worker can be terminated only in between. */
const LONGEST_SLEEP = isMainThread ? Number.POSITIVE_INFINITY : 250;
/** How often a blocked thread looks whether the fork server still lives, ms. */
const LOOK_AFTER_SERVER = 500;
const SIGKILL = os.constants.signals.SIGKILL;

/** What stands for a wait status: there is none yet; another has taken it. */
const RUNS = -1;
const REAPED = -2;

/** The part of Node's ChildProcess that the event loop tells of an end. */
interface NodeHandle {
  readonly _handle?: { onexit(exitCode: number, signalCode: string): void };
}

bornWith(__filename); // of what extends it, and for children who start their own

/**
 * A real operating-system process running a function.
 *
 * The child's main thread runs the target. It exits 0 when the target's promise has settled and nothing is left
 * on its event loop, 1 when the target threw (the error and its stack go to stderr), n after process.exit(n).
 * Its stdin is empty.
 *
 * Python: `multiprocessing.Process`; result() is new, and so is that no main guard is needed. See [Processes](../../docs/processes.md).
 *
 * @example A function with arguments
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process } from 'manyhands';
 *
 * const add = (a: number, b: number) => a + b;
 * const child = new Process({ target: add, args: [2, 3], name: 'adder' });
 * child.start();
 * assert.equal(await child.result(), 5);
 * await child.join();
 * assert.equal(child.exitCode, 0);
 * ```
 *
 * @example A class with a run() of its own
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process } from 'manyhands';
 *
 * class Greeter extends Process<[], string> {
 *   greeting = 'Hello';
 *   protected override run() {
 *     return `${this.greeting} from ${this.name}`; // there, not here
 *   }
 * }
 * const greeter = new Greeter({ name: 'greeter' });
 * greeter.greeting = 'Good morning';
 * assert.equal(await greeter.start().result(), 'Good morning from greeter');
 * ```
 */
export class Process<A extends readonly unknown[] = any[], R = unknown> extends Execution<A, R> {
  readonly #options: ProcessOptions<A, R>;
  readonly #path: string;
  #record = -1;
  #pid: number | undefined;
  #spawned: ChildProcess | undefined;
  /** Is it for this process to take it off the process table? */
  #isOwn = false;
  #stdout: PipedOutput | null = null;
  #stderr: PipedOutput | null = null;
  /** Undefined: the program's. */
  #authkey = givenAuthkey();
  #outcomeTaken = false;
  #missing = 0;
  /** Who reaps it if the fork server cannot. */
  #guardian = 0;

  /**
   * Nothing is started yet: that is for {@link start | start()}.
   * @throws {TypeError | RangeError} An option is wrong.
   */
  constructor(options: ProcessOptions<A, R> = {}) {
    const numbers = options instanceof Known ? '' : nextPath();
    super(options, `Process-${numbers}`, identity()?.daemon ?? false);
    this.#path = numbers;
    this.#options = options;
    checkOptions(options);
  }

  static {
    Process.letCross('Process', Process, ownProcess);
  }

  /** The method by which it starts; a context's Process has its own. */
  protected get startMethod(): StartMethod {
    return getStartMethod();
  }

  /** Is it killed when this process ends? So is every child of one that is. */
  protected get endsWithParent(): boolean {
    return this.daemon || identity()?.bound === true;
  }

  /** Its number at the kernel. Undefined before start(). */
  get pid(): number | undefined {
    this.permitOpen('tell the pid of');
    return (this.known as KnownProcess | undefined)?.pid ?? this.#pid;
  }

  /** The same as {@link pid}, as in Python. */
  get ident(): number | undefined {
    return this.pid;
  }

  /** With what it exited. Undefined while it is alive; null when a signal ended it. */
  get exitCode(): number | null | undefined {
    this.permitLook('tell the exit code of');
    this.#look();
    return this.end?.exitCode;
  }

  /** The signal that ended it. Undefined while it is alive; null when it exited. */
  get signalCode(): NodeJS.Signals | null | undefined {
    this.permitLook('tell the signal that ended');
    this.#look();
    return this.end?.signalCode;
  }

  /**
   * The key by which processes know each other: 32 random bytes, which a program's processes and threads share unless it is set.
   * Settable until start(); in currentProcess() at any time, for what this thread makes from then on. Reading gives a copy.
   *
   * Python: `Process.authkey`.
   */
  get authkey(): Uint8Array {
    if (this.known) this.permit('tell the authkey of');
    return (this.known ? givenAuthkey() : this.#authkey)?.slice() ?? programAuthkey();
  }
  /**
   * @throws {LifecycleError} It has started.
   * @throws {TypeError} It is no key.
   */
  set authkey(authkey: Uint8Array) {
    if (this.known) {
      this.permit('set the authkey of');
      inheritAuthkey(checkedAuthkey(authkey));
      return;
    }
    this.permitLook('set the authkey of');
    if (this.hasStarted)
      throw new LifecycleError(
        `Cannot set the authkey of ${this.name} as it has started: set it before start()`,
      );
    this.#authkey = checkedAuthkey(authkey);
  }

  /**
   * What it prints, with `stdio: 'pipe'`. It ends once neither it nor anything that it has started can print any more. When the
   * child has ended, what it printed is here until somebody reads it, also after 'exit' and join(). While it lives and
   * nobody reads, it waits to print more than some 128 KiB.
   */
  get stdout(): Readable | null {
    this.permitOpen('read the output of');
    return this.#stdout;
  }

  /** What it prints on stderr, with `stdio: 'pipe'`: as {@link stdout}. */
  get stderr(): Readable | null {
    this.permitOpen('read the output of');
    return this.#stderr;
  }

  /** What it does, from the kernel, now; stale as soon as it is read. */
  get state(): ProcessState {
    this.permitOpen('tell the state of');
    const { pid } = this;
    if (pid === undefined) return 'new';
    return this.isAlive() ? stateOf(pid) : 'terminated';
  }

  /** Its CPU time, memory and so on, from the kernel, now. @throws {LifecycleError} It is not alive. */
  usage(): ProcessUsage {
    const usage = this.isAlive() ? usageOf(this.pid ?? 0) : undefined;
    if (!usage)
      throw new LifecycleError(
        `Cannot tell what ${this.name} uses as it is not alive: ask between start() and its end`,
      );
    return usage;
  }

  /** Asks it to end: SIGTERM. Signals to one that has ended do nothing. */
  terminate(): void {
    this.#signal('SIGTERM');
  }

  /** Ends it at once: SIGKILL. */
  kill(): void {
    this.#signal('SIGKILL');
  }

  /** What Ctrl-C does: SIGINT. */
  interrupt(): void {
    this.#signal('SIGINT');
  }

  /** Stops it where it is: SIGSTOP. */
  suspend(): void {
    this.#signal('SIGSTOP');
  }

  /** Lets it go on: SIGCONT. */
  resume(): void {
    this.#signal('SIGCONT');
  }

  /** Nice value, −20 (first) to 19 (last), from the kernel, now. @throws {LifecycleError} It is not alive. */
  get priority(): number {
    return this.#ask('tell the priority of', os.getPriority);
  }

  /**
   * Sets the nice value, −20 (first) to 19 (last), of all its threads; lowering it needs the right to: an Error with `code` EACCES
   * or EPERM tells that it lacks.
   * @throws {LifecycleError} It is not alive.
   */
  setPriority(nice: number): void {
    checkPriority(nice);
    if (this.known) this.permit('set the priority of');
    this.#ask('set the priority of', pid => setPriorityOf(pid, this.name, nice));
  }

  /** The CPUs that it may run on, by number, from the kernel, now. @throws {LifecycleError} It is not alive. */
  get affinity(): number[] {
    return this.#ask('tell the affinity of', native.getAffinity);
  }

  /**
   * Sets the CPUs that all its threads may run on.
   * @throws {RangeError} There are none of that number, or not for it: it keeps those that it had.
   * @throws {LifecycleError} It is not alive.
   */
  setAffinity(cpus: readonly number[]): void {
    checkAffinity(cpus);
    if (this.known) this.permit('set the affinity of');
    this.#ask('set the affinity of', pid => setAffinityOf(pid, this.name, cpus));
  }

  /** Asks the kernel of it, or tells the kernel, while it is alive. */
  #ask<T>(act: string, question: (pid: number) => T): T {
    if (this.isAlive()) {
      try {
        return question(this.pid ?? 0);
      } catch (error) {
        if (stateOf(this.pid ?? 0) !== 'terminated') throw error;
      }
    }
    throw new LifecycleError(
      `Cannot ${act} ${this.name} as it is not alive: ask between start() and its end`,
    );
  }

  /**
   * Frees what it holds. From then on only its name and whether it is a daemon are told; all else throws a LifecycleError, except
   * for a second close() and disposal, which do nothing.
   * @throws {LifecycleError} It is alive.
   */
  close(): void {
    if (!this.shut()) return;
    this.#stdout?.destroy();
    this.#stderr?.destroy();
    this.removeAllListeners();
  }

  #signal(signal: NodeJS.Signals): void {
    this.permit(`send ${signal} to`);
    // One that is ENDING may have left its pid to somebody else.
    if (!this.isAlive() || recordState(this.#record) !== PROCESS_STATE.RUNNING) return;
    try {
      process.kill(this.#pid ?? 0, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  protected launch(): void {
    const method = this.startMethod;
    checkStartMethod(method);
    if (identity()?.daemon)
      throw new LifecycleError(
        `Cannot start ${this.name} as ${identity()?.name} is a daemon: start it from a process that is none`,
      );
    checkFolder(this.#options.cwd, this.name);
    if (method === 'fork') checkForkMethod(this.name);
    const settings = this.#settings(method);
    const packed =
      method === 'fork' ? undefined : collectTickets(() => packPayload(settings, this.encodeTask()));
    const tickets = packed?.tickets;
    let record = -1;
    try {
      record = claimRecord();
      if (packed) put(record, PROCESS.PAYLOAD, packed.result, packed.tickets);
      write(record, PROCESS.FLAGS, this.endsWithParent ? PROCESS_FLAG.DAEMON : 0);
      const outputs = startWithOutputs(this.#options.stdio ?? 'inherit', (fds, notItsOwn) => {
        if (method === 'forkserver') this.#fork(record, fds);
        else if (method === 'spawn') this.#spawn(record, fds);
        else this.#forkHere(record, settings, fds, notItsOwn);
      });
      if (outputs) [this.#stdout, this.#stderr] = outputs;
    } catch (error) {
      if (record >= 0) releaseRecord(record);
      if (tickets) haveAllLook();
      throw error;
    }
    this.#record = record;
    this.#pid = read(record, PROCESS.PID);
    this.#guardian = read(record, PROCESS.GUARDIAN);
    rememberChild(this);
  }

  #settings(method: StartMethod): Settings {
    const { env, cwd, priority, affinity, limits } = this.#options;
    const forked = method === 'forkserver';
    const place = forked ? currentBirthplace() : undefined;
    const here = forked ? { ...process.env } : {};
    return {
      identity: {
        name: this.name,
        path: this.#path,
        daemon: this.daemon,
        bound: this.endsWithParent,
        parent: { pid: process.pid, start: startOfProcess(), name: processName() },
      },
      startMethod: getStartMethod(),
      ...(this.#authkey ? { authkey: this.#authkey } : {}),
      ...(method === 'spawn' ? { program: this.#program() } : {}),
      ...(forked && (env || !place || !sameEntries(here, place.env)) ? { env: env ?? here } : {}),
      ...(method === 'fork' && env ? { env } : {}),
      ...(method === 'spawn' || cwd !== undefined || (forked && place?.cwd !== process.cwd())
        ? { cwd: path.resolve(cwd ?? '.') }
        : {}),
      ...(priority === undefined ? {} : { priority }),
      ...(affinity === undefined ? {} : { affinity }),
      ...(limits === undefined ? {} : { limits }),
    };
  }

  #program(): Program {
    const { NODE_OPTIONS: nodeOptions } = this.#options.env ?? process.env;
    return { entry: entryModule(), execArgv: process.execArgv, nodeOptions, folder: startFolder() };
  }

  #fork(record: number, fds: readonly [number, number] | undefined): void {
    move(record, PROCESS_STATE.CLAIMED, PROCESS_STATE.REQUESTED);
    // The server's own are those of the process that made it.
    startForked(record, fds ?? (isServerOwn() ? undefined : [1, 2]));
  }

  #forkHere(
    record: number,
    settings: Settings,
    fds: readonly [number, number] | undefined,
    notItsOwn: readonly number[],
  ): void {
    write(record, PROCESS.FLAGS, read(record, PROCESS.FLAGS) | PROCESS_FLAG.SPAWNED);
    const pid = startByFork(record, settings, () => this.#runHere(), this.inHand, fds, notItsOwn);
    this.#isOwn = true;
    tendForked(pid, status => {
      this.#reaped(status);
      this.update();
    });
  }

  /** In the child that was forked for it: this object stands for that from now on. */
  #runHere(): unknown {
    this.becomeKnown(new KnownProcess(this.name, this.daemon));
    present.process = this as unknown as Process;
    return this[RUN]();
  }

  #spawn(record: number, fds: readonly [number, number] | undefined): void {
    const { env } = this.#options;
    write(record, PROCESS.FLAGS, read(record, PROCESS.FLAGS) | PROCESS_FLAG.SPAWNED);
    const child = startNode(
      this.name,
      [
        ...withoutOptions(process.execArgv, UNWANTED),
        path.join(__dirname, 'spawn-main.js'),
        ...[native.arenaFd(), native.arenaBytes(), record].map((value, i) => String(i === 0 ? 3 : value)),
        ...process.argv,
      ],
      {
        stdio: ['ignore', ...(fds ?? (['inherit', 'inherit'] as const)), native.arenaFd()],
        env: withPlainOptions(env ?? process.env),
        cwd: placeToStart(),
      },
    );
    child.unref(); // what keeps the event loop alive is counted in Execution
    write(record, PROCESS.PID, child.pid as number);
    move(record, PROCESS_STATE.CLAIMED, PROCESS_STATE.RUNNING);
    this.#spawned = child;
    this.#isOwn = true;
    child.on('exit', (code, signal) => {
      this.#reaped(signal ? os.constants.signals[signal] : (code ?? 0) << 8);
      // The event loop may have reaped others at the same time, and tells of them next: not before that may anybody go on who waits.
      setImmediate(() => this.update());
    });
  }

  /** The process that this one spawned or forked has ended, with this wait status. */
  #reaped(status: number): void {
    if (this.end || recordState(this.#record) !== PROCESS_STATE.RUNNING) return;
    write(this.#record, PROCESS.STATUS, status);
    move(this.#record, PROCESS_STATE.RUNNING, PROCESS_STATE.EXITED);
    native.bury(this.#pid ?? 0);
  }

  /**
   * Waits for the end of one that this process spawned or forked, and takes it off the process table. The event loop, which would
   * do so else, is told, or it would wait for an end that never comes.
   */
  #reap(timeout: number): void {
    if (!this.#isOwn || this.end) return;
    let status = this.#awaitExit(timeout === Number.POSITIVE_INFINITY ? -1 : timeout, this.#spawned ? 1 : 0);
    if (status === REAPED && timeout > 0) status = SIGKILL; // how it ended is not to be learned while this thread blocks
    if (status < 0) return;
    if (!this.#spawned) {
      buryForked(this.#pid ?? 0);
      return;
    }
    this.#reaped(status);
    const { exitCode, signalCode } = endOf(status);
    (this.#spawned as unknown as NodeHandle)._handle?.onexit(exitCode ?? 0, signalCode ?? '');
  }

  /**
   * @internal While this thread blocks, its event loop, which learns of the end of those that it spawned, does not run: tells all others
   * of it. Is there more to look after?
   */
  lookWhileBlocked(): boolean {
    if (!this.#spawned || this.end) return false;
    const status = this.#awaitExit(0, 0);
    if (status === REAPED) native.bury(this.#pid ?? 0);
    else if (status >= 0) this.#reaped(status);
    return status === RUNS;
  }

  /** Its wait status, RUNS after `timeout` ms, or REAPED: by the event loop, which is about to tell. */
  #awaitExit(timeout: number, reap: 0 | 1): number {
    try {
      return native.awaitExit(this.#pid ?? 0, timeout, reap);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).errno !== -os.constants.errno.ECHILD) throw error;
      return recordState(this.#record) === PROCESS_STATE.EXITED ? read(this.#record, PROCESS.STATUS) : REAPED;
    }
  }

  /** Takes note of what has happened to it, its end included if the event loop has not run since. */
  #look(): void {
    this.#reap(0);
    this.update();
  }

  protected block(done: () => boolean, timeout: number): boolean {
    const look = () => {
      this.update();
      return done();
    };
    this.#look();
    if (done()) return true;
    const deadline = performance.now() + timeout;
    for (let left = timeout; left > 0; left = deadline - performance.now()) {
      if (this.#isOwn) this.#reap(Math.min(left, LONGEST_SLEEP));
      else {
        blockUntil(look, Math.min(left, LOOK_AFTER_SERVER));
        this.lookAfter();
      }
      if (look()) return true;
    }
    return false;
  }

  /** @internal Takes note of what has happened to it. */
  update(): void {
    if (this.#record < 0) return;
    // Its state is read first: whatever a process did, it did before it ended.
    const exited = recordState(this.#record) === PROCESS_STATE.EXITED;
    if (!this.#outcomeTaken && read(this.#record, PROCESS.OUTCOME) !== OUTCOME.NONE) this.#takeOutcome();
    if (!exited) return;
    const end = endOf(read(this.#record, PROCESS.STATUS));
    const flags = read(this.#record, PROCESS.FLAGS);
    const isUnread = isCarrier(this.#record, PROCESS.PAYLOAD);
    releaseRecord(this.#record);
    if (isUnread) haveAllLook();
    this.#record = -1;
    forgetChild(this);
    this.#stdout?.childEnded();
    this.#stderr?.childEnded();
    if (!this.#outcomeTaken) this.settle({ error: this.#death(end, flags) }, { quiet: end.exitCode === 0 });
    this.finish(end);
  }

  #takeOutcome(): void {
    this.#outcomeTaken = true;
    const threw = read(this.#record, PROCESS.OUTCOME) === OUTCOME.THREW;
    const message = (peek(this.#record, PROCESS.RESULT) ?? new Uint8Array(0)).slice();
    if (!isCarrier(this.#record, PROCESS.RESULT)) {
      drop(this.#record, PROCESS.RESULT);
      this.conclude(threw, message);
      return;
    }
    const block = takeBlock(this.#record, PROCESS.RESULT);
    this.conclude(threw, message, () => {
      free(block);
      haveAllLook(); // it may not have been readable
    });
  }

  /** `flags`: what its record had last. */
  #death({ exitCode, signalCode }: End, flags: number): WorkerDiedError {
    const pid = this.#pid ?? 0;
    const ending = signalCode ? `was killed by ${signalCode}` : `exited with code ${exitCode}`;
    const how = brokenLimit(flags, this.#options.limits) ?? `process ${pid} ${ending}`;
    return new WorkerDiedError(
      `Cannot give the result of ${this.name} as ${how} before its target returned`,
      { pid, exitCode, signalCode },
    );
  }

  /** @internal Is it alive, as far as is known, with its guardian gone? */
  get isBereaved(): boolean {
    return this.#record >= 0 && !this.#isOwn && isGone(this.#guardian);
  }

  /**
   * @internal When the fork server's guardian is gone, and perhaps the server as well, nobody may be left to tell of an end: seen
   * missing twice, with time in between for a server to tell, a process counts as killed; of one that nobody has reaped yet the
   * kernel tells.
   */
  lookAfter(): void {
    this.update();
    if (!this.isBereaved) return;
    const stat = native.processStat(this.#pid ?? 0);
    if (stat && stat[0] !== 'Z' && stat[0] !== 'X') return;
    if (++this.#missing < 2) return;
    if (!move(this.#record, PROCESS_STATE.ENDING, PROCESS_STATE.EXITED)) {
      write(this.#record, PROCESS.STATUS, stat?.[5] ?? SIGKILL);
      if (move(this.#record, PROCESS_STATE.RUNNING, PROCESS_STATE.EXITED)) native.bury(this.#pid ?? 0);
    }
    this.update();
  }
}

/** The object that stands for this process. */
export function ownProcess(): Process {
  present.process ??= new Process(
    new KnownProcess(processName(), identity()?.daemon ?? false) as ProcessOptions<any, any>,
  );
  return present.process;
}

/** Without those options in NODE_OPTIONS that are the program's own business. */
function withPlainOptions(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (env.NODE_OPTIONS === undefined) return env;
  return { ...env, NODE_OPTIONS: withoutNodeOptions(env.NODE_OPTIONS, UNWANTED) };
}

function sameEntries(a: NodeJS.ProcessEnv, b: NodeJS.ProcessEnv): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every(name => a[name] === b[name]);
}
