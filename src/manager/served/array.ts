import { SharedArray } from '../../shared/shared-array.js';
import type { NumberOf, TypeCode } from '../../shared/types.js';
import type { ServedLock } from './lock.js';
import { ServedRLock } from './rlock.js';

/** Items that an iteration fetches at once. */
const CHUNK = 1024;

/** The array of a manager: a SharedArray that only the server sees. */
export class ServedArray<C extends TypeCode> implements Disposable {
  readonly #array: SharedArray<C>;
  readonly #lock = new ServedRLock();

  constructor(type: C, sizeOrItems: number | Iterable<NumberOf<C>>) {
    this.#array = new SharedArray(type, sizeOrItems, { lock: false });
  }

  get(i: number): NumberOf<C> {
    return this.#array.get(i);
  }

  set(i: number, value: NumberOf<C>): void {
    this.#array.set(i, value);
  }

  length(): number {
    return this.#array.length;
  }

  toArray(): NumberOf<C>[] {
    return [...this.#array];
  }

  /** Items from `a` up to `b`, as Array.slice() counts. */
  slice(a?: number, b?: number): NumberOf<C>[] {
    return this.toArray().slice(a, b);
  }

  /** Of a 'c' array: its bytes up to the first NUL. */
  getValue(): Uint8Array {
    return this.#array.value;
  }

  setValue(bytes: Uint8Array): void {
    this.#array.value = bytes;
  }

  getLock(): ServedLock {
    return this.#lock;
  }

  *chunks(): Generator<NumberOf<C>[]> {
    for (let at = 0; at < this.#array.length; at += CHUNK) yield this.slice(at, at + CHUNK);
  }

  [Symbol.dispose](): void {
    this.#array[Symbol.dispose]();
  }
}
