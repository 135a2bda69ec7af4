import type { WaitOptions } from '../../wait/options.js';
import { RemoteObject } from '../remote-object.js';
import { cannotBlock, signalOf, timeOf } from './waits.js';

/** A flag in a manager's server. Python: `SyncManager.Event`. */
export class EventFlagProxy extends RemoteObject {
  /** Stale once read. */
  isSet(): Promise<boolean> {
    return this.call('isSet');
  }

  /** Sets it, and lets all go on that wait, even if clear() follows at once. */
  set(): Promise<void> {
    return this.call('set');
  }

  /** Unsets it: who waits from now on waits for the next set(). */
  clear(): Promise<void> {
    return this.call('clear');
  }

  /** Waits until it is set. True: it was; false: the time ran out first. */
  wait(options?: WaitOptions): Promise<boolean> {
    return this.call('wait', timeOf(options), signalOf(options));
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  waitSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('event flag', 'waitSync', 'wait');
  }
}
