import { nameOf } from '../codec/classes.js';
import type { RemoteClass } from './remote-object.js';

type Method = (...args: unknown[]) => unknown;

/** How objects of a kind are served. */
export interface ServedOptions {
  /** The methods that can be called; default all that are public. */
  readonly exposed?: readonly string[];
  /** The class of their proxies; default one that has their methods and no more. */
  readonly proxy?: RemoteClass;
}

/** Under which typeid an object is served, and how. */
export interface Serving extends ServedOptions {
  readonly typeid: string;
  /** Is it the server's own, to be disposed of when it is dropped? */
  readonly owned?: boolean;
}

const servings = new WeakMap<object, Serving>();

/** Has a proxy sent wherever `object` is sent as a result, or within one. */
export function served<T extends object>(object: T, typeid: string, options: ServedOptions = {}): T {
  servings.set(object, { ...options, typeid, owned: true });
  return object;
}

export function servingOf(object: object): Serving | undefined {
  return servings.get(object);
}

/** The name under which an object's iteration is exposed. */
export const ITERATE = '[Symbol.asyncIterator]';

/** What can never be exposed: `then` would make a promise of a proxy, for one. */
const NEVER: ReadonlySet<string> = new Set(['constructor', '__proto__', 'then']);

/** The methods of an object by name, without calling a getter. What every object has does not count. */
export function methodsOf(object: object): Map<string, Method> {
  const methods = new Map<string, Method>();
  const seen = new Set<string>(NEVER);
  for (
    let at: object | null = object;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    if (at === Function.prototype) break;
    for (const name of Object.getOwnPropertyNames(at)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const value = Object.getOwnPropertyDescriptor(at, name)?.value;
      if (typeof value === 'function') methods.set(name, value);
    }
  }
  const iterate = Reflect.get(object, Symbol.asyncIterator) ?? Reflect.get(object, Symbol.iterator);
  if (typeof iterate === 'function') methods.set(ITERATE, iterate);
  return methods;
}

/** The methods that can be called by proxies, in a fixed order, and those that cannot. */
export interface Exposure {
  readonly names: readonly string[];
  readonly hidden: readonly string[];
}

/** @throws {TypeError} One that is to be exposed is no method. */
export function exposureOf(object: object, exposed: readonly string[] | undefined, typeid: string): Exposure {
  const all = [...methodsOf(object).keys()];
  for (const name of exposed ?? [])
    if (!all.includes(name))
      throw new TypeError(
        `Cannot expose "${name}" of "${typeid}" as ${nameOf(Object.getPrototypeOf(object))} has no such method: it has ${all.join(', ') || 'none'}`,
      );
  const names = exposed ? [...new Set(exposed)] : all.filter(name => !name.startsWith('_'));
  return { names, hidden: all.filter(name => !names.includes(name)) };
}

/** @throws {TypeError | RangeError} Those are no names of methods that could be exposed. */
export function checkExposed(exposed: readonly string[] | undefined): void {
  if (exposed === undefined) return;
  if (!Array.isArray(exposed) || exposed.some(name => typeof name !== 'string'))
    throw new TypeError('Cannot use that as "exposed": give an array of names of methods');
  for (const name of exposed)
    if (NEVER.has(name))
      throw new RangeError(
        `Cannot expose "${name}" as it means something else to JavaScript: give it another name`,
      );
}
