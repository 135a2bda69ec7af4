import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import {
  CancelledError,
  LifecycleError,
  SerializationError,
  TimeoutError,
  WorkerDiedError,
} from '../errors/errors.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { QUICK_CARRIERS, warmUp } from './fixtures/carriers.js';
import { double, later, until } from './fixtures/tasks.js';
import type { MappedIterator } from './imap.js';
import type { MapProgress } from './map.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

/** Items that an iteration without end goes on for. */
const ENDLESS = Number(process.env.MANYHANDS_ENDLESS ?? 40_000);

const range = (length: number) => Array.from({ length }, (_, i) => i);

function* count(taken: { number: number; ended: boolean }, end = Number.POSITIVE_INFINITY) {
  try {
    for (let i = 0; i < end; i++) {
      taken.number = i + 1;
      yield i;
    }
  } finally {
    taken.ended = true;
  }
}

async function* countLater(end: number) {
  for (let i = 0; i < end; i++) {
    await null;
    yield i;
  }
}

async function* countPairsLater(end: number) {
  for (let i = 0; i < end; i++) yield [i, i] as number[];
}

/** Gives so many numbers, and then keeps its caller waiting. */
class Stalling implements AsyncIterable<number>, AsyncIterator<number> {
  readonly stalled: Promise<void>;
  returns = 0;
  #stall = () => {};
  #given = 0;

  constructor(private readonly numbers: number) {
    this.stalled = new Promise(resolve => {
      this.#stall = resolve;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<number>> {
    if (this.#given < this.numbers) return { done: false, value: this.#given++ };
    this.#stall();
    return new Promise(() => {});
  }

  return(): Promise<IteratorResult<number>> {
    this.returns++;
    return new Promise(() => {});
  }
}

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: unknown) => controller.abort(reason) };
}

async function heapUsed(): Promise<number> {
  await collect();
  return process.memoryUsage().heapUsed;
}

const refuseSeven = (n: number) => {
  if (n % 10 === 7) throw new RangeError(`not ${n}`);
  return n * 2;
};

/** What an iteration gives, errors by their messages in their places. */
async function drain(iterator: MappedIterator<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for (;;) {
    try {
      const { done, value } = await iterator.next();
      if (done) return all;
      all.push(value);
    } catch (error) {
      all.push((error as Error).message);
    }
  }
}

