import { ClosedError } from '../errors/errors.js';
import type { RemoteClass } from './remote-object.js';
import { exposureOf, ITERATE, type Serving, servingOf } from './served.js';

type Method = (...args: unknown[]) => unknown;

/** Objects that are served in the same way. */
export class ServedType {
  readonly number: number;
  readonly typeid: string;
  readonly names: readonly string[];
  readonly hidden: readonly string[];
  readonly proxy: RemoteClass | undefined;

  constructor(number: number, serving: Serving, names: readonly string[], hidden: readonly string[]) {
    this.number = number;
    this.typeid = serving.typeid;
    this.names = names;
    this.hidden = hidden;
    this.proxy = serving.proxy;
  }

  /** A method by number, or, if that is 0, by name. @throws {TypeError} It cannot be called. */
  methodOf(object: object, number: number, given: string): Method {
    const name = number > 0 ? this.names[number - 1] : given;
    if (name === undefined || (number === 0 && !this.names.includes(name)))
      throw this.#refusal(number, given);
    if (name === ITERATE) return iterate;
    const method = (object as Record<string, unknown>)[name];
    if (typeof method !== 'function')
      throw new TypeError(
        `Cannot call ${this.typeid}.${name} as it is no function any more: leave it as it was`,
      );
    return method as Method;
  }

  #refusal(number: number, name: string): TypeError {
    const what = number > 0 ? `method ${number}` : name;
    const why = this.hidden.includes(name) ? 'it is not exposed' : 'there is no such method';
    return new TypeError(
      `Cannot call ${what} of "${this.typeid}" as ${why}: call one of ${this.names.join(', ') || 'none'}, or name it in "exposed" of register()`,
    );
  }
}

function iterate(this: object): unknown {
  const iterable = this as AsyncIterable<unknown> & Iterable<unknown>;
  return iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
}

/** An object that is served. */
export class Entry {
  readonly number: number;
  readonly object: object;
  readonly type: ServedType;
  /** Is it for the server to dispose of it? */
  readonly isOwned: boolean;
  /** Proxies, and what is lent. */
  references = 0;
  /** Calls of asynchronous methods that run. */
  calls = 0;
  /** Has it been given to another served object, which may keep it? */
  isKept = false;

  constructor(number: number, object: object, type: ServedType, isOwned: boolean) {
    this.number = number;
    this.object = object;
    this.type = type;
    this.isOwned = isOwned;
  }
}

/** The objects that a server serves, by number. */
export class Table {
  readonly #entries = new Map<number, Entry>();
  /** How each object was served when it was last; and by which entry, as long as it is. */
  readonly #known = new WeakMap<object, { serving: Serving; entry: Entry | undefined; wasKept: boolean }>();
  readonly #types = new Map<string, ServedType>();
  readonly #servingFor: (object: object) => Serving | undefined;
  #last = 0;

  /** `servingFor`: how objects are served that the table does not know. */
  constructor(servingFor: (object: object) => Serving | undefined) {
    this.#servingFor = servingFor;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(number: number): Entry {
    const entry = this.#entries.get(number);
    if (entry) return entry;
    throw new ClosedError(
      `Cannot use object ${number} of the manager as it has been dropped: keep a proxy of it as long as it is needed`,
    );
  }

  /** Serves an object, or finds it if it is served already. @throws {TypeError} It cannot be served so. */
  add(object: object, serving: Serving, number = ++this.#last): Entry {
    const known = this.#known.get(object);
    if (known?.entry) return known.entry;
    const entry = new Entry(number, object, this.#typeFor(object, serving), serving.owned === true);
    entry.isKept = known?.wasKept ?? false;
    this.#entries.set(number, entry);
    this.#known.set(object, { serving, entry, wasKept: entry.isKept });
    return entry;
  }

  /** The entry of an object that is served; undefined: it is not. */
  find(object: object): Entry | undefined {
    const known = this.#known.get(object);
    if (known?.entry) return known.entry;
    const serving = known?.serving ?? servingOf(object) ?? this.#servingFor(object);
    return serving && this.add(object, serving);
  }

  /** Nobody has it any more. Another may have kept it, and give it to somebody. */
  remove(entry: Entry): void {
    if (!this.#entries.delete(entry.number)) return;
    const known = this.#known.get(entry.object);
    if (known) this.#known.set(entry.object, { ...known, entry: undefined, wasKept: entry.isKept });
  }

  all(): Entry[] {
    return [...this.#entries.values()];
  }

  #typeFor(object: object, serving: Serving): ServedType {
    const { names, hidden } = exposureOf(object, serving.exposed, serving.typeid);
    const key = JSON.stringify([serving.typeid, names, hidden]);
    let type = this.#types.get(key);
    if (!type) {
      type = new ServedType(this.#types.size, serving, names, hidden);
      this.#types.set(key, type);
    }
    return type;
  }
}
