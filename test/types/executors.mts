/* What TypeScript makes of executors, futures and pools of threads. See pool.mts. */
import {
  type AsyncResult,
  asCompleted,
  Future,
  Pool,
  ProcessPoolExecutor,
  type Target,
  ThreadPool,
  ThreadPoolExecutor,
  waitFutures,
} from 'manyhands';
import { typeOf } from './type-of.mjs';

declare const executor: ProcessPoolExecutor;
declare const numbers: number[];
declare const target: Target<[number], string>;
declare function lines(): AsyncGenerator<string>;
declare function shuffle<T>(list: T[]): T[];

const module = new URL('file:///tasks.mjs');

// ── submit ──

typeOf(executor.submit((n: number, s: string) => s + n, 1, 'x')).is<Future<string>>();
typeOf(executor.submit(async (n: number) => [n], 1)).is<Future<number[]>>();
typeOf(executor.submit((n: number): number | Promise<string> => n, 1)).is<Future<number | string>>();
typeOf(executor.submit(() => {})).is<Future<void>>();
typeOf(executor.submit((a, b) => a + b, 1, 2)).is<Future<number>>();
typeOf(executor.submit((s, n) => s.repeat(n), 'x', 2)).is<Future<string>>();
typeOf(executor.submit((n: number, s?: string) => s ?? n, 1)).is<Future<string | number>>();
typeOf(executor.submit((n: number, s?: string) => s ?? n, 1, 'x')).is<Future<string | number>>();
typeOf(executor.submit((...all: number[]) => all)).is<Future<number[]>>();
typeOf(executor.submit((...all: number[]) => all, 1, 2)).is<Future<number[]>>();
typeOf(executor.submit((...all: number[]) => all, ...numbers)).is<Future<number[]>>();
typeOf(executor.submit(shuffle, numbers)).is<Future<number[]>>();
typeOf(executor.submit({ module, export: 'count' }, 1, 'x')).is<Future<unknown>>();
typeOf(executor.submit<[string], Date>({ module }, 'x')).is<Future<Date>>();
typeOf(executor.submit(target, 1)).is<Future<string>>();
export function call<A extends readonly unknown[], R>(fn: (...args: A) => R, ...args: A): Future<Awaited<R>> {
  return executor.submit(fn, ...args);
}
export const text: Promise<string> = executor.submit(async () => 'x');

// @ts-expect-error its argument is missing
executor.submit((n: number) => n);
// @ts-expect-error a string is no number
executor.submit((n: number) => n, 'x');
// @ts-expect-error it takes one argument
executor.submit((n: number) => n, 1, 2);
// @ts-expect-error arguments are not given as an array
executor.submit((n: number) => n, [1]);
// @ts-expect-error there may be fewer than it needs, or more
executor.submit((n: number) => n, ...numbers);
// @ts-expect-error the argument that was said is missing
executor.submit<[string], Date>({ module });
// @ts-expect-error neither a function nor a module's
executor.submit('count');

// ── map ──

for (const mapped of [
  executor.map((n: number) => String(n), [1, 2], { timeout: 50, buffersize: 4, chunksize: 2 }),
  executor.map(async n => String(n), new Set(numbers)),
  executor.map<number, string>({ module }, numbers),
]) {
  typeOf(mapped).is<AsyncIterableIterator<string>>();
  for await (const one of mapped) typeOf(one).is<string>();
}
typeOf(executor.map(shuffle, [numbers])).is<AsyncIterableIterator<number[]>>();
typeOf(executor.map(target, numbers)).is<AsyncIterableIterator<string>>();
// @ts-expect-error strings are no numbers
executor.map((n: number) => n, ['x']);
// @ts-expect-error items come one by one, without an index
executor.map((n: number, i: number) => n + i, numbers);
// @ts-expect-error that cannot be iterated over
executor.map((n: number) => n, 1);

// ── futures ──

const future = executor.submit((n: number) => String(n), 1);
typeOf([future.running(), future.done(), future.cancelled(), future.cancel()]).is<boolean[]>();
typeOf(future.exception({ timeout: 50 })).is<Promise<unknown>>();
typeOf(future.get({ timeout: 50 })).is<Promise<string>>();
typeOf(future.wait({ timeout: 50 })).is<Promise<boolean>>();
typeOf(await future).is<string>();
typeOf(future.then(s => s.length)).is<Promise<number>>();
future.addDoneCallback(done => typeOf(done).is<Future<string>>());
export const asked: AsyncResult<string> = future;
export const wider: Future<string | number> = future;
if (text instanceof Future) text.cancelled();
// @ts-expect-error numbers are no strings
export const other: Future<number> = future;
// @ts-expect-error it is called with a future of strings
future.addDoneCallback((done: Future<number>) => done);

// ── many of them: asCompleted() gives futures, not what they come to ──

for await (const one of asCompleted([future, future], { timeout: 50 })) {
  typeOf(one).is<Future<string>>();
  typeOf(await one).is<string>();
}
for await (const one of asCompleted(new Set([new Pool().run(() => 1)])))
  typeOf(one).is<AsyncResult<number>>();
for await (const one of asCompleted([future, executor.submit(() => 1)])) {
  typeOf(one).is<Future<string> | Future<number>>();
  typeOf(await one).is<string | number>();
}
for await (const one of asCompleted<string>([future])) typeOf(await one).is<string>();
export const completed: AsyncIterableIterator<Future<string>> = asCompleted([future]);
// @ts-expect-error plain promises cannot be asked
asCompleted([Promise.resolve(1)]);

const { done, notDone } = await waitFutures([future], { timeout: 50, returnWhen: 'firstError' });
typeOf(done).is<Set<Future<string>>>();
typeOf(notDone).is<Set<Future<string>>>();
const mixed = await waitFutures([future, new Pool().run(() => 1)]);
for (const one of mixed.done) typeOf(await one).is<string | number>();
// @ts-expect-error not one of the three
waitFutures([future], { returnWhen: 'any' });
// @ts-expect-error plain promises cannot be asked
waitFutures([Promise.resolve(1)]);

// ── life ──

typeOf(executor.shutdown({ wait: false, cancelFutures: true })).is<Promise<void>>();
typeOf(executor.terminateWorkers()).is<Promise<void>>();
typeOf(executor.killWorkers()).is<Promise<void>>();
new ProcessPoolExecutor();
new ProcessPoolExecutor({ maxWorkers: 2, initializer: (n: number) => n, initargs: [1] });
const threads = new ThreadPoolExecutor({ maxWorkers: 2 });
typeOf(threads.kind).is<'thread'>();
typeOf(threads.submit((n: number) => n, 1)).is<Future<number>>();
export const base: ProcessPoolExecutor = threads;
export async function scope(): Promise<string> {
  await using scoped = new ThreadPoolExecutor();
  return await scoped.submit(async () => 'x');
}

const pool = new ThreadPool(2, { maxPending: 8 });
typeOf(pool.run((n: number) => String(n), [1])).is<AsyncResult<string>>();
typeOf(pool.map(line => line.length, lines())).is<AsyncResult<number[]>>();
export const any: Pool = pool;
// @ts-expect-error its argument is missing
pool.run((n: number) => n);
