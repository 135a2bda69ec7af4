import { EventEmitter } from 'node:events';
import { IS_READY, WATCH, type Waitable, type Watch, type Watcher } from '../channel/waitable.js';
import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { decodeThrown, joinStacks } from '../codec/errors.js';
import { LifecycleError, TimeoutError } from '../errors/errors.js';
import { Completion } from '../wait/completion.js';
import { hold, holding, unhold } from '../wait/doorbell.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { type PortableTarget, portable, type Target } from './target.js';

export interface ExecutionOptions<A extends readonly unknown[], R> {
  target?: Target<A, R>;
  args?: A;
  /** Default `Process-1`, `Process-1:2` for a child's child; `Thread-1`. */
  name?: string;
  /** Ends with its parent, whatever ends the parent (SIGKILL too). Does not keep the parent's event loop alive. */
  daemon?: boolean;
}

/** How it ended. */
export interface End {
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
}

type Outcome<R> = { readonly value: R } | { readonly error: unknown };

/**
 * What Process and Thread have in common: a function that runs elsewhere, once.
 *
 * Events: 'start' (), 'exit' (exitCode, signalCode), 'error' (what the target threw, when nothing awaits result() and
 * somebody listens).
 */
export abstract class Execution<A extends readonly unknown[] = any[], R = unknown>
  extends EventEmitter
  implements Waitable
{
  name: string;
  #daemon: boolean;
  #referenced: boolean;
  #started = false;
  #waiting = 0;
  protected readonly target: PortableTarget | undefined;
  protected readonly args: readonly unknown[];
  readonly #outcome = new Completion<Outcome<R>>();
  readonly #end = new Completion<End>();

  constructor(options: ExecutionOptions<A, R>, name: string) {
    super();
    if (typeof options !== 'object' || options === null)
      throw new TypeError('Cannot make it from these arguments: give an object, as { target, args }');
    if (options.args !== undefined && !Array.isArray(options.args))
      throw new TypeError(`Cannot pass ${typeof options.args} as "args": give an array`);
    this.target = options.target === undefined ? undefined : portable(options.target);
    this.args = options.args ?? [];
    this.name = options.name ?? name;
    this.#daemon = options.daemon ?? false;
    this.#referenced = !this.#daemon;
  }

  /** Settable until start(). */
  get daemon(): boolean {
    return this.#daemon;
  }
  set daemon(daemon: boolean) {
    if (this.#started)
      throw new LifecycleError(`Cannot set daemon of ${this.name} as it has started: set it before start()`);
    this.#daemon = daemon;
    this.#referenced = !daemon;
  }

  /**
   * Starts it: returns when it exists.
   * @throws {LifecycleError} It has been started before, or cannot be started.
   * @throws {SerializationError} The target or an argument cannot cross; nothing was started then.
   */
  start(): this {
    if (this.#started)
      throw new LifecycleError(`Cannot start ${this.name} a second time: make a new one for each run`);
    this.launch();
    this.#started = true;
    if (this.#referenced) hold();
    process.nextTick(() => this.emit('start'));
    return this;
  }

  /** Brings it to life, and calls settle() and finish() in due time, never before it returns. */
  protected abstract launch(): void;
  /** Learns what has happened up to now; `timeout` ms long. For the blocking waits. */
  protected abstract block(done: () => boolean, timeout: number): boolean;
  /** Ends it, however busy it is. */
  abstract terminate(): void;

  /**
   * Waits for the end. True when it has ended, false when the time ran out. No zombie is left.
   * @throws {LifecycleError} It has not been started.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    this.#checkStarted('join');
    return (await holding(this.#end.wait(options))) !== undefined;
  }

  /** The same, blocking this thread. */
  joinSync(options?: { timeout?: number }): boolean {
    this.#checkStarted('join');
    return this.block(() => this.#end.outcome !== undefined, timeoutOf(options));
  }

  /**
   * What the target returned. Rejects with what it threw (its stack goes on to show this call), or with
   * WorkerDiedError when it ended without either.
   * @throws {TimeoutError} Neither had happened when `timeout` had passed.
   */
  async result(options?: WaitOptions): Promise<R> {
    this.#checkStarted('await');
    const caller = new Error('result()').stack ?? '';
    this.#waiting++;
    const outcome = await holding(this.#outcome.wait(options)).finally(() => this.#waiting--);
    if (!outcome)
      throw new TimeoutError(
        `Cannot give the result of ${this.name} within ${options?.timeout} ms as it still runs: allow more time`,
      );
    if ('value' in outcome.value) return outcome.value.value;
    if (outcome.value.error instanceof Error) joinStacks(outcome.value.error, caller);
    throw outcome.value.error;
  }

  /** Is it alive now? */
  isAlive(): boolean {
    if (!this.#started) return false;
    this.block(() => true, 0);
    return this.#end.outcome === undefined;
  }

  /** Has it ended? See wait(). */
  [IS_READY](): boolean {
    this.#checkStarted('wait for');
    return !this.isAlive();
  }

  [WATCH](watcher: Watcher): Watch {
    this.#checkStarted('wait for');
    return { stop: this.#end.watch(() => watcher.notify()) };
  }

  /** It keeps the parent's event loop alive: so it is unless it is a daemon. */
  ref(): this {
    if (!this.#referenced && this.isAlive()) hold();
    this.#referenced = true;
    return this;
  }

  unref(): this {
    if (this.#referenced && this.isAlive()) unhold();
    this.#referenced = false;
    return this;
  }

  /** Terminates it if it is alive, then joins. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started) return;
    if (this.isAlive()) this.terminate();
    await this.join();
  }

  protected get hasStarted(): boolean {
    return this.#started;
  }

  /** How it ended; undefined while it has not. */
  protected get end(): End | undefined {
    return this.#end.outcome?.value;
  }

  protected get isSettled(): boolean {
    return this.#outcome.outcome !== undefined;
  }

  /** The target has returned or thrown, or never will. */
  protected settle(outcome: Outcome<R>, { quiet }: { quiet: boolean }): void {
    if (this.isSettled) return;
    const awaited = this.#waiting > 0;
    this.#outcome.complete(outcome);
    if ('error' in outcome && !awaited && !quiet && this.listenerCount('error') > 0)
      process.nextTick(() => this.emit('error', outcome.error));
  }

  /** The same as it came over: encoded. `decoded` is called once it has been decoded, or cannot be. */
  protected conclude(threw: boolean, message: Uint8Array, decoded: () => void = () => {}): void {
    const take = (value: unknown) => {
      decoded();
      this.settle(threw ? { error: value } : { value: value as R }, { quiet: false });
    };
    const refuse = (error: unknown) => {
      decoded();
      this.settle({ error }, { quiet: false });
    };
    try {
      if (threw) take(decodeThrown(message));
      else if (needsModules(message)) decodeAsync(message).then(({ value }) => take(value), refuse);
      else take(decode(message));
    } catch (error) {
      refuse(error);
    }
  }

  /** It has ended. */
  protected finish(end: End): void {
    if (this.#end.outcome) return;
    this.#end.complete(end);
    if (this.#referenced) unhold();
    process.nextTick(() => this.emit('exit', end.exitCode, end.signalCode));
  }

  #checkStarted(act: string): void {
    if (!this.#started)
      throw new LifecycleError(`Cannot ${act} ${this.name} as it has not been started: call start() first`);
  }
}
