import { BaseManager } from '../base-manager.js';
import { type Call, currentCall } from '../call.js';
import { served } from '../served.js';

/** What tests serve. */
export class Counter {
  n: number;
  readonly #secret = 'of its own';

  constructor(n = 0) {
    this.n = n;
  }

  add(n = 1): number {
    this.n += n;
    return this.n;
  }

  get(): number {
    return this.n;
  }

  get secret(): string {
    return this.#secret;
  }

  self(): this {
    return this;
  }

  fail(message: string): never {
    throw new OwnError(message);
  }

  _inner(): string {
    return this.#secret;
  }
}

export class Derived extends Counter {
  double(): number {
    return this.n * 2;
  }
}

export class OwnError extends Error {
  static {
    this.prototype.name = 'OwnError';
  }
  readonly code = 'OWN';
}

/** Keeps other things. */
export class Shelf {
  readonly #all = new Map<string, unknown>();

  set(key: string, value: unknown): void {
    this.#all.set(key, value);
  }

  get(key: string): unknown {
    return this.#all.get(key);
  }

  delete(key: string): void {
    this.#all.delete(key);
  }

  entries(): [string, unknown][] {
    return [...this.#all];
  }

  /** Is it the server's own object that is kept? */
  isCounter(key: string): boolean {
    return this.#all.get(key) instanceof Counter;
  }
}

/** How often something has been disposed of, or ended, by name: in the server. */
const ends: string[] = [];
let calls: Call[] = [];

/** Things that take their time. */
export class Slow {
  #waiting: ((value: unknown) => void)[] = [];

  /** Waits for release(). Gives up as the caller does. */
  wait(): Promise<unknown> {
    const call = currentCall() as Call;
    const { signal } = call;
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener('abort', () => {
        ends.push('aborted');
        reject(signal.reason);
      });
    });
  }

  /** Does not care whether the caller gives up. */
  waitStubbornly(): Promise<unknown> {
    const call = currentCall() as Call;
    calls.push(call);
    call.onLost(() => ends.push('lost'));
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  /** Has its effect just as the caller gives up. */
  answerWhenAborted(): Promise<string> {
    const { signal } = currentCall() as Call;
    return new Promise(resolve => signal.addEventListener('abort', () => resolve('had its effect')));
  }

  waiting(): number {
    return this.#waiting.length;
  }

  release(value: unknown): void {
    for (const resolve of this.#waiting.splice(0)) resolve(value);
  }

  noteMyEnd(name: string): void {
    currentCall()?.client.onEnd(() => ends.push(`${name} ended`));
  }

  ends(): string[] {
    return [...ends];
  }

  forget(): void {
    ends.length = 0;
    calls = [];
  }

  *count(to: number): Generator<number, string> {
    try {
      for (let i = 0; i < to; i++) {
        ends.push(`made ${i}`);
        yield i;
      }
      return 'all';
    } finally {
      ends.push('generator ended');
    }
  }

  async *countSlowly(to: number): AsyncGenerator<number> {
    for (let i = 0; i < to; i++) yield await Promise.resolve(i);
  }

  *broken(): Generator<number> {
    yield 1;
    throw new OwnError('half way');
  }

  large(bytes: number): Uint8Array {
    return new Uint8Array(bytes).fill(7);
  }

  echo(value: unknown): unknown {
    return value;
  }

  apply(fn: (...args: never[]) => unknown, ...args: unknown[]): unknown {
    return fn(...(args as never[]));
  }

  pid(): number {
    return process.pid;
  }
}

/** Disposes. */
export class Resource {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  name(): string {
    return this.#name;
  }

  self(): this {
    return this;
  }

  part(): object {
    return served(new Resource(`${this.#name}'s part`), 'Part');
  }

  [Symbol.dispose](): void {
    ends.push(`${this.#name} disposed`);
  }
}

const shared = new Counter(100);

export function sharedCounter(): Counter {
  return shared;
}

export class TestManager extends BaseManager {
  static {
    this.register('Counter', Counter);
    this.register('Derived', Derived);
    this.register('Shelf', Shelf);
    this.register('Slow', Slow);
    this.register('Resource', Resource);
    this.register('Narrow', Counter, { exposed: ['get', '_inner'] });
    this.register('shared', sharedCounter);
    this.register('Map', Map);
    this.register('later', async (n: number) => {
      await null;
      return { value: () => n, own: 5 };
    });
    this.register('nothing', () => null as never);
    this.register('failing', () => {
      throw new OwnError('no factory');
    });
  }
}
