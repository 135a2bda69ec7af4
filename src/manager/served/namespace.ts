import { entriesOf } from './dict.js';

/** The namespace of a manager: a few values by name. */
export class ServedNamespace {
  readonly #map: Map<string, unknown>;

  constructor(init: Record<string, unknown> | Iterable<readonly [string, unknown]> = []) {
    this.#map = new Map();
    for (const [key, value] of entriesOf(init)) this.set(key, value);
  }

  get(key: string): unknown {
    return this.#map.get(checked(key));
  }

  set(key: string, value: unknown): void {
    this.#map.set(checked(key), value);
  }

  delete(key: string): boolean {
    return this.#map.delete(checked(key));
  }

  has(key: string): boolean {
    return this.#map.has(checked(key));
  }

  toObject(): Record<string, unknown> {
    return Object.fromEntries(this.#map);
  }
}

function checked(key: unknown): string {
  if (typeof key === 'string') return key;
  throw new TypeError(`Cannot use ${key === null ? 'null' : typeof key} as a name: give a string`);
}
