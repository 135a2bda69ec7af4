import { AcquirerProxy } from './acquirer.js';
import { cannotBlock } from './waits.js';

/**
 * A semaphore in a manager's server. Who waits is served in order of arrival. Permits of a thread whose connection ends come back; for
 * each such end one of the next guards has `abandoned` true.
 *
 * Python: `SyncManager.Semaphore` and `BoundedSemaphore`, whose permits are lost with their holder.
 */
export class SemaphoreProxy extends AcquirerProxy {
  /**
   * Gives `n` permits: pays for this thread's own first, then for those of others, and adds the rest.
   * @throws {LockError} There would be too many.
   */
  release(n = 1): Promise<void> {
    return this.call('release', [n]);
  }

  /** Permits that nobody holds. Stale once read. */
  getValue(): Promise<number> {
    return this.call('getValue');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  acquireSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('semaphore', 'acquireSync', 'acquire');
  }
}
