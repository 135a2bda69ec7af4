import { isDeepStrictEqual, types } from 'node:util';
import { ITEM_ABROAD, pack } from '../channel/item.js';
import { NamedSpace } from '../channel/named-space.js';
import { borrow, giveBack, INLINE_BYTES, Parcel } from '../channel/parcel.js';
import { EXTENT } from '../channel/queue-cell.js';
import { LifecycleError } from '../errors/errors.js';
import { Cell } from '../sync/cell.js';
import { type NamedOptions, openCell } from '../sync/naming.js';
import { registerShared, SharedObject } from '../sync/shared-object.js';
import { CORE } from './core.js';
import { borrowCopy, giveCopyBack, type Packed } from './entry.js';
import { ListStore } from './list-store.js';

const BYTES = CORE.WORDS * 4;

/** Items beyond so many in one call are packed tightly, rather than in a parcel with room for a longer one each. */
const FEW = 16;
/**
 * A list in shared memory, which all threads and processes see that have it: what one has pushed, set or removed, all others see
 * at once. Of arbitrary length; items are whatever can cross, also undefined.
 *
 * Each method is one step, as far as others can see: nobody sees half of a `push` of several items, of a `splice` or a
 * `sort`. `at`, `set`, `push`, `pop`, `shift`, `unshift` take constant time, also at the front; `splice`, `sort` and `reverse` copy the list's
 * index. Those that read take no lock, and are never kept waiting long by those who write. Those that write take the list's lock, in order of
 * arrival.
 *
 * What is read is a copy: to change an item, `set` it, or `update` it in one step.
 *
 * Death: who is killed at any instant leaves the list as it was before the step it was at, or after, and nobody stuck.
 *
 * Python: `Manager().list()`, which is a list in a server process; each use is a message to it and back, and there is no atomic
 * step but what one method does.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, SharedList } from 'manyhands';
 *
 * using guests = new SharedList<string>(['Ann']);
 * const arrive = () => guests.push('Bob', 'Eve'); // both at once, or neither
 * await new Process({ target: arrive }).start().join();
 * assert.deepEqual(guests.toArray(), ['Ann', 'Bob', 'Eve']);
 * assert.equal(guests.at(-1), 'Eve');
 * ```
 */
export class SharedList<T = any> extends SharedObject implements Iterable<T> {
  readonly #store: ListStore;
  readonly #how = this.cell.shared ? ITEM_ABROAD : undefined;
  /** Bytes of the last long item: the next one may be like it. */
  #guess = 0;

