/** A type whose objects stand for something that both sides can reach, such as a lock in shared memory. */
export interface HandleType {
  readonly id: string;
  readonly type: AnyClass;
  out(object: object): unknown;
  back(plain: unknown): object;
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
  const prototype: object = type.prototype;
  if (byId.has(id) || byPrototype.has(prototype)) {
    throw new RangeError(`Cannot register the handle "${id}" as its id or class is taken: choose another id`);
  }
  const handle: HandleType = {
    id,
    type,
    out: object => out(object as T),
    back: plain => back(plain as P),
    isReachable: object => isReachable(object as T),
  };
  byPrototype.set(prototype, handle);
  byId.set(id, handle);
}

export function handleOf(prototype: object): HandleType | undefined {
  return byPrototype.get(prototype);
}

/** For the prototype of a subclass: that of the registered class below it. */
export function handleBelow(prototype: object): HandleType | undefined {
  for (let below = Object.getPrototypeOf(prototype); below; below = Object.getPrototypeOf(below)) {
    const handle = byPrototype.get(below);
    if (handle) return handle;
  }
  return undefined;
}

export function handleNamed(id: string): HandleType | undefined {
  return byId.get(id);
}
