import { types } from 'node:util';
import { ITEM_ABROAD, pack } from '../channel/item.js';
import { NamedSpace } from '../channel/named-space.js';
import { borrow, giveBack, INLINE_BYTES, type Parcel } from '../channel/parcel.js';
import { EXTENT } from '../channel/queue-cell.js';
import type { EncodeOptions } from '../codec/encode.js';
import { Cell, type Shared } from '../sync/cell.js';
import { type NamedOptions, nameOf, openCell } from '../sync/naming.js';
import { registerShared, SharedObject } from '../sync/shared-object.js';
import type { WaitOptions } from '../wait/options.js';
import { CORE } from './core.js';
import { borrowCopy, giveCopyBack } from './entry.js';
import { checkKey } from './key.js';
import { type LogPlace, logPlace } from './map-log.js';
import { Cursor, MapStore } from './map-store.js';
import { MapWatch } from './map-watch.js';
import { Persistence } from './persistence.js';
import { type Draft, Transaction } from './transaction.js';

const BYTES = CORE.WORDS * 4;
const VALUE: EncodeOptions = { root: 'value' };
const VALUE_ABROAD: EncodeOptions = { ...ITEM_ABROAD, root: 'value' };

/** What {@link SharedMap.getEntry} gives. */
export interface SharedMapEntry<V> {
  /** The value: a copy. */
  value: V;
  /** Which value of the map it is: no other has the same, or ever had. */
  version: number;
}

/** Whether other programs find the map, and whether it outlives all of them. */
export interface SharedMapOptions extends NamedOptions {
  /**
   * The file to keep it in. All programs of a user that give the same file have one map; what it held when the last of them ended, however it
   * ended, is there for the next.
   */
  persist?: string;
}

/**
 * Keys and values in shared memory, seen by all threads and processes that have the map: what one has set, all others read at once.
 *
 * Keys are strings, of up to 65,536 bytes (one a character, two if one of them is beyond U+00FF), and numbers: 1 and '1' are two keys,
 * -0 is 0, NaN is NaN. Values are [whatever can cross](../../docs/values.md), each a copy: what `get` returns is the caller's own, and to change
 * it changes nothing in the map. A value may be undefined, as in a Map. Order is that of insertion; a key that is set again keeps its place.
 *
 * Each call is one step, in an order that is the same for all. Those that read take no lock. Those that change something
 * take the map's own, which they get in order of arrival; update() and transaction() hold it while they call your function, and others that
 * change something wait meanwhile. They may call all of this map's methods. Two maps, each changed from within an update() of the other, is a
 * deadlock like any of locks: found, and thrown as DeadlockError.
 *
 * Death: whoever is killed leaves each change made or not made, a transaction too, and nobody waiting for it.
 *
 * Memory: about 60 bytes an entry, and its key and value; values of more than 2 KiB have a block each. It is the
 * family's until the map is disposed of, or, if it was never passed on, dropped. With `{ name }` it is memory of its own, up to half of
 * what the machine has, 4 GiB at most; it is gone with the last program that has the map open.
 *
 * Python: `Manager().dict()`, whose every step is a message to a server process, and has no steps of several.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, SharedMap } from 'manyhands';
 *
 * using stock = new SharedMap<string, number>([['apples', 2]]);
 * const buy = () => {
 *   let bought = false;
 *   stock.update('apples', (left = 0) => {
 *     bought = left > 0;
 *     return bought ? left - 1 : left;
 *   });
 *   return bought;
 * };
 * const shoppers = [1, 2, 3, 4].map(() => new Process({ target: buy }).start());
 * const bought = await Promise.all(shoppers.map(shopper => shopper.result()));
 * assert.equal(bought.filter(Boolean).length, 2); // never oversold
 * assert.equal(stock.get('apples'), 0);
 * ```
 */
export class SharedMap<K extends string | number = string, V = any> extends SharedObject {
  readonly #store: MapStore;
  readonly #watch: MapWatch;
  readonly #how = this.cell.shared ? VALUE_ABROAD : VALUE;
  #transaction: Transaction | undefined;
  /** The file that it is kept in. */
  readonly #file: string | undefined;
  /** Bytes of the last long value: the next one may be like it. */
  #guess = 0;

