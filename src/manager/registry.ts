import { checkExposed, type ServedOptions, type Serving } from './served.js';

type Class<T> = new (...args: any[]) => T;

/** A class, or a function that gives an object or a promise of one. */
export type Factory<T = unknown> = Class<T> | ((...args: any[]) => T | PromiseLike<T>);

export interface Registration extends ServedOptions {
  readonly factory: Factory | undefined;
}

const registries = new WeakMap<object, Map<string, Registration>>();

/** @throws {TypeError | RangeError} An argument is wrong. */
export function register(manager: object, typeid: string, registration: Registration): void {
  const { factory, exposed } = registration;
  if (typeof typeid !== 'string')
    throw new TypeError(`Cannot register ${typeof typeid}: give a name as "typeid"`);
  if (factory !== undefined && typeof factory !== 'function')
    throw new TypeError(
      `Cannot register ${factory === null ? 'null' : typeof factory} as "${typeid}": give a class or a function`,
    );
  checkExposed(exposed);
  let own = registries.get(manager);
  if (!own) {
    own = new Map();
    registries.set(manager, own);
  }
  own.set(typeid, registration);
}

/** What is registered with a manager's class and those that it extends, the class's own first. */
export function registrationsOf(manager: object): Map<string, Registration> {
  const all = new Map<string, Registration>();
  for (let at: object | null = manager; at !== null; at = Object.getPrototypeOf(at))
    for (const [typeid, registration] of registries.get(at) ?? [])
      if (!all.has(typeid)) all.set(typeid, registration);
  return all;
}

/** Is it called by `new`? */
export function makesObjects(factory: Factory): boolean {
  return Object.getOwnPropertyDescriptor(factory, 'prototype')?.writable === false;
}

/** How objects are served that come about otherwise than by create(): those of the program's classes that are registered. */
export function servingBy(
  registrations: ReadonlyMap<string, Registration>,
): (object: object) => Serving | undefined {
  const byPrototype = new Map<object, Serving>();
  for (const [typeid, { factory, exposed, proxy }] of registrations) {
    if (!factory || !makesObjects(factory) || isNative(factory)) continue;
    if (!byPrototype.has(factory.prototype))
      byPrototype.set(factory.prototype, { typeid, exposed, proxy, owned: true });
  }
  return object => byPrototype.get(Object.getPrototypeOf(object));
}

function isNative(factory: Factory): boolean {
  return Function.prototype.toString.call(factory).endsWith('[native code] }');
}