  /**
   * A list of these items. With a name: the list of that name, which keeps the items it has if there is one already.
   * @throws {TypeError | RangeError} The items are no iterable, or the name is none.
   * @throws {SerializationError} An item cannot cross.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no room.
   */
  constructor(items?: Iterable<T>, options?: NamedOptions);
  constructor(items: Iterable<T> | Cell = [], options: NamedOptions = {}) {
    let isNew = false;
    const fill = () => {
      isNew = true;
    };
    const needs = { bytes: BYTES, namedBytes: BYTES + NamedSpace.wordsFor(EXTENT) * 4, extent: EXTENT, fill };
    super(items instanceof Cell ? items : openCell('SharedList', options, needs));
    const store = new ListStore(this);
    this.#store = store;
    this.cell.concernsOthers = () => store.isCarrier;
    if (!isNew || items instanceof Cell) return;
    try {
      this.#fill(items);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #fill(items: Iterable<T>): void {
    if (typeof (items as Partial<Iterable<T>> | null)?.[Symbol.iterator] !== 'function')
      throw new TypeError(
        `Cannot make a SharedList of ${typeof items}: give an array, or anything to go through`,
      );
    this.#push([...items]);
  }

  /** Frees it, for all who have it; a named one, for this thread. @throws {LifecycleError} Within its own update() or sort(). */
  override [Symbol.dispose](): void {
    this.#store.dispose(this, 'update() or sort()', () => super[Symbol.dispose]());
  }

  protected override facts(): object {
    return { length: this.length };
  }

  /** How many items there are. Stale once read, unless nobody else changes the list. @throws {ClosedError} It has been disposed of. */
  get length(): number {
    this.check();
    return this.#store.length;
  }

  /**
   * Item `i`, counted from the end if negative; undefined: there is none.
   * @throws {SerializationError} It cannot be decoded here.
   * @throws {ClosedError} The list has been disposed of.
   */
  at(i: number): T | undefined {
    this.check();
    const copy = borrowCopy();
    try {
      if (!this.#store.read(Math.trunc(i) || 0, copy)) return undefined;
      if (!copy.isCarrier) return copy.decode() as T;
    } finally {
      giveCopyBack(copy);
    }
    // What it holds open is there for as long as it is in the list.
    return this.#held(() => this.#at(Math.trunc(i) || 0));
  }

  /** Under the lock. */
  #at(i: number): T | undefined {
    const copy = borrowCopy();
    try {
      return this.#store.readHeld(i, copy) ? (copy.decode() as T) : undefined;
    } finally {
      giveCopyBack(copy);
    }
  }

  /**
   * Sets item `i`, counted from the end if negative.
   * @throws {RangeError} There is no such item: to add one, push it.
   * @throws {SerializationError} The value cannot cross. The list is as it was; so it is after
   * @throws {OutOfMemoryError} There is no room;
   * @throws {DeadlockError} whoever is changing the list waits for this thread;
   * @throws {ClosedError} it has been disposed of.
   */
  set(i: number, value: T): void {
    this.#write([value], parcels => this.#store.put(this.#index(i), parcels[0]));
  }

  /**
   * Adds items at the end, all in one step. Returns how many there are now.
   * @throws {SerializationError | OutOfMemoryError | DeadlockError | ClosedError} As set().
   */
  push(...items: T[]): number {
    return this.#push(items);
  }

  #push(items: readonly T[]): number {
    return this.#write(items, parcels => {
      if (parcels.length > 0) this.#store.append(parcels);
      return this.#store.length;
    });
  }

  /** Adds items at the beginning, in this order and all in one step. Returns how many there are now. Throws as {@link push | push()}. */
  unshift(...items: T[]): number {
    return this.#write(items, parcels => {
      if (parcels.length > 0) this.#store.prepend(parcels);
      return this.#store.length;
    });
  }

  /**
   * Removes the last item and returns it; undefined: there is none.
   * @throws {SerializationError} It cannot be decoded here: it stays.
   * @throws {DeadlockError | ClosedError} As set().
   */
  pop(): T | undefined {
    return this.#held(() => {
      if (this.#store.length === 0) return undefined;
      const item = this.#at(-1);
      this.#store.dropLast();
      return item;
    });
  }

  /** Removes the first item and returns it; undefined: there is none. Throws as {@link pop | pop()}. */
  shift(): T | undefined {
    return this.#held(() => {
      if (this.#store.length === 0) return undefined;
      const item = this.#at(0);
      this.#store.dropFirst();
      return item;
    });
  }

  /**
   * Removes `deleteCount` items from `start` on, or all that follow, puts others there, and returns those removed, as
   * `Array.prototype.splice` does; all in one step.
   * @throws {SerializationError} An item to be removed cannot be decoded here; besides, as set().
   */
  splice(start: number, deleteCount?: number, ...items: T[]): T[];
  splice(...args: [start?: number, deleteCount?: number, ...items: T[]]): T[] {
    const [start = 0, deleteCount = 0, ...items] = args;
    return this.#write(items, parcels => {
      const { length } = this.#store;
      const relative = Math.trunc(start) || 0;
      const from = relative < 0 ? Math.max(0, length + relative) : Math.min(relative, length);
      const most = length - from;
      const count =
        args.length === 0
          ? 0
          : args.length === 1
            ? most
            : Math.min(Math.max(Math.trunc(deleteCount) || 0, 0), most);
      const removed = Array.from({ length: count }, (_, i) => this.#at(from + i) as T);
      if (count > 0 || parcels.length > 0) this.#store.splice(from, from + count, parcels);
      return removed;
    });
  }

  /**
   * Where the first item is that equals `value`; -1: nowhere. As items are copies, objects are equal if what they hold is, by
   * `util.isDeepStrictEqual()`; other values if they are `===`, or both NaN.
   */
  indexOf(value: T): number {
    return this.#held(() => {
      const { length } = this.#store;
      for (let i = 0; i < length; i++) if (isSame(this.#at(i), value)) return i;
      return -1;
    });
  }

  /**
   * Sorts it, as `Array.prototype.sort` does: by default as strings, undefined last. Others see it unsorted, then sorted. `compare` is called
   * while others cannot change the list.
   * @throws {LifecycleError} `compare` has changed the list: it is not sorted.
   */
  sort(compare?: (a: T, b: T) => number): void {
    if (compare !== undefined && typeof compare !== 'function')
      throw new TypeError(
        `Cannot sort by ${typeof compare}: give a function that compares two items, or nothing`,
      );
    this.#held(() => {
      const entries = this.#store.entries();
      const items = this.#items();
      const order = Array.from(items.keys());
      const present = order.filter(i => items[i] !== undefined);
      if (compare) present.sort((a, b) => compare(items[a], items[b]));
      else {
        const texts = items.map(String);
        present.sort((a, b) => (texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : 0));
      }
      const sorted = [...present, ...order.filter(i => items[i] === undefined)];
      const now = this.#store.entries();
      if (now.length !== entries.length || now.some((entry, i) => entry !== entries[i]))
        throw new LifecycleError(
          'Cannot sort a SharedList as its items were changed by the function that compares them: only compare there',
        );
      this.#store.arrange(Int32Array.from(sorted, i => entries[i]));
    });
  }

  /** Turns its order around, in one step. */
  reverse(): void {
    this.#held(() => this.#store.arrange(this.#store.entries().reverse()));
  }

  /**
   * Sets item `i`, counted from the end if negative, to what `fn` makes of it, in one step: nobody changes the list meanwhile, so `fn` should
   * be quick. It runs once. If it throws, nothing has changed. Returns the new item.
   * @throws {RangeError} There is no such item.
   * @throws {TypeError} `fn` is no function, or returns a promise: what is to be awaited must be awaited before.
   */
  update(i: number, fn: (old: T | undefined) => T): T {
    if (typeof fn !== 'function')
      throw new TypeError(`Cannot update an item by ${typeof fn}: give a function of the old item`);
    return this.#held(() => {
      const value = fn(this.#at(this.#index(i)));
      if (types.isPromise(value))
        throw new TypeError(
          'Cannot update an item to a promise, as nobody may wait here: await what it takes before, and use a function that is not async',
        );
      this.set(i, value);
      return value;
    });
  }

  /** All items as they are at one instant. @throws {SerializationError} One cannot be decoded here. */
  toArray(): T[] {
    return this.#held(() => this.#items());
  }

  /** The items as they are at the beginning: changes meanwhile are not seen. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.toArray()[Symbol.iterator]();
  }

  #items(): T[] {
    return Array.from({ length: this.#store.length }, (_, i) => this.#at(i) as T);
  }

  /** Under the lock. */
  #index(i: number): number {
    const { length } = this.#store;
    const index = i < 0 ? i + length : i;
    if (index >= 0 && index < length && Number.isInteger(index)) return index;
    if (typeof i !== 'number') throw new TypeError(`The index must be a number, not a ${typeof i}`);
    const there = length === 0 ? 'it is empty' : `there are 0 to ${length - 1}, and -1 is the last`;
    throw new RangeError(`Cannot reach item ${i} of a SharedList of ${length}: ${there}`);
  }

  #held<R>(action: () => R): R {
    this.check();
    this.#store.enter();
    try {
      return action();
    } finally {
      this.#store.leave();
    }
  }

  /** Packs items, which may call code of the user, before it takes the lock. */
  #write<R>(items: readonly T[], action: (parcels: readonly Packed[]) => R): R {
    this.check();
    const { space } = this.#store;
    const parcels: Packed[] = [];
    try {
      for (let i = 0; i < items.length; i++) {
        const parcel = borrow();
        parcels.push(parcel);
        pack(items[i], parcel, space, this.#guess, this.#how);
        this.#guess = parcel.length > INLINE_BYTES ? parcel.length : 0;
        if (items.length <= FEW || parcel.handle !== 0 || parcel.waiting !== undefined) continue;
        parcels[i] = {
          words: parcel.words.slice(0, (parcel.length + 3) >>> 2),
          length: parcel.length,
          handle: 0,
          lead: 0,
        };
        giveBack(parcel, space);
      }
      return this.#held(() => action(parcels));
    } finally {
      for (const parcel of parcels) if (parcel instanceof Parcel) giveBack(parcel, space);
    }
  }
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a === 'object' && typeof b === 'object') return isDeepStrictEqual(a, b);
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

registerShared<SharedList>('SharedList', SharedList, { open: name => new SharedList([], { name }) });