  /**
   * `entries` are set in one step; if there is a map of that name already, they are not.
   * @throws {TypeError | RangeError} An entry, a key or the name is none.
   * @throws {SerializationError} A value cannot cross.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(entries?: Iterable<readonly [K, V]> | null, options?: SharedMapOptions);
  constructor(entries: Iterable<readonly [K, V]> | Cell | null = null, options: SharedMapOptions = {}) {
    let isNew = false;
    const place = placeOf(options);
    const fill = (words: Int32Array, at: number) => {
      isNew = true;
      MapStore.prepare(words, at);
      if (place) Persistence.prepare(words, at);
    };
    const needs = { bytes: BYTES, namedBytes: BYTES + NamedSpace.wordsFor(EXTENT) * 4, extent: EXTENT, fill };
    super(entries instanceof Cell ? entries : openCell('SharedMap', place ?? options, needs));
    this.#store = new MapStore(this);
    this.#watch = new MapWatch(this.cell, this.#store);
    this.#file = place?.path;
    try {
      if (place) this.#persist(place);
      if (isNew && entries !== null && !(entries instanceof Cell) && this.size === 0) this.#fill(entries);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** @internal */
  static fileOf(map: SharedMap): string | undefined {
    return map.#file;
  }

  /** Has all changes go to the file, too; what is there already is read by who is first. */
  #persist(place: LogPlace): void {
    const log = new Persistence(this.#store, place);
    this.#store.log = log;
    const shared = this.cell.shared as Shared;
    const { leave } = shared;
    shared.leave = () => {
      leave.call(shared);
      log.close();
    };
    this.#store.enter();
    this.#store.leave();
  }

