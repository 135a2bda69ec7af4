import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { LockProxy } from './lock.js';
import { cannotBlock, signalOf, timeOf } from './waits.js';

/**
 * A condition in a manager's server, with the methods of its lock. By default that is an RLock of its own.
 *
 * notify(n) wakes those that have waited longest; each goes on once it has the lock back. One whose connection ends before that
 * passes its wake on to the next.
 *
 * Python: `SyncManager.Condition`.
 */
export class ConditionProxy extends LockProxy {
  /** The lock that guards what is waited for. */
  getLock(): Promise<LockProxy> {
    return this.call('getLock');
  }

  /**
   * Gives the lock up, all levels of it, waits to be notified, and takes it back, however long that takes. True: it was notified;
   * false: the time ran out first.
   * @throws {LockError} This thread does not hold the lock.
   */
  wait(options?: WaitOptions): Promise<boolean> {
    return this.call('wait', timeOf(options), signalOf(options));
  }

  /**
   * Waits until `predicate`, which runs here and may be async, holds; it is asked with the lock held. What it said last, when the
   * time ran out.
   */
  async waitFor(
    predicate: () => boolean | PromiseLike<boolean>,
    options: WaitOptions = {},
  ): Promise<boolean> {
    const deadline = performance.now() + timeoutOf(options);
    while (!(await predicate())) {
      const timeout = deadline - performance.now();
      if (timeout <= 0) return false;
      const isNotified = await this.wait(
        timeout === Number.POSITIVE_INFINITY ? options : { ...options, timeout },
      );
      if (!isNotified) return predicate();
    }
    return true;
  }

  /** Wakes `n` of those that wait now; fewer if there are not so many. @throws {LockError} This thread does not hold the lock. */
  notify(n = 1): Promise<void> {
    return this.call('notify', [n]);
  }

  /** Wakes all that wait now. @throws {LockError} This thread does not hold the lock. */
  notifyAll(): Promise<void> {
    return this.call('notifyAll');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  waitSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('condition', 'waitSync', 'wait');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  waitForSync(_predicate: () => boolean, _options?: { timeout?: number }): Promise<never> {
    return cannotBlock('condition', 'waitForSync', 'waitFor');
  }
}
