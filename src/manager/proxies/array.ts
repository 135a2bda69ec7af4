import type { NumberOf, TypeCode } from '../../shared/types.js';
import { RemoteObject } from '../remote-object.js';
import type { RLockProxy } from './lock.js';

/**
 * An array of numbers of one type, of fixed length, in a manager's server. It takes what a local SharedArray takes.
 *
 * Python: `SyncManager.Array`, which takes anything of the type's kind, and slices.
 */
export class ArrayProxy<C extends TypeCode = 'f64'>
  extends RemoteObject
  implements AsyncIterable<NumberOf<C>>
{
  /** Item `i`, counted from 0. @throws {RangeError} There is no such item. */
  get(i: number): Promise<NumberOf<C>> {
    return this.call('get', [i]);
  }

  /** Sets item `i`. @throws {RangeError} There is no such item, or the number is out of range. @throws {TypeError} It is of another kind. */
  set(i: number, value: NumberOf<C>): Promise<void> {
    return this.call('set', [i, value]);
  }

  /** How many items it has. */
  length(): Promise<number> {
    return this.call('length');
  }

  /** All items, as they are at one moment. */
  toArray(): Promise<NumberOf<C>[]> {
    return this.call('toArray');
  }

  /** Items from `a` up to `b`, as Array.slice() counts. */
  slice(a?: number, b?: number): Promise<NumberOf<C>[]> {
    return this.call('slice', [a, b]);
  }

  /** Of a 'c' array: its bytes up to the first NUL. @throws {TypeError} It is of another type. */
  getValue(): Promise<Uint8Array> {
    return this.call('getValue');
  }

  /** Of a 'c' array: writes bytes from the start on, and a NUL after them if there is room. */
  setValue(bytes: Uint8Array): Promise<void> {
    return this.call('setValue', [bytes]);
  }

  /** A lock for what takes several steps, always the same. Nothing here takes it by itself. */
  getLock(): Promise<RLockProxy> {
    return this.call('getLock');
  }

  /** All items, each as it is when it is fetched, many at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<NumberOf<C>, undefined, undefined> {
    for await (const chunk of (await this.call('chunks')) as AsyncIterable<NumberOf<C>[]>) yield* chunk;
  }
}
