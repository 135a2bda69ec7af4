import type { Block } from '../space.js';
import { SpaceOver } from './space-over.js';

/*
 * Deaths at chosen instants: just before any one write to memory that is mortal() here, or any atomic step at all.
 */
class Death extends Error {}

const WRITES = ['store', 'exchange', 'compareExchange', 'add', 'sub', 'and', 'or', 'xor'] as const;
const STEPS = ['load', ...WRITES] as const;

/** The arrays behind those that stand for them. */
const real = new WeakMap<object, Uint8Array | Int32Array>();
let left = Number.POSITIVE_INFINITY;

/** Runs `action` and stops it for good just before its n-th write. False: it ended before. */
export function diesBefore(n: number, action: () => void): boolean {
  const saved = STEPS.map(name => Atomics[name]);
  for (const [i, name] of STEPS.entries()) {
    Object.assign(Atomics, {
      [name]: (array: Int32Array, ...rest: unknown[]) => {
        if (name !== 'load') step();
        return Reflect.apply(saved[i], Atomics, [real.get(array) ?? array, ...rest]);
      },
    });
  }
  let died = false;
  left = n;
  try {
    action();
  } catch (error) {
    if (!(error instanceof Death)) throw error;
  } finally {
    for (const [i, name] of STEPS.entries()) Object.assign(Atomics, { [name]: saved[i] });
    died = left <= 0; // also if what it died of was taken for an error that one can go on from
    left = Number.POSITIVE_INFINITY;
  }
  return died;
}

function step(): void {
  if (--left <= 0) throw new Death(); // and whatever it tries on its way out
}

/** Stands for an array: each write to it is a step. */
export function mortal<T extends Uint8Array | Int32Array>(array: T): T {
  const stand = new Proxy(array, {
    get(target, key) {
      const value = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...args: never[]) => call(target, key as keyof T, args);
    },
    set(target, key, value) {
      step();
      return Reflect.set(target, key, value, target);
    },
  });
  real.set(stand, array);
  return stand;
}

/** Methods that write do so in two steps, as one may die in the middle. */
function call<T extends Uint8Array | Int32Array>(target: T, method: keyof T, args: never[]): unknown {
  if (method === 'subarray') return mortal(target.subarray(...args));
  if (method === 'set') {
    const [given, offset = 0] = args as unknown as [T, number?];
    const source = real.get(given) ?? given;
    const half = source.length >>> 1;
    step();
    target.set(source.subarray(0, half), offset);
    step();
    return target.set(source.subarray(half), offset + half);
  }
  if (method === 'fill') {
    const [value, start = 0, end = target.length] = args as number[];
    step();
    target.fill(value, start, (start + end) >>> 1);
    step();
    return target.fill(value, (start + end) >>> 1, end);
  }
  if (method === 'copyWithin' || method === 'sort' || method === 'reverse') step();
  return Reflect.apply(target[method] as (...args: never[]) => unknown, target, args);
}

/** The same memory, in which each write is a step. */
export class MortalSpace extends SpaceOver {
  override at(handle: number, bytes: number): Block {
    const block = super.at(handle, bytes);
    return { bytes: mortal(block.bytes), words: mortal(block.words) };
  }
}
