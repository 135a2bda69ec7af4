import { same } from './same.js';

/** Entries that an iteration fetches at once. */
const CHUNK = 256;

/** The dict of a manager: a Map, so that a key is a key whatever it is called. */
export class ServedDict<V = unknown> {
  readonly #map = new Map<string, V>();

  constructor(init: Record<string, V> | Iterable<readonly [string, V]> = []) {
    this.update(init);
  }

  get(key: string): V | undefined {
    return this.#map.get(checked(key));
  }

  set(key: string, value: V): void {
    this.#map.set(checked(key), value);
  }

  has(key: string): boolean {
    return this.#map.has(checked(key));
  }

  delete(key: string): boolean {
    return this.#map.delete(checked(key));
  }

  size(): number {
    return this.#map.size;
  }

  clear(): void {
    this.#map.clear();
  }

  keys(): string[] {
    return [...this.#map.keys()];
  }

  values(): V[] {
    return [...this.#map.values()];
  }

  entries(): [string, V][] {
    return [...this.#map];
  }

  /** All or, if one of the keys is none, nothing. */
  update(entries: Record<string, V> | Iterable<readonly [string, V]>): void {
    const all = [...entriesOf(entries)];
    for (const [key] of all) checked(key);
    for (const [key, value] of all) this.#map.set(key, value);
  }

  setDefault(key: string, value: V): V {
    if (!this.has(key)) this.#map.set(key, value);
    return this.#map.get(key) as V;
  }

  pop(key: string): V | undefined {
    const value = this.get(key);
    this.#map.delete(key);
    return value;
  }

  add(key: string, n: number): number {
    const sum = added(this.has(key) ? this.get(key) : 0, n, `'${key}'`);
    this.#map.set(key, sum as V);
    return sum;
  }

  compareAndSet(key: string, expected: V | undefined, value: V): boolean {
    if (!same(this.get(key), expected)) return false;
    this.#map.set(key, value);
    return true;
  }

  toObject(): Record<string, V> {
    return Object.fromEntries(this.#map); // which defines properties, '__proto__' too, and sets nothing else
  }

  /** For iteration over there. What changes meanwhile is seen, or not, by the rules of a Map: nothing twice, nothing missed that stays. */
  *chunks(): Generator<[string, V][]> {
    let chunk: [string, V][] = [];
    for (const entry of this.#map) {
      if (chunk.push(entry) < CHUNK) continue;
      yield chunk;
      chunk = [];
    }
    if (chunk.length > 0) yield chunk;
  }
}

/** The entries of a record, or of what has some already. */
export function entriesOf<V>(
  given: Record<string, V> | Iterable<readonly [string, V]>,
): Iterable<readonly [string, V]> {
  if (typeof given !== 'object' || given === null)
    throw new TypeError(
      `Cannot take entries from ${given === null ? 'null' : typeof given}: give an object, a Map, or pairs of key and value`,
    );
  return Symbol.iterator in given
    ? (given as Iterable<readonly [string, V]>)
    : Object.entries(given as Record<string, V>);
}

/** What add() comes to. @throws {TypeError} One of them is no number. */
export function added(old: unknown, n: unknown, where: string): number {
  if (typeof n !== 'number') throw new TypeError(`Cannot add ${typeof n}: give a number`);
  if (typeof old !== 'number')
    throw new TypeError(
      `Cannot add to ${where} as what is there is ${old === null ? 'null' : `of type ${typeof old}`}: set a number first`,
    );
  return old + n;
}

function checked(key: unknown): string {
  if (typeof key === 'string') return key;
  throw new TypeError(`Cannot use ${key === null ? 'null' : typeof key} as a key: give a string`);
}