for (const { carrier, options } of QUICK_CARRIERS) {
  describe(`a pool of ${carrier}`, () => {
    test('maps in order, in chunks of any size, from any iterable', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const expected = range(1000).map(i => i * 2);
      for (const chunksize of [1, 7, 1000, 5000])
        assert.deepEqual(await pool.map(double, range(1000), { chunksize }), expected);
      assert.deepEqual(await pool.map(double, new Set(range(1000))), expected);
      assert.deepEqual(await pool.map(double, countLater(1000)), expected);
      assert.deepEqual(await pool.map(later, ['a', undefined, null]), ['a', undefined, null]);
      assert.deepEqual(await pool.map(double, []), []);
      assert.deepEqual(await pool.map(double, countLater(0)), []);
    });

    test(
      'map gives items that take long one by one, others by the hundred, and with a time-out one by one',
      LIMIT,
      async () => {
        await using pool = new Pool(2, options);
        const slowly = async (n: number) => {
          await new Promise(resolve => setTimeout(resolve, 7));
          return n;
        };
        const chunks = async (map: PromiseLike<unknown>) => {
          const before = pool.stats.completed;
          await map;
          return pool.stats.completed - before;
        };
        assert.equal(await chunks(pool.map(slowly, range(10))), 10);
        const quick = await chunks(pool.map(double, range(5000)));
        assert.ok(quick < 500, `${quick} chunks`);
        assert.equal(await chunks(pool.map(double, range(50), { timeout: 20_000 })), 50);
      },
    );

    test(
      'map takes from endless input only as fast as tasks end, and no more once it is cancelled',
      LIMIT,
      async () => {
        await using pool = new Pool(2, { ...options, maxPending: 4 });
        const taken = { number: 0, ended: false };
        const failures: string[] = [];
        const map = pool.map(double, count(taken), {
          chunksize: 2,
          onProgress: ({ done, total }) => {
            // Of the eight that may be outstanding, none may have been counted yet though they are done.
            if (taken.number > done + 2 * 4 * 2 || total !== undefined)
              failures.push(`${taken.number}, ${done}`);
            if (done > 2000) map.cancel();
          },
        });
        await assert.rejects(map, CancelledError);
        assert.deepEqual(failures, []);
        assert.deepEqual([taken.ended, pool.stats.pending, map.cancel()], [true, 0, false]);
        assert.equal(await pool.run(double, [1]), 2);
      },
    );

    test('map tells how far it is, also of input whose end is not known before', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const inputs = {
        array: range(30),
        set: new Set(range(30)),
        generator: count({ number: 0, ended: false }, 30),
      };
      for (const [kind, input] of Object.entries({
        ...inputs,
        later: countLater(30),
        typed: Uint8Array.from(range(30)),
      })) {
        const seen: MapProgress[] = [];
        const onProgress = (progress: MapProgress) => seen.push(progress);
        await assert.rejects(pool.map(refuseSeven, input, { chunksize: 5, onProgress }), {
          message: 'not 7',
        });
        const { done, failed, total, eta } = seen.at(-1) as MapProgress;
        assert.deepEqual({ done, failed, total, eta }, { done: 30, failed: 3, total: 30, eta: 0 }, kind);
        assert.equal(seen[0]?.total, kind === 'generator' || kind === 'later' ? undefined : 30, kind);
        assert.ok(seen.every(({ rate, elapsed }, i) => rate > 0 && elapsed >= (seen[i - 1]?.elapsed ?? 0)));
        assert.equal(seen.filter(progress => progress.done === progress.total).length, 1);
      }
      let end = () => {};
      const ended = new Promise<void>(resolve => {
        end = resolve;
      });
      const endsLate = async function* () {
        yield* [1, 2];
        await ended;
      };
      const steps: unknown[] = [];
      const onProgress = ({ done, total }: MapProgress) => {
        steps.push([done, total]);
        if (done === 2) end();
      };
      assert.deepEqual(await pool.map(double, endsLate(), { chunksize: 1, onProgress }), [2, 4]);
      assert.deepEqual(steps, [
        [1, undefined],
        [2, undefined],
        [2, 2],
      ]);
      let calls = 0;
      assert.deepEqual(await drain(pool.imap(double, range(3), { onProgress: () => calls++ })), [0, 2, 4]);
      assert.equal(calls, 3);
    });

    test(
      'map over async items that keep it waiting can be called off, and ends when its pool closes',
      LIMIT,
      async () => {
        for (const [way, error] of [
          ['cancel', CancelledError],
          ['abort', { message: 'enough' }],
          ['terminate', CancelledError],
          ['close', LifecycleError],
        ] as const) {
          await using pool = new Pool(2, options);
          const input = new Stalling(3);
          const { signal, abort } = abortable();
          const map = pool.map(double, input, { signal });
          map.catch(() => {}); // it may come before it is waited for below
          await input.stalled;
          if (way === 'cancel') assert.equal(map.cancel(), true);
          else if (way === 'abort') abort(new Error('enough'));
          else await Promise.all([pool[way](), pool.join()]);
          await assert.rejects(map, error, way);
          assert.equal(input.returns, 1, way);
        }
      },
    );

    test('a map of what is there is done to its end though the pool is closed', LIMIT, async () => {
      const pool = new Pool(2, { ...options, maxPending: 2 });
      const taken = { number: 0, ended: false };
      const maps = [
        pool.map(later, range(50), { chunksize: 1 }),
        pool.map(later, count(taken, 50), { chunksize: 1 }),
      ];
      pool.close();
      assert.ok(taken.number < 50);
      await pool.join();
      assert.deepEqual(await Promise.all(maps), [range(50), range(50)]);
    });

    test('a map of many items is called off with all its chunks', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.join(tmpdir(), 'called-off');
      const { signal, abort } = abortable();
      const map = pool.map((i: number) => until(file, i), range(100), { signal });
      await waitUntil(() => pool.stats.busy === 1, 'the first to run');
      abort(new Error('enough'));
      await assert.rejects(map, { message: 'enough' });
      assert.deepEqual([pool.stats.pending, pool.stats.busy], [0, 0]);
      assert.ok(pool.stats.failed <= 2);
      await assert.rejects(pool.map(double, [1], { signal }), { message: 'enough' });
    });

    test('map moves buffers, as all items have been given', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const arrays = [1, 2, 3].map(length => new Uint8Array(length));
      const map = pool.map((bytes: Uint8Array) => bytes.length, arrays, {
        chunksize: 1,
        transfer: arrays.map(({ buffer }) => buffer as ArrayBuffer),
      });
      assert.deepEqual(await map, [1, 2, 3]);
      assert.deepEqual(
        arrays.map(({ length }) => length),
        [0, 0, 0],
      );
    });

    test('starmap spreads arrays, and says of what is none that it is not', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const sum = (...terms: number[]) => terms.reduce((a, b) => a + b, 0);
      assert.deepEqual(await pool.starmap(sum, [[], [1], [1, 2, 3]]), [0, 1, 6]);
      assert.deepEqual(await pool.starmapAsync(sum, countPairsLater(2)), [0, 2]);
      for (const item of [3, null, 'abc', { length: 1 }])
        await assert.rejects(pool.starmap(sum, [[1], item as unknown as number[]]), {
          name: 'TypeError',
          message: /give starmap\(\) an array for each item/,
        });
    });

    test('map rejects with the first error in order once all has settled', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const slowly = async (n: number) => {
        if (n === 3) await new Promise(resolve => setTimeout(resolve, 20));
        if (n === 3 || n === 5) throw new RangeError(`not ${n}`);
        return n;
      };
      await assert.rejects(pool.map(slowly, range(20), { chunksize: 1 }), { message: 'not 3' });
      assert.deepEqual([pool.stats.pending, pool.stats.completed, pool.stats.failed], [0, 18, 2]);
    });

    test('map rejects with the error of its iterator, and the pool is usable', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const broken = new RangeError('no more');
      const bad = function* () {
        yield 1;
        throw broken;
      };
      const badLater = async function* () {
        yield 1;
        throw broken;
      };
      await assert.rejects(pool.map(double, bad()), broken);
      await assert.rejects(pool.map(double, badLater()), broken);
      await assert.rejects(pool.map(later, [1, new WeakMap()]), SerializationError);
      assert.throws(() => pool.map(double, 5 as unknown as number[]), TypeError);
      const unable = { [Symbol.iterator]: () => assert.fail(broken) };
      await assert.rejects(pool.map(double, unable), broken);
      assert.deepEqual(await drain(pool.imap(double, unable)), ['no more']);
      assert.deepEqual(await pool.map(double, [1]), [2]);
    });

    test('map runs the chunks again whose worker died, if told', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const file = path.join(tmpdir(), 'map-died');
      const dieOnce = (i: number) => {
        const { existsSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
        if (i === 50 && !existsSync(file)) {
          writeFileSync(file, '');
          process.exit(1);
        }
        return i;
      };
      assert.deepEqual(await pool.map(dieOnce, range(100), { retries: 1 }), range(100));
      rmSync(file);
      await assert.rejects(pool.map(dieOnce, range(100)), WorkerDiedError);
      rmSync(file);
    });

    test('imap gives results in order, with errors in their places, and goes on', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const expected = range(100).map(i => (i % 10 === 7 ? `not ${i}` : i * 2));
      assert.deepEqual(await drain(pool.imap(refuseSeven, range(100))), expected);
      assert.deepEqual(await drain(pool.imap(refuseSeven, countLater(100), { buffer: 1 })), expected);
      assert.deepEqual(
        await drain(pool.imap(double, range(100), { chunksize: 8 })),
        range(100).map(i => i * 2),
      );
      assert.deepEqual(await drain(pool.imap(double, [])), []);
    });

    test('imap has an error in the place of each item of a chunk, whatever it is', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const expected = range(40).map(i => (i % 10 === 7 ? `not ${i}` : i * 2));
      assert.deepEqual(await drain(pool.imap(refuseSeven, range(40), { chunksize: 8 })), expected);
      const unordered = await drain(pool.imapUnordered(refuseSeven, range(40), { chunksize: 8 }));
      assert.deepEqual(new Set(unordered), new Set(expected));
      const strange = range(8).map(i => (i === 5 ? new WeakMap() : i));
      const seen = await drain(pool.imap(later, strange, { chunksize: 8 }));
      assert.match(String(seen.splice(5, 1)), /args\[0\]/);
      assert.deepEqual(seen, [0, 1, 2, 3, 4, 6, 7]);
      const exit = (i: number) => (i === 3 ? process.exit(1) : i);
      const ends = await drain(pool.imap(exit, range(6), { chunksize: 2 }));
      assert.deepEqual([ends.length, ends.slice(0, 2), ends.slice(4)], [6, [0, 1], [4, 5]]);
      assert.ok(
        ends.slice(2, 4).every(message => /ended|exit/.test(String(message))),
        String(ends),
      );
      const unable = new WeakMap();
      assert.equal((await drain(pool.imap(() => unable, count({ number: 0, ended: false })))).length, 1);
    });

    test('imap gives the results that are there while it waits for the next item', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const input = new Stalling(5);
      const results = pool.imap(double, input, { chunksize: 3 });
      for (let i = 0; i < 5; i++) assert.equal((await results.next()).value, i * 2);
      const last = results.next();
      await input.stalled;
      assert.deepEqual(await results.return(), { done: true, value: undefined });
      assert.deepEqual(await last, { done: true, value: undefined });
      await results[Symbol.asyncDispose]();
      assert.equal(input.returns, 1);
      const reason = new Error('enough');
      await assert.rejects(pool.imap(double, range(3)).throw(reason), reason);
    });

    test('imap that is aborted has the reason for its error, and ends', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const { signal, abort } = abortable();
      const taken = { number: 0, ended: false };
      const results = pool.imap(double, count(taken), { signal });
      assert.equal((await results.next()).value, 0);
      abort(new Error('enough'));
      const rest = await drain(results);
      assert.deepEqual([rest.at(-1), taken.ended], ['enough', true]);
      assert.deepEqual(await drain(pool.imap(double, range(5), { signal })), ['enough']);
    });

    test('imap gives what came before its iterator threw, then its error, then ends', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const bad = function* () {
        yield* range(5);
        throw new RangeError('no more');
      };
      const expected = [...range(5).map(i => i * 2), 'no more'];
      assert.deepEqual(await drain(pool.imap(double, bad())), expected);
      assert.deepEqual(await drain(pool.imap(double, bad(), { chunksize: 3 })), expected);
      assert.deepEqual(new Set(await drain(pool.imapUnordered(double, bad()))), new Set(expected));
    });

    test('imap takes no more than "buffer" ahead of who takes results', LIMIT, async () => {
      await using pool = new Pool(2, options);
      for (const method of ['imap', 'imapUnordered'] as const) {
        for (const chunksize of [1, 2, 8]) {
          const taken = { number: 0, ended: false };
          const results = pool[method](double, count(taken), { buffer: 5, chunksize });
          for (let i = 0; i < 100; i++) {
            const { value } = await results.next();
            if (method === 'imap') assert.equal(value, i * 2);
            assert.ok(taken.number <= i + 1 + 5, `${taken.number} items for ${i + 1} results`);
          }
          await results.return?.();
          assert.equal(taken.ended, true, 'the iterator is told');
        }
      }
    });

    test('endless input runs in bounded memory', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const taken = { number: 0, ended: false };
      let seen = 0;
      let heap = 0;
      for await (const value of pool.imap(double, count(taken), { chunksize: 25 })) {
        if (value !== seen * 2) assert.fail(`${value} in place ${seen}`);
        if (taken.number - ++seen > 25 * 8) assert.fail(`${taken.number} items for ${seen} results`);
        if (seen === ENDLESS / 4) heap = await heapUsed();
        if (seen === ENDLESS) break;
      }
      const growth = (await heapUsed()) - heap;
      assert.ok(growth < 3 * 2 ** 20, `${growth} bytes more`);
      assert.equal(taken.ended, true);
    });

    test('return() calls off what waits and lets what runs end', LIMIT, async () => {
      await using pool = new Pool(1, options);
      await pool.ready();
      const file = path.join(tmpdir(), 'returned');
      const results = pool.imap((i: number) => (i === 0 ? until(file, i) : i), range(100), { buffer: 10 });
      await waitUntil(() => pool.stats.busy === 1, 'the first to run');
      const next = results.next();
      await results.return?.();
      assert.deepEqual(await next, { done: true, value: undefined });
      assert.deepEqual(await results.next(), { done: true, value: undefined });
      assert.equal(pool.stats.pending, 0);
      writeFileSync(file, '');
      assert.equal(await pool.run(double, [1]), 2);
      rmSync(file);
      assert.deepEqual([pool.stats.restarts, pool.stats.failed, pool.stats.completed], [0, 9, 2]);
    });

    test('next({ timeout }) loses no result', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const file = path.join(tmpdir(), 'late');
      const results = pool.imap((i: number) => (i === 0 ? until(file, i) : i), range(3));
      await assert.rejects(results.next({ timeout: 5 }), TimeoutError);
      await assert.rejects(results.next({ timeout: 0 }), TimeoutError);
      const reason = new Error('enough');
      await assert.rejects(results.next({ signal: AbortSignal.abort(reason) }), reason);
      writeFileSync(file, '');
      assert.deepEqual(await drain(results), [0, 1, 2]);
      rmSync(file);
    });

    test('next() calls that overlap are answered in their order', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const results = pool.imap(double, range(5));
      const steps = await Promise.all(range(7).map(() => results.next()));
      assert.deepEqual(
        steps.map(({ value }) => value),
        [0, 2, 4, 6, 8, undefined, undefined],
      );
    });

    test('imapUnordered gives each result as soon as it is there', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const file = path.join(tmpdir(), 'unordered');
      const results = pool.imapUnordered((i: number) => (i === 0 ? until(file, i) : i), range(50));
      const first: unknown[] = [];
      for (let i = 0; i < 49; i++) first.push((await results.next()).value);
      assert.deepEqual(
        first.sort((a, b) => Number(a) - Number(b)),
        range(50).slice(1),
      );
      writeFileSync(file, '');
      assert.deepEqual(await drain(results), [0]);
      rmSync(file);
      const all = await drain(pool.imapUnordered(refuseSeven, range(100), { chunksize: 1 }));
      assert.deepEqual(new Set(all), new Set(range(100).map(i => (i % 10 === 7 ? `not ${i}` : i * 2))));
    });

    test('an iteration ends with an error when its pool is closed under it', LIMIT, async () => {
      const pool = new Pool(1, options);
      const taken = { number: 0, ended: false };
      const results = pool.imap(double, count(taken), { buffer: 2 });
      assert.equal((await results.next()).value, 0);
      pool.close();
      const rest = await drain(results);
      assert.match(String(rest.at(-1)), /the pool is closed/);
      assert.equal(taken.ended, true);
      assert.throws(() => pool.imap(double, []), LifecycleError);
      assert.throws(() => pool.map(double, []), LifecycleError);
      await pool.join();
    });
  });
}
