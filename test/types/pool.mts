/*
 * What TypeScript makes of calls of a pool. Compiled by `npm test` against the types that are published, never run: who
 * is expected to be wrong is marked, and one mark too many is an error, too.
 */
import {
  AsyncResult,
  type Context,
  getContext,
  type MappedIterator,
  Pool,
  type PoolOptions,
  type Process,
  type Target,
  type Thread,
  taskSignal,
} from 'manyhands';
import { typeOf } from './type-of.mjs';

declare const pool: Pool;
declare const numbers: number[];
declare const names: Map<number, string>;
declare function lines(): AsyncGenerator<string>;
declare function shuffle<T>(list: T[]): T[];

class Point {
  static of(x: number, y = 0): Point {
    return new Point(x, y);
  }
  readonly x: number;
  readonly y: number;
  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }
}

// ── run: from the function ──

typeOf(pool.run((a: number, b: string) => a + b, [1, 'x'])).is<AsyncResult<string>>();
typeOf(pool.run((list: readonly string[]) => new Set(list), [['a']])).is<AsyncResult<Set<string>>>();
typeOf(pool.run((pair: [number, string]) => pair, [[1, 'x']])).is<AsyncResult<[number, string]>>();
typeOf(pool.run((state: 'on' | 'off') => state, ['on'])).is<AsyncResult<'on' | 'off'>>();
typeOf(pool.run(({ n }: { n: number; s?: string }) => n, [{ n: 1 }])).is<AsyncResult<number>>();
typeOf(pool.run(Point.of, [1, 2])).is<AsyncResult<Point>>();
typeOf(pool.run(() => {})).is<AsyncResult<void>>();
typeOf(pool.run(() => 1, [])).is<AsyncResult<number>>();
typeOf(pool.run(() => 1, undefined, { timeout: 50, retries: 1 })).is<AsyncResult<number>>();
typeOf(pool.run((): never => process.exit())).is<AsyncResult<never>>();
typeOf(pool.run((value: unknown) => value, [[1]])).is<AsyncResult<unknown>>();
typeOf(pool.run(JSON.parse, ['1'])).is<AsyncResult<any>>();

const text: Promise<string> = pool.run((n: number) => String(n), [1]);
typeOf(await text).is<string>();
typeOf(await pool.run((n: number) => String(n), [1])).is<string>();

// ── run: from the arguments, where the function does not say ──

typeOf(pool.run((a, b) => a + b, [1, 2])).is<AsyncResult<number>>();
typeOf(pool.run((s, n) => s.repeat(n), ['x', 2])).is<AsyncResult<string>>();
typeOf(pool.run(p => p.x, [new Point(1, 2)])).is<AsyncResult<number>>();

// ── run: functions that are async, or return what can be awaited ──

typeOf(pool.run(async (n: number) => [n], [1])).is<AsyncResult<number[]>>();
typeOf(pool.run(async () => {})).is<AsyncResult<void>>();
typeOf(pool.run((n: number): PromiseLike<string> => Promise.resolve(`${n}`), [1])).is<AsyncResult<string>>();
typeOf(pool.run((n: number): string | Promise<string> => `${n}`, [1])).is<AsyncResult<string>>();
typeOf(pool.run((n: number): number | Promise<string> => n, [1])).is<AsyncResult<number | string>>();
typeOf(pool.run(async () => Promise.resolve(async () => 1))).is<AsyncResult<() => Promise<number>>>();

// ── run: optional and rest parameters, tuples ──

const optional = (n: number, s?: string) => s ?? n;
typeOf(pool.run(optional, [1])).is<AsyncResult<string | number>>();
typeOf(pool.run(optional, [1, 'x'])).is<AsyncResult<string | number>>();
typeOf(pool.run(optional, [1, undefined])).is<AsyncResult<string | number>>();
typeOf(pool.run((n?: number) => n)).is<AsyncResult<number | undefined>>();
typeOf(pool.run((n?: number) => n, [1])).is<AsyncResult<number | undefined>>();
typeOf(pool.run((n: number = 1) => n, [])).is<AsyncResult<number>>();

