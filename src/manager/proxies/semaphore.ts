import type { Guard } from '../../sync/guard.js';
import type { WaitOptions } from '../../wait/options.js';
import { RemoteObject } from '../remote-object.js';
import { RemoteGuard } from './guard.js';
import { cannotBlock, signalOf, timeOf } from './waits.js';

/**
 * A semaphore in a manager's server. Who waits is served in order of arrival. Permits of a thread whose connection ends come back; for
 * each such end one of the next guards has `abandoned` true.
 *
 * Python: `SyncManager.Semaphore` and `BoundedSemaphore`, whose permits are lost with their holder.
 */
export class SemaphoreProxy extends RemoteObject {
  /** Waits for a permit. @throws {TimeoutError} There was none when `timeout` had passed. `timeout: 0` does not wait. */
  async acquire(options?: WaitOptions): Promise<Guard> {
    return new RemoteGuard(this, await this.call('acquire', timeOf(options), signalOf(options)));
  }

  /** Takes a permit if there is one; else null. */
  async tryAcquire(): Promise<Guard | null> {
    const grant = await this.call('tryAcquire');
    return grant && new RemoteGuard(this, grant);
  }

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

  acquireSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('semaphore', 'acquireSync', 'acquire');
  }
}
