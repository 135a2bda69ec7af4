import type { NumberOf, TypeCode } from '../../shared/types.js';
import { RemoteObject } from '../remote-object.js';
import type { RLockProxy } from './lock.js';

/**
 * A number in a manager's server. It takes what a local Value takes and refuses what that refuses. Each method is one step; what takes
 * several needs getLock().
 *
 * Python: `SyncManager.Value`, which takes anything whatever its type code says.
 */
export class ValueProxy<C extends TypeCode = 'f64'> extends RemoteObject {
  /** The number. Stale once read. */
  get(): Promise<NumberOf<C>> {
    return this.call('get');
  }

  /** Sets the number. @throws {RangeError} It is out of range. @throws {TypeError} It is of another kind than the type's numbers. */
  set(value: NumberOf<C>): Promise<void> {
    return this.call('set', [value]);
  }

  /** Adds `n`, and resolves with what was there before. */
  add(n: NumberOf<C>): Promise<NumberOf<C>> {
    return this.call('add', [n]);
  }

  /** Sets it to `next` if it is `expected`. Resolves with what was there before. */
  compareExchange(expected: NumberOf<C>, next: NumberOf<C>): Promise<NumberOf<C>> {
    return this.call('compareExchange', [expected, next]);
  }

  /** A lock for what takes several steps, always the same. Nothing here takes it by itself. */
  getLock(): Promise<RLockProxy> {
    return this.call('getLock');
  }
}
