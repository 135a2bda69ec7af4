import { nameOf } from './classes.js';
import type { Failure } from './path.js';

/** A type whose objects stand for something that both sides can reach, such as a lock in shared memory. */
export interface HandleType {
  readonly id: string;
  readonly type: AnyClass;
  out(object: object, abroad: boolean): unknown;
  back(plain: unknown, made?: object): object;
  /** Makes the object that `back` will complete. */
  make?(): object;
  /** Do objects of classes that extend it cross in the same way? */
  readonly coversSubclasses: boolean;
  /** Can other programs reach what the object stands for, too? */
  isReachable(object: object): boolean;
}

type AnyClass = abstract new (...args: never) => object;

const byPrototype = new Map<object, HandleType>();
const byId = new Map<string, HandleType>();

/**
 * Lets objects of `type` cross as what they stand for: `out` gives a plain value (a number or two), from which `back`
 * makes an object over there. Within one message an object stays one object. Subclasses need a registration of their
 * own, made before the first of its objects crosses. `id` must be the same on both sides; it travels with each object, so
 * keep it short.
 * `isReachable` says of which objects other programs can reach what they stand for: of none, unless given.
 * @throws {RangeError} The id or the type is registered already.
 */
export function registerHandle<T extends object, P>(
  id: string,
  type: abstract new (...args: never) => T,
  out: (object: T) => P,
  back: (plain: P) => T,
  isReachable: (object: T) => boolean = () => false,
): void {
  register({
    id,
    type,
    out: object => out(object as T),
    back: plain => back(plain as P),
    coversSubclasses: false,
    isReachable: object => isReachable(object as T),
  });
}

/** How an object is made over there: by a call of an exported function, whose module is loaded for that. */
export type Making = readonly [make: (...args: never[]) => object, ...args: unknown[]];

/** Stands for all that crosses as a call: over there nothing need be registered. */
const CALL = '()';

/**
 * Lets objects of `type` and of all classes that extend it cross as a call that makes them over there, where nothing need have been
 * loaded. `abroad`: it is for other programs, too. `out` may throw a Failure.
 */
export function registerMade<T extends object>(
  type: abstract new (...args: never) => T,
  out: (object: T, abroad: boolean) => Making,
): void {
  byPrototype.set((type as { prototype: object }).prototype, {
    id: CALL,
    type,
    out: (object, abroad) => out(object as T, abroad),
    back: make,
    coversSubclasses: true,
    isReachable: () => true, // `out` decides
  });
}

function make(plain: unknown): object {
  const [make, ...args] = plain as Making;
  return make(...(args as never[]));
}

/**
 * The same for objects of `type` and of all classes that extend it. `make` makes an object of `type` over there before anything
 * is known of it, and `complete` gives it the rest, its class included: so what `out` gives may refer back to the object.
 * `out` may throw a Failure.
 */
export function registerBase<T extends object, P>(
  id: string,
  type: abstract new (...args: never) => T,
  out: (object: T) => P,
  make: () => T,
  complete: (object: T, plain: P) => void,
): void {
  register({
    id,
    type,
    out: object => out(object as T),
    make,
    back(plain, made) {
      complete(made as T, plain as P);
      return made as T;
    },
    coversSubclasses: true,
    isReachable: () => true, // `out` decides
  });
}

type Refuse = (name: string) => Failure;

const refusals = new Map<object, Refuse>();

/**
 * Says why objects of `type` and of all classes that extend it never cross, and what to do instead: better than the general reason
 * could. `why` is given the name of the object's class.
 */
export function registerRefusal(type: AnyClass, why: Refuse): void {
  refusals.set((type as { prototype: object }).prototype, why);
}

/** Why objects with this prototype never cross, if somebody has said so. */
export function refusalOf(prototype: object): Failure | undefined {
  for (let at: object | null = prototype; at; at = Object.getPrototypeOf(at)) {
    const why = refusals.get(at);
    if (why) return why(nameOf(prototype));
  }
  return undefined;
}

function register(handle: HandleType): void {
  const { id, type } = handle;
  const prototype = (type as { prototype: object }).prototype;
  if (byId.has(id) || byPrototype.has(prototype)) {
    throw new RangeError(`Cannot register the handle "${id}" as its id or class is taken: choose another id`);
  }
  byPrototype.set(prototype, handle);
  byId.set(id, handle);
}

export function handleOf(prototype: object): HandleType | undefined {
  const handle = byPrototype.get(prototype);
  if (handle) return handle;
  const below = handleBelow(prototype);
  return below?.coversSubclasses ? below : undefined;
}

/** For the prototype of a subclass: that of the registered class below it. */
export function handleBelow(prototype: object): HandleType | undefined {
  for (let below = Object.getPrototypeOf(prototype); below; below = Object.getPrototypeOf(below)) {
    const handle = byPrototype.get(below);
    if (handle) return handle;
  }
  return undefined;
}

export function handleNamed(id: string): Pick<HandleType, 'make' | 'back'> | undefined {
  return byId.get(id) ?? (id === CALL ? { back: make } : undefined);
}
