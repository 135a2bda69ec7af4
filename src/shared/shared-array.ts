import { constants } from 'node:buffer';
import { offsetOf } from '../memory/allocator.js';
import { SMALL_BYTES } from '../memory/sizes.js';
import { native } from '../native/native.js';
import { Cell } from '../sync/cell.js';
import { LOCK, type Lock } from '../sync/lock.js';
import { registerShared } from '../sync/shared-object.js';
import { Locked, type LockedOptions, lockingOf } from './locked.js';
import {
  type AnyNumber,
  accept,
  type NumberOf,
  type Type,
  type TypeCode,
  type TypedArrayOf,
  typeOf,
} from './types.js';

/*
 * Its cell begins with the words of its RLock. The items follow, or have a block of their own if they are many.
 */
const HEAD_BYTES = 4 * LOCK.WORDS;

type Extra<C> = readonly [code: C, length: number, locking: boolean | Lock];

/** A view's bytes are there for as long as the view is, so it keeps the array. By its buffer: subarray() has the same. */
const keeping = new WeakMap<ArrayBufferLike, SharedArray<TypeCode>>();

/**
 * A typed array in shared memory, the same bytes in all threads and processes that have it. Its length is fixed.
 *
 * `get` and `set` check what they are given; `view` is a plain typed array, as fast as any. Items are read and written whole, but
 * nothing orders what different threads do to several: that takes getLock(), a Value that says what is ready, or Atomics
 * on a view of integers.
 *
 * Numbers are those that Value has. Memory: at most 4 GiB, which is what a typed array of Node 20 can hold.
 *
 * Python: `multiprocessing.Array`, which wraps integers around in silence, takes negative indices and slices, and locks at
 * each access.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, SharedArray } from 'manyhands';
 *
 * using roots = new SharedArray('f64', 4); // four zeros
 * const compute = (i: number) => roots.set(i, Math.sqrt(i));
 * const children = [0, 1, 2, 3].map(i => new Process({ target: compute, args: [i] }).start());
 * await Promise.all(children.map(child => child.join()));
 * assert.deepEqual([...roots], [0, 1, Math.SQRT2, Math.sqrt(3)]);
 * ```
 */
export class SharedArray<C extends TypeCode = 'f64'> extends Locked implements Iterable<NumberOf<C>> {
  readonly #type: Type;
  readonly #length: number;
  #view: TypedArrayOf<C> | undefined;

  /**
   * So many items, all of them 0, 0n or false; or these items.
   * @throws {TypeError} There is no such type, or an item is of another kind than the type's numbers.
   * @throws {RangeError} The size is no integer from 0 on, or beyond 4 GiB, or an item is out of range.
   * @throws {OutOfMemoryError} The commons has not so much left.
   */
  constructor(type: C, sizeOrItems: number | Iterable<NumberOf<C>>, options?: LockedOptions);
  constructor(
    typeOrCell: C | Cell,
    sizeOrItems: number | Iterable<NumberOf<C>> | Extra<C>,
    options?: LockedOptions,
  ) {
    let cell: Cell;
    let extra: Extra<C>;
    let items: ArrayLike<NumberOf<C>> | undefined;
    if (typeOrCell instanceof Cell) {
      cell = typeOrCell;
      extra = sizeOrItems as Extra<C>;
    } else {
      const type = typeOf(typeOrCell);
      if (typeof sizeOrItems !== 'number') items = listOf(sizeOrItems as Iterable<NumberOf<C>>);
      const length = items?.length ?? (sizeOrItems as number);
      extra = [typeOrCell, length, lockingOf(options)];
      cell = makeCell(type, length);
    }
    super(cell, extra[2]);
    this.#type = typeOf(extra[0]);
    this.#length = extra[1];
    if (items) this.#fill(items);
  }

  protected override facts(): object {
    return { length: this.length, view: this.view };
  }

  /** How many items it has. */
  get length(): number {
    return this.#length;
  }

  /**
   * The items themselves, always the same typed array in one thread; its `subarray` shares them too. Of a `'bool'` array: bytes,
   * 0 and 1. A view does not cross, it is copied: pass the SharedArray.
   *
   * A view outlives dispose(), but its memory does not: from then on it shows, and overwrites, what belongs to others. Let go of
   * views before anyone disposes of the array.
   * @throws {ClosedError} It has been disposed of.
   */
  get view(): TypedArrayOf<C> {
    this.check();
    this.#view ??= this.#makeView();
    return this.#view;
  }

  /**
   * Item `i`, counted from 0.
   * @throws {RangeError} There is no such item; negative indices do not count from the end.
   * @throws {ClosedError} It has been disposed of.
   */
  get(i: number): NumberOf<C> {
    const { view } = this;
    this.#checkIndex(i);
    return this.#item(view, i);
  }

