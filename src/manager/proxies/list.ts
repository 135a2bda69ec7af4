import { RemoteObject } from '../remote-object.js';

/**
 * A list in a manager's server. Values are copies, as a dict's are. Each method is one step. Negative indices count from the end.
 *
 * Python: `SyncManager.list`.
 */
export class ListProxy<T = any> extends RemoteObject implements AsyncIterable<T> {
  /** Item `i`; undefined if there is none. */
  at(i: number): Promise<T | undefined> {
    return this.call('at', [i]);
  }

  /** Replaces item `i`. @throws {RangeError} There is none. */
  set(i: number, value: T): Promise<void> {
    return this.call('set', [i, value]);
  }

  /** Adds items at the end; resolves with the new length. */
  push(...values: T[]): Promise<number> {
    return this.call('push', values);
  }

  /** Takes the last item out; undefined if there is none. */
  pop(): Promise<T | undefined> {
    return this.call('pop');
  }

  /** Takes the first item out; undefined if there is none. */
  shift(): Promise<T | undefined> {
    return this.call('shift');
  }

  /** Adds items at the front, in this order; resolves with the new length. */
  unshift(...values: T[]): Promise<number> {
    return this.call('unshift', values);
  }

  /** As Array.splice(): resolves with what was taken out. */
  splice(start: number, n?: number, ...values: T[]): Promise<T[]> {
    return this.call('splice', [start, n, ...values]);
  }

  /** Items from `a` up to `b`, as Array.slice() counts. */
  slice(a?: number, b?: number): Promise<T[]> {
    return this.call('slice', [a, b]);
  }

  /** The first place of a value, −1 if there is none. Values are compared as by compareAndSet() of a dict. */
  indexOf(value: T): Promise<number> {
    return this.call('indexOf', [value]);
  }

  /** Is there such a value? Compared as by indexOf(). */
  includes(value: T): Promise<boolean> {
    return this.call('includes', [value]);
  }

  /** Turns its order around. */
  reverse(): Promise<void> {
    return this.call('reverse');
  }

  /** As Array.sort(): by default as strings. `compare` runs in the server. */
  sort(compare?: (a: T, b: T) => number): Promise<void> {
    return this.call('sort', compare ? [compare] : []);
  }

  /** How many items there are. Stale once read. */
  length(): Promise<number> {
    return this.call('length');
  }

  /** Adds to item `i`, a number, and resolves with the sum. @throws {TypeError} It is none. @throws {RangeError} There is no such item. */
  add(i: number, n: number): Promise<number> {
    return this.call('add', [i, n]);
  }

  /** All items, as they are at one moment. */
  toArray(): Promise<T[]> {
    return this.call('toArray');
  }

  /**
   * All items, fetched some hundred at a time. It goes by index: what is put in or taken out before its place moves what follows.
   * toArray() gives all as they are at one moment.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined, undefined> {
    for await (const chunk of (await this.call('chunks')) as AsyncIterable<T[]>) yield* chunk;
  }
}