const rest = (s: string, ...all: number[]) => all.length + s.length;
typeOf(pool.run(rest, ['x'])).is<AsyncResult<number>>();
typeOf(pool.run(rest, ['x', 1, 2])).is<AsyncResult<number>>();
typeOf(pool.run((...all: number[]) => all)).is<AsyncResult<number[]>>();
typeOf(pool.run((...all: number[]) => all, numbers)).is<AsyncResult<number[]>>();
typeOf(pool.run((...all: number[]) => all, numbers as readonly number[])).is<AsyncResult<number[]>>();

const tuple: [number, string] = [1, 'x'];
const constant = [1, 'x'] as const;
typeOf(pool.run((n: number, s: string) => s + n, tuple)).is<AsyncResult<string>>();
typeOf(pool.run((n: number, s: string) => s + n, constant)).is<AsyncResult<string>>();

// ── run: generic functions, and those of generic callers ──

typeOf(pool.run(shuffle, [numbers])).is<AsyncResult<number[]>>();
typeOf(pool.run(shuffle<string>, [['a']])).is<AsyncResult<string[]>>();
typeOf(pool.run(<T, U>(a: T, b: U): [U, T] => [b, a], ['x', 1])).is<AsyncResult<[number, string]>>();

export function call<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...args: A
): Promise<Awaited<R>> {
  return pool.run(fn, args);
}
export function callTarget<A extends readonly unknown[], R>(fn: Target<A, R>, args: A): Promise<Awaited<R>> {
  return pool.run(fn, args);
}
typeOf(call((n: number) => `${n}`, 1)).is<Promise<string>>();

// ── run: what a module exports, whose types are said, or unknown ──

const module = new URL('file:///tasks.mjs');
typeOf(pool.run({ module, export: 'count' })).is<AsyncResult<unknown>>();
typeOf(pool.run({ module: './tasks.mjs' }, [1, 'x'])).is<AsyncResult<unknown>>();
typeOf(pool.run<[string], number>({ module, export: 'count' }, ['x'])).is<AsyncResult<number>>();
typeOf(pool.run<[], Promise<number>>({ module })).is<AsyncResult<number>>();
declare const target: Target<[number], string>;
typeOf(pool.run(target, [1])).is<AsyncResult<string>>();
typeOf(pool.run<[number], string>(async n => `${n}`, [1])).is<AsyncResult<string>>();

// ── run: wrong calls ──

// @ts-expect-error its argument is missing
pool.run((n: number) => n);
// @ts-expect-error its argument is missing
pool.run((n: number) => n, []);
// @ts-expect-error its argument is missing
pool.run((n: number) => n, undefined, { timeout: 50 });
// @ts-expect-error the second argument is missing
pool.run((n: number, m: number) => n + m, [1]);
// @ts-expect-error the first of its arguments is missing
pool.run(optional);
// @ts-expect-error a string is no number
pool.run((n: number) => n, ['x']);
// @ts-expect-error it takes one argument
pool.run((n: number) => n, [1, 2]);
// @ts-expect-error it takes none
pool.run(() => 1, [1]);
// @ts-expect-error the second is no string
pool.run(optional, [1, 2]);
// @ts-expect-error they are no numbers
pool.run(rest, ['x', 'y']);
// @ts-expect-error there may be fewer than it needs, or more
pool.run((n: number) => n, numbers);
// @ts-expect-error arguments come as an array
pool.run((n: number) => n, 1);
// @ts-expect-error that is no state
pool.run((state: 'on' | 'off') => state, ['off?']);
// @ts-expect-error it lacks n
pool.run(({ n }: { n: number }) => n, [{ m: 1 }]);
// @ts-expect-error its elements are no strings
pool.run(shuffle<string>, [[1]]);
// @ts-expect-error the argument that was said is missing
pool.run<[string], number>({ module });
// @ts-expect-error the argument is not what was said
pool.run<[string], number>({ module }, [1]);
// @ts-expect-error its argument is missing
pool.run(target);
// @ts-expect-error neither a function nor a module's
pool.run('count');
// @ts-expect-error neither a function nor a module's
pool.run({ export: 'count' });
// @ts-expect-error there is no such option
pool.run(() => 1, [], { timout: 50 });
// @ts-expect-error a number is no string
export const wrong: Promise<string> = pool.run((n: number) => n, [1]);

// ── apply ──

