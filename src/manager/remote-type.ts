import { inspect } from 'node:util';
import { type Origin, type RemoteClass, RemoteObject } from './remote-object.js';
import { ITERATE } from './served.js';

/** What the server says of objects of one type. */
export interface TypeDescription {
  /** Its number with that server. */
  readonly number: number;
  readonly typeid: string;
  /** Methods that can be called, in the order of their numbers, from 1 on. */
  readonly names: readonly string[];
  /** Methods that the objects have, and that cannot. */
  readonly hidden: readonly string[];
  /** The class of the proxies; for other programs its name, if it has one there. */
  readonly proxy: RemoteClass | string | undefined;
}

const named = new Map<string, RemoteClass>();
const names = new Map<RemoteClass, string>();

/** Gives a class of proxies a name by which other programs that have loaded it know it. */
export function nameRemoteClass(name: string, proxy: RemoteClass): void {
  named.set(name, proxy);
  names.set(proxy, name);
}

export function nameOfRemoteClass(proxy: RemoteClass): string | undefined {
  return names.get(proxy);
}

export function remoteClassOf(proxy: TypeDescription['proxy']): RemoteClass | undefined {
  return typeof proxy === 'string' ? named.get(proxy) : proxy;
}

/** A type of served objects, as clients know it. */
export class RemoteType implements TypeDescription {
  readonly number: number;
  readonly typeid: string;
  readonly names: readonly string[];
  readonly hidden: readonly string[];
  readonly proxy: RemoteClass | undefined;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #made: new (
    origin: Origin,
  ) => RemoteObject;

  constructor({
    number,
    typeid,
    names,
    hidden,
    proxy,
  }: TypeDescription & { proxy: RemoteClass | undefined }) {
    this.number = number;
    this.typeid = typeid;
    this.names = names;
    this.hidden = hidden;
    this.proxy = proxy;
    this.#numbers = new Map(names.map((name, i) => [name, i + 1]));
    this.#made = classFor(this);
  }

  /** The number of a method; 0 if it has none: then its name says which is meant. */
  numberOf(method: string): number {
    return this.#numbers.get(method) ?? 0;
  }

  makeProxy(origin: Origin): RemoteObject {
    return new this.#made(origin);
  }
}

/**
 * The class of a type's proxies: the type's methods over the class that it names. Where that has a method of its own, it is that. Methods
 * that are not exposed are there as well, for the server to refuse them: so that one learns why.
 */
function classFor(type: RemoteType): new (origin: Origin) => RemoteObject {
  const Base = (type.proxy ?? RemoteObject) as new (origin: Origin) => RemoteObject;
  const Made = class extends Base {};
  Object.defineProperty(Made, 'name', { value: `Proxy<${type.typeid}>` });
  const define = (name: string | symbol, value: unknown) => {
    if (isOwn(Base, name)) return;
    Object.defineProperty(Made.prototype, name, { value, writable: true, configurable: true });
  };
  type.names.forEach((name, i) => {
    if (name === ITERATE) define(Symbol.asyncIterator, iterating(i + 1));
    else define(name, calling(i + 1));
  });
  for (const name of type.hidden) if (name !== ITERATE) define(name, refusing(name));
  return Made;
}

/** Has the class, or one between it and RemoteObject, that member? */
function isOwn(Class: RemoteClass, name: string | symbol): boolean {
  for (let at: object = Class.prototype; at !== RemoteObject.prototype; at = Object.getPrototypeOf(at))
    if (Object.hasOwn(at, name)) return true;
  return name === 'constructor' || name === inspect.custom || name === Symbol.asyncDispose;
}

function calling(number: number) {
  return function (this: RemoteObject, ...args: unknown[]): Promise<unknown> {
    return RemoteObject.call(this, number, args);
  };
}

function iterating(number: number) {
  return async function* (this: RemoteObject): AsyncGenerator<unknown> {
    yield* (await RemoteObject.call(this, number, [])) as AsyncIterable<unknown>;
  };
}

function refusing(name: string) {
  return function (this: RemoteObject): Promise<unknown> {
    return RemoteObject.call(this, 0, [], name);
  };
}
