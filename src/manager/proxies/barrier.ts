import type { WaitOptions } from '../../wait/options.js';
import { RemoteObject } from '../remote-object.js';
import { cannotBlock, signalOf, timeOf } from './waits.js';

/**
 * A barrier in a manager's server: a number of parties wait for one another there, again and again. It breaks, until reset(), when one
 * that waits runs out of time, is aborted, or loses its connection; when abort() is called; and when its action throws. That a
 * party has died that does not wait, the server cannot know: give a `timeout`.
 *
 * Python: `SyncManager.Barrier`.
 */
export class BarrierProxy extends RemoteObject {
  /**
   * Waits until all parties have arrived. Resolves with a number from 0 to parties − 1, a different one for each: the order of arrival.
   * @throws {BrokenBarrierError} It broke, or was broken already; so also when this wait's time ran out.
   */
  wait(options?: WaitOptions): Promise<number> {
    return this.call('wait', timeOf(options), signalOf(options));
  }

  /** Makes it whole again and empty. Who waits now is told that it broke. */
  reset(): Promise<void> {
    return this.call('reset');
  }

  /** Breaks it. */
  abort(): Promise<void> {
    return this.call('abort');
  }

  /** How many have to arrive. */
  parties(): Promise<number> {
    return this.call('parties');
  }

  /** How many wait now. Stale once read. */
  waiting(): Promise<number> {
    return this.call('waiting');
  }

  /** Is it broken? Then every wait() is refused until reset(). Stale once read. */
  broken(): Promise<boolean> {
    return this.call('broken');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  waitSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('barrier', 'waitSync', 'wait');
  }
}