typeOf(await pool.apply((n: number) => String(n), [1])).is<string>();
typeOf(await pool.apply(async (n, s) => [s, n] as const, [1, 'x'])).is<readonly [string, number]>();
typeOf(await pool.apply(shuffle, [numbers])).is<number[]>();
typeOf(await pool.apply(() => 1)).is<number>();
typeOf(await pool.apply<[string], number>({ module }, ['x'])).is<number>();
// @ts-expect-error its argument is missing
pool.apply((n: number) => n);
// @ts-expect-error a string is no number
pool.apply((n: number) => n, ['x']);

// ── map ──

typeOf(pool.map((n: number) => String(n), [1, 2])).is<AsyncResult<string[]>>();
export const strings: Promise<string[]> = pool.map((n: number) => String(n), [1, 2]);
typeOf(pool.map(n => n.toFixed(), [1, 2])).is<AsyncResult<string[]>>();
typeOf(pool.map(async n => n * 2, new Set([1, 2]))).is<AsyncResult<number[]>>();
typeOf(pool.map(async (s: string) => s.length, lines())).is<AsyncResult<number[]>>();
typeOf(pool.map(line => line.length, lines())).is<AsyncResult<number[]>>();
typeOf(pool.map(([n, s]) => ({ [s]: n }), names)).is<AsyncResult<{ [x: string]: number }[]>>();
typeOf(pool.map(([n, s]: readonly [number, string]) => s + n, names)).is<AsyncResult<string[]>>();
typeOf(pool.map((c: string) => c.charCodeAt(0), 'text')).is<AsyncResult<number[]>>();
typeOf(pool.map((n: number | string) => `${n}`, numbers)).is<AsyncResult<string[]>>();
typeOf(pool.map((n: number, radix?: number) => n.toString(radix), numbers)).is<AsyncResult<string[]>>();
typeOf(pool.map((n: number): number | Promise<string> => n, [1])).is<AsyncResult<(number | string)[]>>();
typeOf(pool.map(shuffle, [numbers])).is<AsyncResult<number[][]>>();
typeOf(pool.map(<T,>(item: T) => [item], ['x'])).is<AsyncResult<string[][]>>();
typeOf(pool.map({ module }, numbers)).is<AsyncResult<unknown[]>>();
typeOf(pool.map<number, string>({ module }, numbers, { chunksize: 2 })).is<AsyncResult<string[]>>();
typeOf(pool.map(target, numbers)).is<AsyncResult<string[]>>();
export function mapped<T>(items: readonly T[], fn: (item: T) => string): Promise<string[]> {
  return pool.map(fn, items);
}

// @ts-expect-error strings are no numbers
pool.map((n: number) => n, ['x']);
// @ts-expect-error they are no numbers
pool.map((n: number) => n, lines());
// @ts-expect-error not all are numbers
pool.map((n: number) => n, [1, undefined]);
// @ts-expect-error items come one by one, without an index
pool.map((n: number, i: number) => n + i, [1]);
// @ts-expect-error that cannot be iterated over
pool.map((n: number) => n, 1);
// @ts-expect-error there are no items
pool.map((n: number) => n);
// @ts-expect-error items that are lists of arguments are starmap's
pool.map((n: number, s: string) => s + n, names);
// @ts-expect-error they are not what was said
pool.map<number, string>({ module }, ['x']);
// @ts-expect-error they are no numbers
pool.map(target, ['x']);
// @ts-expect-error "buffer" is imap's
pool.map((n: number) => n, [1], { buffer: 2 });

// ── starmap ──

const pairs: [number, string][] = [[1, 'x']];
typeOf(pool.starmap((n: number, s: string) => s + n, pairs)).is<AsyncResult<string[]>>();
typeOf(pool.starmap((n: number, s: string) => s + n, [[1, 'x']])).is<AsyncResult<string[]>>();
typeOf(pool.starmap((n: number, s: string) => s + n, [[1, 'x']] as const)).is<AsyncResult<string[]>>();
typeOf(pool.starmap((n: number, s: string) => s + n, names)).is<AsyncResult<string[]>>();
typeOf(pool.starmap((n, s) => s.repeat(n), names)).is<AsyncResult<string[]>>();
typeOf(pool.starmap((n, s) => s.repeat(n), [[1, 'x']])).is<AsyncResult<string[]>>();
typeOf(pool.starmap(async (n, m) => n + m, [[1, 2]])).is<AsyncResult<number[]>>();
typeOf(pool.starmap((n: number, s?: string) => s ?? n, [[1], [2, 'x']])).is<
  AsyncResult<(string | number)[]>
