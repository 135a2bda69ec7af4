import type { CancelledError } from '../errors/errors.js';
import type { WaitOptions } from '../wait/options.js';
import { AsyncResult, cancelled } from './async-result.js';

/**
 * What an executor's task comes to: a promise that can also be asked, and called off as long as nobody has begun it.
 *
 * Nothing is reported as an unhandled rejection once somebody has asked: by awaiting it, get(), result(), wait(), exception(),
 * addDoneCallback(), asCompleted() or waitFutures(), or by calling it off.
 *
 * Python: `concurrent.futures.Future`, whose errors vanish when nobody asks. There is no `set_result()`: a promise of one's own does that.
 */
export class Future<R> extends AsyncResult<R> {
  /** What it rejects with if it is called off. */
  #cancellation: CancelledError | undefined;

  /** Is it over: returned, failed or cancelled? Another name of ready(). */
  done(): boolean {
    return this.ready();
  }

  /** Has a worker begun it, and is it not over? Stale as soon as it is read. */
  running(): boolean {
    return this.isRunning();
  }

  /** Was it called off before anybody had begun it? False for one whose function threw a CancelledError. */
  cancelled(): boolean {
    const { outcome } = this;
    return outcome !== undefined && 'error' in outcome && outcome.error === this.#cancellation;
  }

  /**
   * Calls it off if no worker has begun it: it rejects with CancelledError. True: it is cancelled, be it by an earlier call. False: it
   * runs, and is left to end, or it is over. Unlike that of a pool's result, this leaves workers alone.
   */
  override cancel(): boolean {
    return this.cancelled() || this.withdraw();
  }

  override withdraw(): boolean {
    if (this.ready()) return false;
    this.#cancellation = cancelled(); // whoever is told of its end may ask at once
    return super.withdraw(this.#cancellation);
  }

  /** The value: get() by Python's name. @throws {TimeoutError} It was not there when `timeout` ms had passed; it may still come. */
  result(options?: WaitOptions): Promise<R> {
    return this.get(options);
  }

  /**
   * What it failed with; undefined if it returned.
   * @throws {CancelledError} It was cancelled.
   * @throws {TimeoutError} It was not over when `timeout` ms had passed.
   */
  async exception(options?: WaitOptions): Promise<unknown> {
    await this.settled(options);
    const { outcome } = this;
    if (!outcome || 'value' in outcome) return undefined;
    if (this.cancelled()) throw outcome.error;
    return outcome.error;
  }

  /**
   * Has `fn` called with this future once it is over: in the order in which they were added, before who awaits the future goes on,
   * in a microtask if it is over already. What `fn` throws is an uncaught exception, and the others are called all the same.
   * @throws {TypeError} `fn` is no function.
   */
  addDoneCallback(fn: (future: Future<R>) => void): void {
    if (typeof fn !== 'function')
      throw new TypeError(
        `Cannot call ${fn === null ? 'null' : typeof fn} when the future is over: give a function`,
      );
    this.tell();
    const call = () => queueMicrotask(() => fn(this));
    if (this.ready()) call();
    else this.watch(call);
  }
}
