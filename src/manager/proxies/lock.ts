import type { WaitOptions } from '../../wait/options.js';
import { AcquirerProxy } from './acquirer.js';
import { cannotBlock } from './waits.js';

/**
 * A lock in a manager's server, for all who have a proxy of it, on whatever machine.
 *
 * Its owner is the thread that acquired it. Order: who waits gets it in order of arrival at the server, and nobody comes between.
 * Death: if its owner's connection ends, because it ended or because the network did, the next one gets it, with
 * `guard.abandoned` true. Circles of owners that wait for one another are not looked for: give a `timeout` where there could be some.
 *
 * Python: `SyncManager.Lock`, which stays locked for ever when its owner is killed.
 */
export class LockProxy extends AcquirerProxy {
  /** Gives the lock back, whoever holds it; an RLock only to its owner, one level. @throws {LockError} Nobody holds it, or another. */
  release(): Promise<void> {
    return this.call('release');
  }

  /** Does anyone hold it? Stale once read. */
  locked(): Promise<boolean> {
    return this.call('locked');
  }

  /** Runs `fn`, here, with the lock held, and releases it when what it returned has settled. */
  async runExclusive<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    const guard = await this.acquire(options);
    try {
      return await fn();
    } finally {
      guard.release();
    }
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  acquireSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('lock', 'acquireSync', 'acquire');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  runExclusiveSync(_fn: () => unknown, _options?: { timeout?: number }): Promise<never> {
    return cannotBlock('lock', 'runExclusiveSync', 'runExclusive');
  }
}

/**
 * A lock in a manager's server that its owner may acquire again, and must release as often. Its owner is a thread: all its async
 * flows may acquire it again, where a local RLock tells them apart.
 *
 * Python: `SyncManager.RLock`.
 */
export class RLockProxy extends LockProxy {}