>();
typeOf(pool.starmap((...all: number[]) => all, [[1], [], [2, 3]])).is<AsyncResult<number[][]>>();
typeOf(pool.starmap(<T, U>(a: T, b: U): [U, T] => [b, a], pairs)).is<AsyncResult<[string, number][]>>();
typeOf(pool.starmap({ module }, pairs)).is<AsyncResult<unknown[]>>();
typeOf(pool.starmap<[number, string], Date>({ module }, pairs, { chunksize: 2 })).is<AsyncResult<Date[]>>();
typeOf(pool.starmap(target, [[1]])).is<AsyncResult<string[]>>();
// @ts-expect-error the second argument is missing
pool.starmap((n: number, s: string) => s + n, [[1]]);
// @ts-expect-error it takes one argument
pool.starmap((n: number) => n, pairs);
// @ts-expect-error a string is no number
pool.starmap((n: number) => n, [['x']]);
// @ts-expect-error items are arrays of arguments
pool.starmap((n: number) => n, numbers);
// @ts-expect-error they are not what was said
pool.starmap<[number, string], Date>({ module }, [[1]]);

// ── with callbacks ──

const applied = pool.applyAsync((n: number) => String(n), [1], {
  callback: value => typeOf(value).is<string>(),
  errorCallback: error => typeOf(error).is<unknown>(),
  timeout: 50,
});
typeOf(applied).is<AsyncResult<string>>();
typeOf(pool.applyAsync(() => 1, [], { callback: n => n.toFixed() })).is<AsyncResult<number>>();
typeOf(pool.applyAsync(() => 1, undefined, { callback: n => n.toFixed() })).is<AsyncResult<number>>();
typeOf(pool.applyAsync(async () => 1)).is<AsyncResult<number>>();
typeOf(pool.applyAsync(shuffle, [numbers], { callback: n => n[0].toFixed() })).is<AsyncResult<number[]>>();
typeOf(pool.applyAsync<[], Date>({ module }, [], { callback: d => d.getDay() })).is<AsyncResult<Date>>();
// @ts-expect-error its argument is missing
pool.applyAsync((n: number) => n);
// @ts-expect-error what is returned is no string
pool.applyAsync(() => 1, [], { callback: (value: string) => value });

const mappedAsync = pool.mapAsync(async (n: number) => String(n), numbers, {
  callback: values => typeOf(values).is<string[]>(),
  errorCallback: error => typeOf(error).is<unknown>(),
  onProgress: ({ done, eta }) => {
    typeOf(done).is<number>();
    typeOf(eta).is<number | undefined>();
  },
});
typeOf(mappedAsync).is<AsyncResult<string[]>>();
typeOf(pool.mapAsync(n => n * 2, [1], { callback: all => all.length })).is<AsyncResult<number[]>>();
typeOf(pool.starmapAsync((n, s) => s + n, names, { callback: all => all[0].trim() })).is<
  AsyncResult<string[]>
>();
// @ts-expect-error what is returned are no strings
pool.mapAsync((n: number) => n, numbers, { callback: (values: string[]) => values });
// @ts-expect-error strings are no numbers
pool.mapAsync((n: number) => n, ['x']);
// @ts-expect-error what is returned are no strings
pool.starmapAsync((n: number) => n, [[1]], { callback: (values: string[]) => values });

// ── broadcast ──

typeOf(pool.broadcast((n: number) => String(n), [1])).is<Promise<string[]>>();
typeOf(pool.broadcast(async () => 1)).is<Promise<number[]>>();
typeOf(pool.broadcast(() => 1, undefined, { timeout: 50 })).is<Promise<number[]>>();
typeOf(pool.broadcast((a, b) => a + b, [1, 2])).is<Promise<number[]>>();
typeOf(pool.broadcast(shuffle, [numbers])).is<Promise<number[][]>>();
typeOf(pool.broadcast<[string], Date>({ module }, ['x'])).is<Promise<Date[]>>();
// @ts-expect-error its argument is missing
pool.broadcast((n: number) => n);
// @ts-expect-error a string is no number
pool.broadcast((n: number) => n, ['x']);

// ── imap ──

