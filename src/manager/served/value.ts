import type { NumberOf, TypeCode } from '../../shared/types.js';
import { Value } from '../../shared/value.js';
import type { ServedLock } from './lock.js';
import { ServedRLock } from './rlock.js';

/** The value of a manager: a Value that only the server sees, as what is taken and refused is the same. */
export class ServedValue<C extends TypeCode> implements Disposable {
  readonly #value: Value<C>;
  readonly #lock = new ServedRLock();

  constructor(type: C, initial?: NumberOf<C>) {
    this.#value = new Value(type, initial, { lock: false });
  }

  get(): NumberOf<C> {
    return this.#value.value;
  }

  set(value: NumberOf<C>): void {
    this.#value.value = value;
  }

  add(n: NumberOf<C>): NumberOf<C> {
    return this.#value.add(n);
  }

  compareExchange(expected: NumberOf<C>, next: NumberOf<C>): NumberOf<C> {
    return this.#value.compareExchange(expected, next);
  }

  getLock(): ServedLock {
    return this.#lock;
  }

  [Symbol.dispose](): void {
    this.#value[Symbol.dispose]();
  }
}
