import { Cell } from '../sync/cell.js';
import { LOCK, type Lock } from '../sync/lock.js';
import { registerShared } from '../sync/shared-object.js';
import { Locked, type LockedOptions, lockingOf } from './locked.js';
import { type Numbers, numbersAt } from './numbers.js';
import { type AnyNumber, accept, type NumberOf, type TypeCode, typeOf } from './types.js';

/** The words of its RLock, then two of its number; one line of the processor's cache, as a rule. */
const CELL_BYTES = 64;

type Extra<C> = readonly [code: C, locking: boolean | Lock];

/**
 * One number in shared memory, seen by all threads and processes that have it.
 *
 * Reading and setting `value`, `add` and `compareExchange` are one atomic step each, in an order that is the same for all, and
 * take no lock: who is killed in the midst of one keeps nobody waiting. What takes more than one step, as `value += 1`, needs
 * getLock().
 *
 * Numbers: integers must be integers in the range of the type, and those of 64 bits are BigInts; anything else throws and
 * changes nothing. `'c'` is a byte, 0 to 255. `'f'` rounds as Math.fround() does, so what is too large becomes Infinity.
 *
 * Python: `multiprocessing.Value`, which wraps integers around in silence and has neither `add` nor `compareExchange`, and
 * where a `'c'` holds bytes of length 1.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, Value } from 'manyhands';
 *
 * using count = new Value('i32');
 * const increment = () => {
 *   for (let i = 0; i < 1000; i++) count.add(1); // one step; `count.value += 1` would be two
 * };
 * const children = [1, 2, 3].map(() => new Process({ target: increment }).start());
 * await Promise.all(children.map(child => child.join()));
 * assert.equal(count.value, 3000);
 * ```
 */
export class Value<C extends TypeCode = 'f64'> extends Locked {
  readonly #code: C;
  readonly #number: Numbers<NumberOf<C>>;

  /**
   * A new number, in shared memory.
   * @param initial By default 0, 0n or false.
   * @throws {TypeError} There is no such type, or `initial` is of another kind than the type's numbers.
   * @throws {RangeError} `initial` is out of range, or no integer where the type has integers only.
   * @throws {OutOfMemoryError} The commons is full.
   */
  constructor(type: C, initial?: NumberOf<C>, options?: LockedOptions);
  constructor(typeOrCell: C | Cell, initial?: NumberOf<C> | Extra<C>, options?: LockedOptions) {
    let cell: Cell;
    let extra: Extra<C>;
    if (typeOrCell instanceof Cell) {
      cell = typeOrCell;
      extra = initial as Extra<C>;
    } else {
      extra = [typeOrCell, lockingOf(options)];
      const type = typeOf(typeOrCell);
      if (initial !== undefined) accept(type, initial);
      cell = Cell.make(CELL_BYTES);
    }
    super(cell, extra[1]);
    this.#code = extra[0];
    const number = numbersAt(typeOf(this.#code), cell.words, cell.at + LOCK.WORDS);
    this.#number = number as Numbers<AnyNumber> as Numbers<NumberOf<C>>;
    if (cell !== typeOrCell && initial !== undefined) this.#number.store(initial as NumberOf<C>);
  }

  protected override facts(): object {
    return { type: this.#code, value: this.value };
  }

  /** The number. Stale once read. @throws {ClosedError} It has been disposed of. */
  get value(): NumberOf<C> {
    this.check();
    return this.#number.load();
  }

  /**
   * @throws {TypeError} It is of another kind than the type's numbers.
   * @throws {RangeError} It is out of range, or no integer where the type has integers only.
   * @throws {ClosedError} It has been disposed of.
   */
  set value(value: NumberOf<C>) {
    this.check();
    this.#number.store(value);
  }

  /**
   * Adds `n`, which may be negative for any type, and returns what was there before, as Atomics.add() does.
   * @throws {RangeError} The sum would be out of range: nothing has changed. Or `n` is no integer where the type has integers only.
   * @throws {TypeError} `n` is of another kind than the type's numbers, or the type is `'bool'`.
   * @throws {ClosedError} It has been disposed of.
   */
  add(n: NumberOf<C>): NumberOf<C> {
    this.check();
    return this.#number.add(n);
  }

  /**
   * Sets the number to `next` if it is `expected`. Returns what was there before: it did so if that is `expected`.
   *
   * Floats are compared as `===` does, so 0 and -0 are the same, save that NaN is the same as NaN. For `'f'`, `expected` is
   * rounded first as all its numbers are.
   * @throws {TypeError} One of them is of another kind than the type's numbers.
   * @throws {RangeError} One of them is out of range, or no integer where the type has integers only.
   * @throws {ClosedError} It has been disposed of.
   */
  compareExchange(expected: NumberOf<C>, next: NumberOf<C>): NumberOf<C> {
    this.check();
    return this.#number.compareExchange(expected, next);
  }

  /** @internal */
  get extra(): Extra<C> {
    return [this.#code, this.locking];
  }
}

registerShared<Value<TypeCode>>('Value', Value, { extra: value => value.extra });