  /**
   * Sets item `i`.
   * @throws {TypeError} `value` is of another kind than the type's numbers.
   * @throws {RangeError} There is no such item, or `value` is out of range.
   * @throws {ClosedError} It has been disposed of.
   */
  set(i: number, value: NumberOf<C>): void {
    const { view } = this;
    this.#checkIndex(i);
    accept(this.#type, value);
    (view as NumberOf<C>[] | TypedArrayOf<C>)[i] = value;
  }

  /**
   * Of a `'c'` array: a copy of its bytes up to the first NUL, or of all.
   * @throws {TypeError} It is of another type.
   * @throws {ClosedError} It has been disposed of.
   */
  get value(): Buffer {
    const bytes = this.#bytes();
    const end = bytes.indexOf(0);
    return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /**
   * Writes the bytes from the start on, and a NUL after them if there is room; what follows stays.
   * @throws {TypeError} It is of another type, or these are no bytes.
   * @throws {RangeError} There are more bytes than items: nothing has changed.
   * @throws {ClosedError} It has been disposed of.
   */
  set value(value: Uint8Array) {
    const bytes = this.#bytes();
    if (!(value instanceof Uint8Array))
      throw new TypeError("The value of a 'c' array must be a Uint8Array: make one by Buffer.from()");
    if (value.length > bytes.length)
      throw new RangeError(
        `Cannot store ${value.length} bytes in a SharedArray of ${bytes.length}: make it longer, or cut them`,
      );
    bytes.set(value);
    if (value.length < bytes.length) bytes[value.length] = 0;
  }

  /** The items in order, each as it is when its turn comes. @throws {ClosedError} It has been disposed of. */
  *[Symbol.iterator](): Generator<NumberOf<C>, undefined, undefined> {
    for (let i = 0; i < this.#length; i++) yield this.#item(this.view, i);
  }

  /** @internal */
  get extra(): Extra<C> {
    return [this.#type.code as C, this.#length, this.locking];
  }

  /** Over a buffer of its own: nothing of the commons can be reached from it but these items. */
  #makeView(): TypedArrayOf<C> {
    const { blocks } = this.cell;
    const offset = blocks.length > 1 ? offsetOf(blocks[1]) : offsetOf(blocks[0]) + HEAD_BYTES;
    const buffer = native.arenaView(offset, this.#length * this.#type.array.BYTES_PER_ELEMENT);
    keeping.set(buffer, this as unknown as SharedArray<TypeCode>);
    return new this.#type.array(buffer, 0, this.#length) as TypedArrayOf<C>;
  }

  #item(view: TypedArrayOf<C>, i: number): NumberOf<C> {
    const item: AnyNumber = view[i];
    return (this.#type.kind === 'boolean' ? item !== 0 : item) as NumberOf<C>;
  }

  #fill(items: ArrayLike<NumberOf<C>>): void {
    try {
      const { view } = this;
      if (items.constructor === view.constructor && this.#type.kind !== 'boolean')
        (view as Uint8Array).set(items as ArrayLike<number>);
      else for (let i = 0; i < items.length; i++) this.set(i, items[i]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #bytes(): Uint8Array {
    this.check();
    const { code } = this.#type;
    if (code === 'c') return this.view as Uint8Array;
    throw new TypeError(
      `Cannot use the value of a SharedArray of '${code}' as only 'c' has one: use its view`,
    );
  }

  #checkIndex(i: number): void {
    if (i >= 0 && i < this.#length && Number.isInteger(i)) return;
    if (typeof i !== 'number') throw new TypeError(`The index must be a number, not a ${typeof i}`);
    const there = this.#length === 0 ? 'it is empty' : `indices are integers from 0 to ${this.#length - 1}`;
    throw new RangeError(`Cannot reach item ${i} of a SharedArray of ${this.#length}: ${there}`);
  }
}

function listOf<T>(items: Iterable<T>): ArrayLike<T> {
  if (Array.isArray(items) || (ArrayBuffer.isView(items) && 'length' in items))
    return items as unknown as ArrayLike<T>;
  if (typeof items === 'object' && items !== null && Symbol.iterator in items) return [...items];
  throw new TypeError(
    `The second argument must be a size or items, not ${items === null ? 'null' : `a ${typeof items}`}`,
  );
}

function makeCell({ code, array }: Type, length: number): Cell {
  if (!Number.isInteger(length) || length < 0)
    throw new RangeError(`The size of a SharedArray must be an integer from 0 on, not ${length}`);
  const bytes = length * array.BYTES_PER_ELEMENT;
  if (bytes > constants.MAX_LENGTH)
    throw new RangeError(
      `Cannot make a SharedArray of ${length} items of '${code}' as a typed array holds ${constants.MAX_LENGTH} bytes at most: use several`,
    );
  return HEAD_BYTES + bytes <= SMALL_BYTES ? Cell.make(HEAD_BYTES + bytes) : Cell.make(HEAD_BYTES, bytes);
}

registerShared<SharedArray<TypeCode>>('SharedArray', SharedArray, { extra: array => array.extra });
