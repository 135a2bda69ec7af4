import { RemoteObject } from '../remote-object.js';

/**
 * A map from strings to values in a manager's server. Values are copies, in both directions: change what you got and it is yours alone,
 * until you set() it. A value that is a proxy of the same manager stays that: who gets it has the same object.
 *
 * Each method is one step. Order: that in which keys were first set. Any string is a key like all others, `__proto__` too.
 *
 * Python: `SyncManager.dict`, whose keys may be anything hashable, and which has neither add() nor compareAndSet().
 */
export class DictProxy<V = any> extends RemoteObject implements AsyncIterable<[string, V]> {
  /** What is there for a key; undefined if nothing is. */
  get(key: string): Promise<V | undefined> {
    return this.call('get', [key]);
  }

  /** Sets what is there for a key. @throws {SerializationError} The value cannot cross. */
  set(key: string, value: V): Promise<void> {
    return this.call('set', [key, value]);
  }

  /** Is there something for a key? */
  has(key: string): Promise<boolean> {
    return this.call('has', [key]);
  }

  /** True: there was something for the key. */
  delete(key: string): Promise<boolean> {
    return this.call('delete', [key]);
  }

  /** How many keys there are. Stale once read. */
  size(): Promise<number> {
    return this.call('size');
  }

  /** Deletes all keys. */
  clear(): Promise<void> {
    return this.call('clear');
  }

  /** All keys in order, as they are at one moment. */
  keys(): Promise<string[]> {
    return this.call('keys');
  }

  /** All values in the order of their keys, as they are at one moment. */
  values(): Promise<V[]> {
    return this.call('values');
  }

  /** All keys with their values in order, as they are at one moment. */
  entries(): Promise<[string, V][]> {
    return this.call('entries');
  }

  /** Sets all of an object's own properties, or all pairs of an iterable, in one step. */
  update(entries: Record<string, V> | Iterable<readonly [string, V]>): Promise<void> {
    return this.call('update', [crossing(entries)]);
  }

  /** What is there for a key, after setting it to `value` if nothing was. */
  setDefault(key: string, value: V): Promise<V> {
    return this.call('setDefault', [key, value]);
  }

  /** Takes out what is there for a key; undefined if nothing was. */
  pop(key: string): Promise<V | undefined> {
    return this.call('pop', [key]);
  }

  /** Adds to a number, which is 0 if nothing is there, and resolves with the sum. @throws {TypeError} What is there is no number. */
  add(key: string, n: number): Promise<number> {
    return this.call('add', [key, n]);
  }

  /**
   * Sets a key to `value` if what is there is `expected`; undefined also stands for nothing. True: it did so.
   *
   * Values are compared by what they are: NaN is NaN, 0 is -0; plain objects, arrays, Maps, Sets, Dates, regular expressions and bytes by
   * what is in them; proxies by what they stand for. Functions and objects of other classes are never the same as another.
   */
  compareAndSet(key: string, expected: V | undefined, value: V): Promise<boolean> {
    return this.call('compareAndSet', [key, expected, value]);
  }

  /** All of it as a plain object. */
  toObject(): Promise<Record<string, V>> {
    return this.call('toObject');
  }

  /**
   * All entries, fetched some hundred at a time. It sees what changes meanwhile, or not; but nothing twice, and all that stays in it
   * from beginning to end. entries() gives all as they are at one moment.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<[string, V], undefined, undefined> {
    for await (const chunk of (await this.call('chunks')) as AsyncIterable<[string, V][]>) yield* chunk;
  }
}

/** What of entries can cross: an iterable may be anything. */
export function crossing<V>(
  entries: Record<string, V> | Iterable<readonly [string, V]>,
): Record<string, V> | (readonly [string, V])[] {
  return typeof entries === 'object' && entries !== null && Symbol.iterator in entries
    ? [...(entries as Iterable<readonly [string, V]>)]
    : (entries as Record<string, V>);
}