  #fill(entries: Iterable<readonly [K, V]>): void {
    if (typeof (entries as Partial<typeof entries>)[Symbol.iterator] !== 'function')
      throw new TypeError(
        `Cannot make a SharedMap of ${typeof entries}: give pairs of keys and values, such as a Map`,
      );
    this.transaction(() => {
      for (const entry of entries) {
        if (typeof entry !== 'object' || entry === null)
          throw new TypeError(`Cannot make an entry of a SharedMap of ${typeof entry}: give [key, value]`);
        this.set(entry[0], entry[1]);
      }
    });
  }

  /** The value of a key; undefined: there is none. @throws {SerializationError} It cannot be decoded here. */
  get(key: K): V | undefined {
    checkKey(key);
    this.check();
    const draft = this.#draft(key);
    if (draft) return this.#pending?.decode(draft) as V | undefined;
    return this.#read(key)?.value;
  }

  /** Is there such a key? */
  has(key: K): boolean {
    checkKey(key);
    this.check();
    const draft = this.#draft(key);
    return draft ? draft.parcel !== undefined : this.#store.has(key);
  }

  /** How many keys there are. Stale once read. */
  get size(): number {
    this.check();
    return this.#pending?.size ?? this.#store.count();
  }

  /**
   * Sets the value of a key.
   * @throws {SerializationError} The value cannot cross, or holds what programs that share this map by its name cannot reach.
   * @throws {TypeError | RangeError} The key can be none.
   * @throws {OutOfMemoryError} There is no room: the map is as it was.
   * @throws {DeadlockError} Whoever is changing the map waits for this thread.
   * @throws {ClosedError} The map has been disposed of.
   */
  set(key: K, value: V): void {
    checkKey(key);
    this.check();
    const parcel = this.#packed(value);
    try {
      this.#setPacked(key, parcel);
    } finally {
      giveBack(parcel, this.#store.space);
    }
  }

  /** Deletes a key. False: it was not there. */
  delete(key: K): boolean {
    checkKey(key);
    this.check();
    const pending = this.#pending;
    if (pending) return pending.delete(key);
    this.#store.enter();
    try {
      const wasThere = this.#store.remove(key);
      if (wasThere) this.#watch.tell(key);
      return wasThere;
    } finally {
      this.#store.leave();
    }
  }

  /** Deletes all keys, in one step. */
  clear(): void {
    this.check();
    const pending = this.#pending;
    if (pending) {
      for (const key of [...this.keys()]) pending.delete(key);
      return;
    }
    this.#store.enter();
    try {
      this.#store.clear();
      this.#watch.tellAll();
    } finally {
      this.#store.leave();
    }
  }

  /**
   * Sets a key to what `fn` makes of its latest value, in one step: nobody else changes the map meanwhile. `fn` is called once, and
   * blocks all who want to change the map, so let it be short. It must not be async. If it returns undefined, the key is deleted; if it throws,
   * the key stays as it is. Returns what `fn` returned.
   * @throws {TypeError} `fn` returned a promise: nothing has changed.
   */
  update(key: K, fn: (old: V | undefined) => V | undefined): V | undefined {
    checkKey(key);
    checkFunction(fn, 'update');
    this.check();
    this.#store.enter();
    try {
      const value = fn(this.get(key));
      refusePromise(value, 'update', this);
      if (value === undefined) this.delete(key);
      else this.set(key, value);
      return value;
    } finally {
      this.#store.leave();
    }
  }

  /** The value of a key and its version, which no other value of the map has, or ever had. Undefined: there is none. */
  getEntry(key: K): SharedMapEntry<V> | undefined {
    checkKey(key);
    this.check();
    const draft = this.#draft(key);
    if (!draft) return this.#read(key);
    if (draft.parcel === undefined) return undefined;
    return { value: this.#pending?.decode(draft) as V, version: draft.version };
  }

  /**
   * Sets a key if its version is still that one (getEntry()), or, with null, if it is not there. False: it is not so, and nothing has
   * changed.
   */
  compareAndSet(key: K, version: number | null, value: V): boolean {
    checkKey(key);
    if (version !== null && typeof version !== 'number')
      throw new TypeError(
        `Cannot compare a version with ${typeof version}: give the number that getEntry() returned, or null for a key that is not there`,
      );
    this.check();
    const parcel = this.#packed(value);
    const store = this.#store;
    try {
      store.enter();
      try {
        const draft = this.#draft(key);
        const current = draft ? (draft.parcel ? draft.version : 0) : store.version(key);
        if (current !== (version ?? 0) || version === 0) return false;
        this.#setPacked(key, parcel);
        return true;
      } finally {
        store.leave();
      }
    } finally {
      giveBack(parcel, store.space);
    }
  }

  /**
   * Runs `fn`, and makes all that it changes in this map happen in one step, as it returns: others see all of it or nothing, `fn`
   * itself sees each change at once. If it throws, or this thread dies, nothing has changed. It blocks all others who want to change
   * the map, so let it be short, and it must not be async. One within another is a part of that. Returns what `fn` returned.
   * @throws {TypeError} `fn` returned a promise: nothing has changed.
   * @throws {OutOfMemoryError} There is no room for all of it: nothing has changed.
   */
  transaction<T>(fn: (map: this) => T): T {
    checkFunction(fn, 'transaction');
    this.check();
    const store = this.#store;
    if (this.#pending) {
      const result = fn(this);
      refusePromise(result, 'transaction', this);
      return result;
    }
    store.enter();
    const transaction = new Transaction(store);
    this.#transaction = transaction;
    try {
      const result = fn(this);
      refusePromise(result, 'transaction', this);
      for (const key of transaction.commit()) this.#watch.tell(key);
      return result;
    } finally {
      this.#transaction = undefined;
      transaction.end();
      store.leave();
    }
  }

  /**
   * All keys, in order, as they are when they are come to: changes that are made meanwhile may be seen or not. What is there all the
   * while comes once.
   */
  keys(): IterableIterator<K> {
    this.check();
    return this.#walk(false, key => key);
  }

  /** All values, in the same way. */
  values(): IterableIterator<V> {
    this.check();
    return this.#walk(true, (_, value) => value);
  }

  /** All keys with their values, in the same way. */
  entries(): IterableIterator<[K, V]> {
    this.check();
    return this.#walk(true, (key, value) => [key, value]);
  }

  /** The same as {@link entries | entries()}. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /**
   * Resolves when the key next changes, to what its value is then, or undefined if it was deleted: set again, if only to an equal value, is
   * changed. In line by the time the call returns. Of several changes in quick succession the last may be the one it tells.
   * @throws {TimeoutError} It had not when `timeout` had passed.
   * @throws {ClosedError} The map was disposed of.
   */
  async watch(key: K, options?: WaitOptions): Promise<V | undefined> {
    checkKey(key);
    this.check();
    if (!(await this.#watch.until(key, options))) throw this.closed();
    return this.get(key);
  }

  /** Frees it, for all who have it; a named one, for this thread. Who watches is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    this.#store.dispose(this, 'update() or transaction()', () => super[Symbol.dispose]());
  }

  protected override farewell(): void {
    this.#watch.close();
  }

  protected override facts(): object {
    return { size: this.size };
  }

  /** What the transaction that this thread is in has made of the key. */
  #draft(key: K): Draft | undefined {
    return this.#transaction === undefined ? undefined : this.#pending?.drafts.get(key);
  }

  /** The transaction that this thread is in. (A child forked in the midst of one is in none.) */
  get #pending(): Transaction | undefined {
    return this.#transaction !== undefined && this.#store.isHeldHere ? this.#transaction : undefined;
  }

  #packed(value: V): Parcel {
    const { space } = this.#store;
    const parcel = borrow();
    try {
      pack(value, parcel, space, this.#guess, this.#how);
    } catch (error) {
      giveBack(parcel, space);
      throw error;
    }
    this.#guess = parcel.length > INLINE_BYTES ? parcel.length : 0;
    return parcel;
  }

  #setPacked(key: K, parcel: Parcel): void {
    const store = this.#store;
    const pending = this.#pending;
    if (pending) {
      pending.set(key, parcel);
      return;
    }
    store.enter();
    try {
      store.put(key, parcel);
      this.#watch.tell(key);
    } finally {
      store.leave();
    }
  }

  #read(key: K): { value: V; version: number } | undefined {
    const copy = borrowCopy();
    try {
      if (!this.#store.read(key, copy)) return undefined;
      if (copy.isCarrier) return this.#readCarrier(key);
      return { value: copy.decode() as V, version: copy.version };
    } finally {
      giveCopyBack(copy);
    }
  }

  /** What the value holds open must be open until this thread holds it: so it is decoded under the lock. */
  #readCarrier(key: K): { value: V; version: number } | undefined {
    const store = this.#store;
    const copy = borrowCopy();
    store.enter();
    try {
      if (!store.read(key, copy)) return undefined;
      return { value: copy.decode() as V, version: copy.version };
    } finally {
      store.leave();
      giveCopyBack(copy);
    }
  }

  *#walk<R>(wantsValues: boolean, pick: (key: K, value: V) => R): Generator<R, undefined> {
    const store = this.#store;
    const cursor = new Cursor();
    const copy = borrowCopy();
    try {
      for (;;) {
        this.check();
        if (!store.next(cursor, wantsValues ? copy : undefined)) break;
        const key = cursor.key as K;
        const draft = this.#draft(key);
        if (draft) {
          if (draft.parcel !== undefined && !draft.isLast) yield pick(key, this.#pending?.decode(draft) as V);
          continue;
        }
        if (wantsValues && copy.isCarrier) {
          const read = this.#readCarrier(key);
          if (read) yield pick(key, read.value);
          continue;
        }
        yield pick(key, (wantsValues ? copy.decode() : undefined) as V);
      }
      for (const draft of this.#pending?.drafts.values() ?? [])
        if (draft.isLast) yield pick(draft.key as K, this.#pending?.decode(draft) as V);
    } finally {
      giveCopyBack(copy);
    }
  }
}

function placeOf(options: SharedMapOptions): LogPlace | undefined {
  if (options?.persist === undefined) return undefined;
  if (options.name !== undefined)
    throw new TypeError('Cannot make a SharedMap with "name" and "persist": its file is its name');
  return logPlace(options.persist);
}

function checkFunction(fn: unknown, method: string): void {
  if (typeof fn !== 'function')
    throw new TypeError(`Cannot call ${typeof fn} in ${method}(): give a function`);
}

/** The lock is given back as the function returns: what it would do later would not be part of the step. */
function refusePromise(result: unknown, method: string, map: SharedObject): void {
  if (!types.isPromise(result)) return;
  result.catch(() => {}); // what becomes of it is nobody's concern any more
  throw new TypeError(
    `Cannot ${method} ${nameOf(map.cell, map)} by an async function as the map would be locked while it waits: await first, then call ${method}()`,
  );
}

registerShared<SharedMap>('SharedMap', SharedMap, {
  open: (name, file) => new SharedMap(null, typeof file === 'string' ? { persist: file } : { name }),
  extra: SharedMap.fileOf,
});
