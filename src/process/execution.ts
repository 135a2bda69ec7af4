import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';
import { IS_READY, WATCH, type Waitable, type Watch, type Watcher } from '../channel/waitable.js';
import { nameOf, privateMemberAbove } from '../codec/classes.js';
import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { decodeThrown, joinStacks } from '../codec/errors.js';
import { registerBase } from '../codec/handles.js';
import { Failure, onTheWay } from '../codec/path.js';
import { setOwn } from '../codec/shapes.js';
import { LifecycleError, TimeoutError } from '../errors/errors.js';
import { Completion } from '../wait/completion.js';
import { hold, holding, unhold } from '../wait/doorbell.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { Known } from './known.js';
import { callTarget, type PortableTarget, portable, type Target } from './target.js';
import { RUN } from './work.js';

/** What a {@link Process} and a {@link Thread} may both be given. */
export interface ExecutionOptions<A extends readonly unknown[], R> {
  /** What it runs. Without one, it runs its own {@link Execution.run | run()}, or ends at once. */
  target?: Target<A, R>;
  /** What the target is called with: copies of these, save for what is shared. */
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

export type Outcome<R> = { readonly value: R } | { readonly error: unknown };

/** What crosses of an object whose class has a run() of its own. The names are those that paths in error messages begin with. */
interface Shell {
  readonly class: { readonly prototype: object };
  /** Its own fields. */
  readonly this: Readonly<Record<string, unknown>>;
  readonly target: PortableTarget | undefined;
  readonly args: readonly unknown[];
}

/** Own fields of every object, which are for who listens here. */
const OF_EVENT_EMITTERS = new Set(Object.keys(new EventEmitter()));

/** Whose task is being encoded: it is the one that may cross. */
let crossing: Execution | undefined;

/**
 * What {@link Process} and {@link Thread} have in common: a function that runs elsewhere, once.
 *
 * Events: 'start' (), 'exit' (exitCode, signalCode), 'error' (what the target threw, when nothing awaits result() and
 * somebody listens).
 */
export abstract class Execution<A extends readonly unknown[] = any[], R = unknown>
  extends EventEmitter
  implements Waitable
{
  #name: string;
  #daemon: boolean;
  /** Undefined: as it is for its kind. */
  #referenced: boolean | undefined;
  #started = false;
  #closed = false;
  #waiting = 0;
  #target: PortableTarget | undefined;
  #args: readonly unknown[];
  /** If it ran before this object was made. */
  #known: Known | undefined;
  /** The process that made this object; one that forks off this one has a copy, which is not its own. */
  readonly #maker = process.pid;
  readonly #outcome = new Completion<Outcome<R>>();
  readonly #end = new Completion<End>();

  /** @internal `name` and `daemon`: if the options do not say. */
  constructor(options: ExecutionOptions<A, R> | Known, name: string, daemon: boolean) {
    super();
    if (options instanceof Known) {
      this.#known = options;
      this.#started = true;
      this.#referenced = false;
      this.#args = [];
      this.#name = options.name;
      this.#daemon = options.daemon;
      return;
    }
    if (typeof options !== 'object' || options === null)
      throw new TypeError('Cannot make it from these arguments: give an object, as { target, args }');
    if (options.args !== undefined && !Array.isArray(options.args))
      throw new TypeError(`Cannot pass ${typeof options.args} as "args": give an array`);
    this.#target = options.target === undefined ? undefined : portable(options.target);
    this.#args = options.args ?? [];
    this.#name = options.name === undefined ? name : checkedName(options.name);
    this.#daemon = options.daemon === undefined ? daemon : checkedDaemon(options.daemon);
  }

  /** Settable at any time; what runs already keeps the name that it was started with. */
  declare name: string;
  /** Settable until start(). */
  declare daemon: boolean;

  // Accessors, but properties to TypeScript: it lets a subclass write "override name = 'clock'" over a property only.
  static {
    Object.defineProperties(Execution.prototype, {
      name: {
        configurable: true,
        get(this: Execution): string {
          return this.#name;
        },
        set(this: Execution, name: string) {
          this.#name = checkedName(name);
        },
      },
      daemon: {
        configurable: true,
        get(this: Execution): boolean {
          return this.#daemon;
        },
        set(this: Execution, daemon: boolean) {
          this.permitLook('set daemon of');
          if (this.#started)
            throw new LifecycleError(
              `Cannot set daemon of ${this.name} as it has started: set it before start()`,
            );
          this.#daemon = checkedDaemon(daemon);
        },
      },
    });
  }

  /**
   * Starts it: returns when it exists.
   * @throws {LifecycleError} It has been started before, or cannot be started.
   * @throws {SerializationError} The target or an argument cannot cross; nothing was started then.
   */
  start(): this {
    this.permitLook('start');
    if (this.#known) this.permit('start');
    if (this.#started)
      throw new LifecycleError(`Cannot start ${this.name} a second time: make a new one for each run`);
    // Fields of a subclass may have taken the place of ours.
    checkedName(this.name);
    checkedDaemon(this.daemon);
    this.launch();
    this.#started = true;
    this.#referenced ??= !this.daemon;
    if (this.#referenced) hold();
    process.nextTick(() => this.emit('start'));
    return this;
  }

  /**
   * What its process or thread does; its result() is what this returns, or what the promise is settled with that this returns.
   * Runs there, not here. Override it in a subclass: `this` is there an object of the same class with the own fields that it had at
   * start(), except for listeners; it is what currentProcess() or currentThread() gives. Its class crosses as
   * functions do. By default it calls `target(...args)`.
   * @public
   */
  protected run(): unknown {
    return callTarget(this.#target, this.#args);
  }

  /** What its process or thread may come to use of what is here, where nothing is sent. */
  protected get inHand(): readonly unknown[] {
    return [...this.#args, ...Object.values(this)];
  }

  /** In the process that has become what it stands for. */
  protected becomeKnown(known: Known): void {
    this.#known = known;
    this.#started = true;
    this.#referenced = false;
    this.removeAllListeners();
  }

  /** @hidden In its process or thread. */
  [RUN](): unknown {
    return this.run();
  }

  /**
   * What its process or thread is to do, as a message for work.ts: call the target, or be this object if its class has a run() of
   * its own.
   * @throws {SerializationError} Something of it cannot cross.
   */
  protected encodeTask(): Uint8Array {
    if (this.run === Execution.prototype.run)
      return encode({ target: this.#target, args: this.#args }, { root: '' });
    const before = crossing;
    crossing = this;
    try {
      return encode(this, { root: '' });
    } finally {
      crossing = before; // a getter of a field may have started this one
    }
  }

  /**
   * Lets objects of `type` and its subclasses become the object that stands for the process or thread that they are sent to: `make`
   * makes that of class `type`.
   */
  protected static letCross<T extends Execution>(
    id: string,
    type: abstract new () => T,
    make: () => T,
  ): void {
    registerBase<T, Shell>(
      id,
      type,
      object => Execution.#shellOf(object, type),
      make,
      (object, shell) => {
        Object.setPrototypeOf(object, shell.class.prototype);
        object.#target = shell.target;
        object.#args = shell.args;
        for (const [key, value] of Object.entries(shell.this)) setOwn(object, key, value);
      },
    );
  }

  static #shellOf(object: Execution, base: abstract new () => Execution): Shell {
    if (object !== crossing)
      throw new Failure(
        `it is ${nameOf(base.prototype)} "${object.name}", which only the thread that made it can use`,
        'send what the other side needs of it, such as its name, its pid or its result',
      );
    const prototype = Object.getPrototypeOf(object) as object;
    if (prototype.constructor?.prototype !== prototype)
      throw onTheWay(
        new Failure('its prototype is not that of a class', 'make it by "new" of a class that has run()'),
        'this',
      );
    const hidden = privateMemberAbove(prototype, base.prototype);
    if (hidden)
      throw onTheWay(
        new Failure(
          `it is a private member of class ${hidden.owner}, which only its constructor can make`,
          'use an ordinary field or method, such as "private" of TypeScript makes',
        ),
        `this.${hidden.member}`,
      );
    const fields: Record<string, unknown> = {};
    for (const key of Object.keys(object))
      if (!OF_EVENT_EMITTERS.has(key)) setOwn(fields, key, (object as unknown as typeof fields)[key]);
    return {
      class: prototype.constructor,
      this: fields,
      target: object.#target,
      args: object.#args,
    };
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
    this.permit('join');
    return (await holding(this.#end.wait(options))) !== undefined;
  }

  /** {@link join | join()}, blocking this thread. */
  joinSync(options?: { timeout?: number }): boolean {
    this.permit('join');
    return this.block(() => this.#end.outcome !== undefined, timeoutOf(options));
  }

  /**
   * What the target returned. Rejects with what it threw (its stack goes on to show this call), or with
   * WorkerDiedError when it ended without either.
   * @throws {TimeoutError} Neither had happened when `timeout` had passed.
   */
  async result(options?: WaitOptions): Promise<R> {
    this.permit('await');
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
    this.permitLook('look at');
    if (!this.#started) return false;
    this.block(() => true, 0);
    return this.#end.outcome === undefined;
  }

  /** @hidden Has it ended? See wait(). */
  [IS_READY](): boolean {
    this.permit('wait for');
    return !this.isAlive();
  }

  /** @hidden */
  [WATCH](watcher: Watcher): Watch {
    this.permit('wait for');
    return { stop: this.#end.watch(() => watcher.notify()) };
  }

  /** Has it keep the parent's event loop alive as long as it lives: so it is unless it is a daemon. */
  ref(): this {
    if (this.#known) return this;
    this.permitOpen('keep the event loop alive for');
    if (!this.#referenced && this.isAlive()) hold();
    this.#referenced = true;
    return this;
  }

  /** Has it no longer keep the parent's event loop alive. */
  unref(): this {
    if (this.#known) return this;
    this.permitOpen('keep the event loop alive for');
    if (this.#referenced && this.isAlive()) unhold();
    this.#referenced = false;
    return this;
  }

  /** Terminates it if it is alive, then joins. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#started || this.#closed) return;
    if (this.isAlive()) this.terminate();
    await this.join();
  }

  /**
   * Nothing may be done with it any more. False: that was so before.
   * @throws {LifecycleError} It is alive, or not this object's to close.
   */
  protected shut(): boolean {
    if (this.#closed) return false;
    this.permitLook('close');
    if (this.#known) this.permit('close');
    if (this.isAlive())
      throw new LifecycleError(`Cannot close ${this.name} as it is alive: terminate() or join() it first`);
    this.#closed = true;
    return true;
  }

  protected get hasStarted(): boolean {
    return this.#started;
  }

  /** What stands for something that ran before has been told of it. */
  protected get known(): Known | undefined {
    return this.#known;
  }

  /** How it ended; undefined while it has not. */
  protected get end(): End | undefined {
    return this.#end.outcome?.value;
  }

  /** What result() rejects with; undefined as long as that is not known, or if it does not. */
  protected get failure(): unknown {
    const outcome = this.#outcome.outcome?.value;
    return outcome && 'error' in outcome ? outcome.error : undefined;
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

  /** Whether that may be done with what runs. @throws {LifecycleError} Not from here, not yet, or not any more. */
  protected permit(act: string): void {
    if (this.#started && !this.#closed && this.#maker === process.pid && !this.#known) return;
    this.permitLook(act);
    if (!this.#started)
      throw new LifecycleError(`Cannot ${act} ${this.name} as it has not been started: call start() first`);
    const refusal = this.#known?.refusal(act);
    if (refusal !== undefined) throw new LifecycleError(refusal);
  }

  /** The same for what may be asked before start() too, and of what has been running before this object was made. */
  protected permitLook(act: string): void {
    this.permitOpen(act);
    if (this.#maker !== process.pid && !this.#known)
      throw new LifecycleError(
        `Cannot ${act} ${this.name} as it is a copy of what process ${this.#maker} made: do it there`,
      );
  }

  /** The same for what can be told of any that is not closed. */
  protected permitOpen(act: string): void {
    if (this.#closed)
      throw new LifecycleError(`Cannot ${act} ${this.name} as it is closed: make a new one for each run`);
  }
}

function checkedName(name: unknown): string {
  if (typeof name === 'string') return name;
  throw new TypeError(`Cannot use ${inspect(name)} as "name": give a string`);
}

function checkedDaemon(daemon: unknown): boolean {
  if (typeof daemon === 'boolean') return daemon;
  throw new TypeError(`Cannot use ${inspect(daemon)} as "daemon": give true or false`);
}
