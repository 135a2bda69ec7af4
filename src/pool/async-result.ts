import { registerRefusal } from '../codec/handles.js';
import { Failure } from '../codec/path.js';
import { CancelledError, LifecycleError, TimeoutError } from '../errors/errors.js';
import { Completion } from '../wait/completion.js';
import { checkWait, type WaitOptions } from '../wait/options.js';

type Executor = (resolve: (value: any) => void, reject: (error: unknown) => void) => void;

/** What stands behind a result: the way to call it off. */
export interface Source {
  /** False: too late. Else the result rejects with `reason` in due time. */
  cancel(reason: unknown): boolean;
  /** The same, if nothing of it runs yet. */
  withdraw(reason: unknown): boolean;
  /** Has a worker begun it? */
  isRunning(): boolean;
}

/**
 * A promise that can also be asked. Nothing is reported as unhandled when it was asked by get() or wait() instead, nor when
 * this program has called it off, by cancel() or by ending its pool. Who gives up asking leaves the task as it is.
 *
 * Python: `multiprocessing.pool.AsyncResult`.
 */
export class AsyncResult<R> extends Promise<R> {
  /** @hidden then() makes plain promises: nobody asks those. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** @internal A new one, for who settles it. */
  static pending<T extends AsyncResult<any>>(this: new (executor: Executor) => T): T {
    let resolve!: (value: unknown) => void;
    let reject!: (error: unknown) => void;
    const result = new this((yes, no) => {
      resolve = yes;
      reject = no;
    });
    result.#resolve = resolve;
    result.#reject = reject;
    return result;
  }

  #resolve: ((value: unknown) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #source: Source | undefined;
  #outcome: 'returned' | 'threw' | undefined;
  /** What it came to. */
  #value: unknown;
  #done: Completion<void> | undefined;
  /** Is there somebody who knows of its failure, so that it need not be reported? */
  #isTold = false;
  #duration: number | undefined;

  /** How long the call ran, ms, in its worker; what it waited is not counted. Undefined: it is not over, or never ran to its end. */
  get duration(): number | undefined {
    return this.#duration;
  }

  /** @internal For who settles it: to be called before that. */
  setSource(source: Source): void {
    this.#source = source;
  }

  /** @internal The same. */
  setDuration(ms: number): void {
    this.#duration = ms;
  }

  /** @internal For who settles it: the call returned `value`, which is no promise. */
  give(value: R): void {
    this.#conclude('returned', value);
    this.#resolve?.(value);
  }

  /** @internal For who settles it: the call failed. */
  fail(error: unknown): void {
    if (error instanceof CancelledError) this.tell(); // whoever called it off knows
    this.#conclude('threw', error);
    this.#reject?.(error);
  }

  #conclude(outcome: 'returned' | 'threw', value: unknown): void {
    this.#outcome = outcome;
    this.#value = value;
    this.#source = undefined;
    this.#done?.complete();
  }

  /** @internal What it came to; undefined: it is not over. It has not been asked by that: see wait(). */
  get outcome(): { value: R } | { error: unknown } | undefined {
    if (!this.#outcome) return undefined;
    return this.#outcome === 'returned' ? { value: this.#value as R } : { error: this.#value };
  }

  /** @internal Has `listener` called once it is over, before who awaits it goes on. Returns the way to stop. It must not be over yet. */
  watch(listener: () => void): () => void {
    this.#done ??= new Completion<void>();
    return this.#done.watch(listener);
  }

  /**
   * The value. Rejects with what the call failed with.
   * @throws {TimeoutError} It was not there when `timeout` ms had passed; it may still come.
   * @throws The signal's reason.
   */
  async get(options?: WaitOptions): Promise<R> {
    await this.settled(options);
    return await this;
  }

  /** Waits until it is over. @throws {TimeoutError} It was not when `timeout` ms had passed. */
  protected async settled(options: WaitOptions | undefined): Promise<void> {
    if (!(await this.wait(options)))
      throw new TimeoutError(
        `Cannot give the result within ${options?.timeout} ms as it is not there yet: allow more time`,
      );
  }

  /** True when it is there, be it a value or an error; false when the time ran out. */
  async wait(options?: WaitOptions): Promise<boolean> {
    checkWait(options);
    this.tell();
    if (this.#outcome) return true;
    this.#done ??= new Completion<void>();
    return (await this.#done.wait(options)) !== undefined;
  }

  /** Is it there, be it a value or an error? */
  ready(): boolean {
    return this.#outcome !== undefined;
  }

  /** Has a worker begun it, and is it not over? Stale as soon as it is read. */
  isRunning(): boolean {
    return this.#source?.isRunning() ?? false;
  }

  /** Is it a value? @throws {LifecycleError} It is not there yet. */
  successful(): boolean {
    if (!this.#outcome)
      throw new LifecycleError(
        'Cannot tell whether the call was successful as it is not over: await it, or ask ready() first',
      );
    return this.#outcome === 'returned';
  }

  /**
   * Calls the task off: it rejects with CancelledError. One that runs already is ended with its worker, which is
   * replaced. False: it was over.
   */
  cancel(): boolean {
    return this.#source?.cancel(cancelled()) ?? false;
  }

  /** Calls the task off if it waits: it rejects with CancelledError. False: it runs, and is left to end, or it was over. */
  withdraw(reason = cancelled()): boolean {
    return this.#source?.withdraw(reason) ?? false;
  }

  /** @internal From now on its failure is not reported as unhandled. */
  tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.catch(() => {});
  }
}

registerRefusal(
  AsyncResult,
  name =>
    new Failure(
      `this ${name} settles in the thread that has it only`,
      'await it, and send what it came to, or give the task that needs it once it is there',
    ),
);

/** What a result rejects with that is called off. */
export function cancelled(): CancelledError {
  return new CancelledError('The task was cancelled before it was over');
}
