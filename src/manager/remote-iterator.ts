import { RemoteObject } from './remote-object.js';
import { nameRemoteClass } from './remote-type.js';
import { served } from './served.js';

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>;

/** What a served method returned to be iterated: each value is made when it is asked for. */
export class ServedIterator {
  readonly #iterator: AnyIterator;
  #isDone = false;

  constructor(iterator: AnyIterator) {
    this.#iterator = iterator;
  }

  async next(...args: [] | [unknown]): Promise<IteratorResult<unknown>> {
    return this.#take(await this.#iterator.next(...args));
  }

  async return(value?: unknown): Promise<IteratorResult<unknown>> {
    this.#isDone = true;
    return (await this.#iterator.return?.(value)) ?? { done: true, value };
  }

  async throw(error?: unknown): Promise<IteratorResult<unknown>> {
    if (this.#iterator.throw) return this.#take(await this.#iterator.throw(error));
    await this.return();
    throw error;
  }

  async #take(result: IteratorResult<unknown>): Promise<IteratorResult<unknown>> {
    if (result.done) this.#isDone = true;
    return { done: result.done === true, value: await result.value };
  }

  /** Nobody asks any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isDone) await this.return();
  }
}

/** The same on the client's side. */
export class RemoteIterator extends RemoteObject implements AsyncIterableIterator<unknown> {
  #isDone = false;

  next(...args: [] | [unknown]): Promise<IteratorResult<unknown>> {
    return this.#ask('next', args);
  }

  return(value?: unknown): Promise<IteratorResult<unknown>> {
    return this.#ask('return', [value]);
  }

  throw(error?: unknown): Promise<IteratorResult<unknown>> {
    return this.#ask('throw', [error]);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #ask(method: string, args: readonly unknown[]): Promise<IteratorResult<unknown>> {
    if (this.#isDone) {
      if (method === 'throw') throw args[0];
      return { done: true, value: method === 'return' ? args[0] : undefined };
    }
    let result: IteratorResult<unknown> = { done: true, value: undefined };
    try {
      result = await this.call(method, args);
      return result;
    } finally {
      if (result.done && !this.#isDone) {
        this.#isDone = true;
        await this[Symbol.asyncDispose]();
      }
    }
  }
}

nameRemoteClass('iterator', RemoteIterator);

/** An iterator, as generators return it, to be served, unless it is already; all else as it is. */
export function asyncIterated(value: object, isServed: (object: object) => boolean): object {
  if (!isIterator(value) || isServed(value)) return value;
  return served(new ServedIterator(value), 'iterator', {
    exposed: ['next', 'return', 'throw'],
    proxy: RemoteIterator,
  });
}

function isIterator(value: object): value is AnyIterator & object {
  return (
    typeof (value as Partial<AnyIterator>).next === 'function' &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}
