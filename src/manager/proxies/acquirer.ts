import type { Guard } from '../../sync/guard.js';
import type { WaitOptions } from '../../wait/options.js';
import type { Grant } from '../served/lock.js';
import { LingeringProxy } from './lingering.js';
import { signalOf, timeOf } from './waits.js';

/** What is acquired in a manager's server, and held by guards here. */
export abstract class AcquirerProxy extends LingeringProxy {
  /**
   * Waits until it is this caller's.
   * @throws {TimeoutError} It was not when `timeout` had passed. `timeout: 0` does not wait.
   * @throws {ClosedError} The server is gone.
   */
  async acquire(options?: WaitOptions): Promise<Guard> {
    return this.#guard(await this.call('grant', timeOf(options), signalOf(options)));
  }

  /** Acquires it if that can be done without waiting; else null. */
  async tryAcquire(): Promise<Guard | null> {
    const grant: Grant | null = await this.call('tryGrant');
    return grant && this.#guard(grant);
  }

  #guard({ serial, abandoned }: Grant): Guard {
    this.begin();
    return new RemoteGuard(abandoned, () => {
      // It fails only if the server is gone, and then there is nothing to give back.
      this.call('giveBack', [serial]).catch(() => {});
      this.end();
    });
  }
}

/**
 * Over one acquisition of what a manager's server holds. Releasing it is told to the server at once, before all that this thread
 * asks of it afterwards, and is not waited for.
 */
class RemoteGuard implements Guard {
  readonly abandoned: boolean;
  #giveBack: (() => void) | undefined;

  constructor(abandoned: boolean, giveBack: () => void) {
    this.abandoned = abandoned;
    this.#giveBack = giveBack;
  }

  release(): void {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
