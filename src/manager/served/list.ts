import { added } from './dict.js';
import { same } from './same.js';

/** Items that an iteration fetches at once. */
const CHUNK = 256;

/** The list of a manager. */
export class ServedList<T = unknown> {
  readonly #items: T[];

  constructor(init: Iterable<T> = []) {
    this.#items = [...init];
  }

  at(i: number): T | undefined {
    checkNumber(i);
    return this.#items.at(i);
  }

  set(i: number, value: T): void {
    this.#items[this.#placeOf(i)] = value;
  }

  push(...values: T[]): number {
    return this.#items.push(...values);
  }

  pop(): T | undefined {
    return this.#items.pop();
  }

  shift(): T | undefined {
    return this.#items.shift();
  }

  unshift(...values: T[]): number {
    return this.#items.unshift(...values);
  }

  splice(start: number, ...rest: [n?: number, ...values: T[]]): T[] {
    checkNumber(start);
    if (rest.length === 0 || (rest.length === 1 && rest[0] === undefined)) return this.#items.splice(start);
    const [n, ...values] = rest;
    return this.#items.splice(start, n ?? 0, ...values);
  }

  slice(a?: number, b?: number): T[] {
    return this.#items.slice(a, b);
  }

  indexOf(value: T): number {
    return this.#items.findIndex(item => same(item, value));
  }

  includes(value: T): boolean {
    return this.indexOf(value) >= 0;
  }

  reverse(): void {
    this.#items.reverse();
  }

  sort(compare?: (a: T, b: T) => number): void {
    this.#items.sort(compare);
  }

  length(): number {
    return this.#items.length;
  }

  add(i: number, n: number): number {
    const place = this.#placeOf(i);
    const sum = added(this.#items[place], n, `item ${i}`);
    this.#items[place] = sum as T;
    return sum;
  }

  toArray(): T[] {
    return this.#items.slice();
  }

  /** For iteration over there. It goes by index, as that of an array: what is put in or taken out before its place moves what follows. */
  *chunks(): Generator<T[]> {
    for (let at = 0; at < this.#items.length; at += CHUNK) yield this.#items.slice(at, at + CHUNK);
  }

  #placeOf(i: number): number {
    checkNumber(i);
    const { length } = this.#items;
    const place = i < 0 ? length + i : i;
    if (Number.isInteger(place) && place >= 0 && place < length) return place;
    const there =
      length === 0 ? 'it is empty: push() first' : `give a whole number from ${-length} to ${length - 1}`;
    throw new RangeError(`Cannot set item ${i} of a list of ${length}: ${there}`);
  }
}

function checkNumber(i: unknown): void {
  if (typeof i !== 'number')
    throw new TypeError(`Cannot use ${i === null ? 'null' : typeof i} as an index: give a number`);
}