for (const imapped of [
  pool.imap(async (n: number) => String(n), [1, 2], { buffer: 4, chunksize: 2 }),
  pool.imapUnordered(n => String(n), numbers),
  pool.imap(line => line, lines()),
  pool.imapUnordered<number, string>({ module }, numbers),
]) {
  typeOf(imapped).is<MappedIterator<string>>();
  const iterator: AsyncIterableIterator<string> = imapped;
  for await (const text of iterator) typeOf(text).is<string>();
  const step = await imapped.next({ timeout: 50, signal: AbortSignal.timeout(50) });
  if (!step.done) typeOf(step.value).is<string>();
}
typeOf(pool.imap(shuffle, [numbers])).is<MappedIterator<number[]>>();
typeOf(pool.imap({ module }, numbers)).is<MappedIterator<unknown>>();
typeOf(pool.imapUnordered(target, numbers)).is<MappedIterator<string>>();
// @ts-expect-error strings are no numbers
pool.imap((n: number) => n, ['x']);
// @ts-expect-error strings are no numbers
pool.imapUnordered((n: number) => n, lines());
// @ts-expect-error items come one by one, without an index
pool.imap((n: number, i: number) => n + i, [1]);
// @ts-expect-error that cannot be iterated over
pool.imapUnordered((n: number) => n, 1);

// ── results ──

const result = pool.run((n: number) => String(n), [1]);
typeOf(result.get({ timeout: 50 })).is<Promise<string>>();
typeOf(result.wait({ signal: AbortSignal.timeout(50) })).is<Promise<boolean>>();
typeOf(result.ready()).is<boolean>();
typeOf(result.successful()).is<boolean>();
typeOf(result.cancel()).is<boolean>();
typeOf(result.then(s => s.length)).is<Promise<number>>();
typeOf(result.catch(() => null)).is<Promise<string | null>>();
typeOf(result.finally(() => {})).is<Promise<string>>();
typeOf(Promise.all([result, pool.run(() => 1)])).is<Promise<[string, number]>>();
if (text instanceof AsyncResult) text.cancel();
export const any: AsyncResult<unknown> = result;
// @ts-expect-error who asks may not settle it
result.give('x');
// @ts-expect-error numbers are no strings
export const other: AsyncResult<number> = result;

// ── the pool itself ──

const context: Context = getContext('spawn');
const options: PoolOptions = {
  size: 2,
  kind: 'thread',
  context,
  initializer: (words: string[], n: number) => words.slice(n),
  initargs: [['pear'], 1],
  finalizer: async () => {},
  maxTasksPerChild: 100,
  maxMemoryPerChild: 2 ** 30,
  maxPending: 1000,
  preload: ['./tasks.mjs', module],
};
new Pool();
new Pool(2);
new Pool(2, options);
new Pool(options);
new Pool({ initializer: async () => {} });
new Pool({ initializer: words => words, initargs: constant });
new Pool({ initializer: { module, export: 'prepare' }, initargs: [1] });
typeOf(new context.Pool(2).run((n: number) => n, [1])).is<AsyncResult<number>>();
// @ts-expect-error no kind of worker
new Pool({ kind: 'fibre' });
// @ts-expect-error neither a function nor a module's
new Pool({ initializer: 'prepare' });
// @ts-expect-error arguments come as an array
new Pool({ initializer: (n: number) => n, initargs: 1 });

// @ts-expect-error a finalizer is given no arguments
new Pool({ finalizer: (n: number) => n });

pool.run((bytes: ArrayBuffer) => bytes, [new ArrayBuffer(8)], {
  priority: -1,
  transfer: [new ArrayBuffer(8)],
});
// @ts-expect-error views are not moved, but what they view
pool.run(() => {}, [], { transfer: [new Uint8Array(8)] });
typeOf(taskSignal()).is<AbortSignal | undefined>();
typeOf(pool.room({ timeout: 50 })).is<Promise<void>>();
typeOf(pool.resize(3)).is<void>();
typeOf(pool.ready({ timeout: 50 })).is<Promise<void>>();
typeOf(pool.close()).is<void>();
typeOf(pool.terminate()).is<Promise<void>>();
typeOf(pool.join({ timeout: 50 })).is<Promise<boolean>>();
typeOf(pool.stats.taskTime.p99).is<number>();
export const workers: readonly (Process | Thread)[] = pool.workers;
export async function scope(): Promise<string> {
  await using scoped = new Pool(1);
  return await scoped.run((n: number) => String(n), [1]);
}
