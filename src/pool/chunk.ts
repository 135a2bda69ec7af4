import { decode, decodeAsync } from '../codec/decode.js';
import { decodeThrown, decodeThrownAsync, encodeThrown } from '../codec/errors.js';

/*
 * A chunk is one task that calls its function with one item after the other. Every item's call is made, whatever becomes of the
 * others.
 */

/** Results of a chunk of whose calls some threw. */
export class Partly {
  constructor(
    /** By item; undefined for one that threw. */
    readonly values: unknown[],
    /** By the number of the item within the chunk. */
    readonly errors: ReadonlyMap<number, unknown>,
  ) {}
}

type Runnable = (...args: unknown[]) => unknown;

/** The calls of a chunk, one after the other. Undefined in the place of one that threw, whose error `errors` has. */
export class Chunk {
  readonly values: unknown[] = [];
  errors: Map<number, Uint8Array> | undefined;
  readonly #fn: Runnable;
  readonly #items: readonly unknown[];
  readonly #spread: boolean;

  /** `spread`: each item is an array of arguments. */
  constructor(fn: Runnable, items: readonly unknown[], spread: boolean) {
    this.#fn = fn;
    this.#items = items;
    this.#spread = spread;
  }

  /** Undefined: it is over. */
  run(): Promise<void> | undefined {
    const pending = this.#runUntilPending();
    return pending && this.#goOn(pending);
  }

  async #goOn(first: PromiseLike<unknown>): Promise<void> {
    for (let pending: PromiseLike<unknown> | undefined = first; pending; pending = this.#runUntilPending()) {
      try {
        this.values.push(await pending);
      } catch (error) {
        this.#fail(error);
      }
    }
  }

  /** What the next call gave that has to be waited for; undefined: all have been made. */
  #runUntilPending(): PromiseLike<unknown> | undefined {
    const { values } = this;
    while (values.length < this.#items.length) {
      const item = this.#items[values.length];
      try {
        const value = this.#spread ? this.#fn(...argumentsOf(item)) : this.#fn(item);
        if (isThenable(value)) return value;
        values.push(value);
      } catch (error) {
        this.#fail(error);
      }
    }
    return undefined;
  }

  #fail(error: unknown): void {
    this.fail(this.values.length, error);
    this.values.push(undefined);
  }

  /** The item with this number has no value, but an error. */
  fail(index: number, error: unknown): void {
    this.errors ??= new Map();
    this.errors.set(index, encodeThrown(error));
  }
}

/** An item of starmap(). */
function argumentsOf(item: unknown): unknown[] {
  if (Array.isArray(item)) return item;
  throw new TypeError(
    `Cannot call the function with ${item === null ? 'null' : `${typeof item}s`} for its arguments: give starmap() an array for each item`,
  );
}

/** Is it to be awaited? Throws what a getter `then` throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as PromiseLike<unknown>).then === 'function'
  );
}

/** What a worker gives of a chunk of whose calls some threw. */
export interface PartlyMessage {
  readonly values: unknown[];
  readonly errors: readonly (readonly [index: number, error: Uint8Array])[];
}

export function decodePartly(bytes: Uint8Array, offset: number, length: number): Partly {
  const { values, errors } = decode(bytes, offset, length) as PartlyMessage;
  return new Partly(values, new Map(errors.map(([index, error]) => [index, decodeThrown(error)])));
}

/** The same where something must be imported first. */
export async function decodePartlyAsync(bytes: Uint8Array, offset: number, length: number): Promise<Partly> {
  const { value } = await decodeAsync(bytes, offset, length);
  const { values, errors } = value as PartlyMessage;
  const decoded = await Promise.all(
    errors.map(async ([index, error]) => [index, await decodeThrownAsync(error)] as const),
  );
  return new Partly(values, new Map(decoded));
}
