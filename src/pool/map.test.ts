import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LifecycleError, SerializationError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, warmUp } from './fixtures/carriers.js';
import { double, later, until } from './fixtures/tasks.js';
import type { MappedIterator } from './imap.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

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

for (const { carrier, options } of CARRIERS) {
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

    test('map takes four chunks a worker', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.map(double, range(80));
      assert.equal(pool.stats.completed, 8);
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
        const taken = { number: 0, ended: false };
        const results = pool[method](double, count(taken), { buffer: 5 });
        for (let i = 0; i < 200; i++) {
          const { value } = await results.next();
          if (method === 'imap') assert.equal(value, i * 2);
          assert.ok(taken.number <= i + 1 + 5, `${taken.number} items for ${i + 1} results`);
        }
        await results.return?.();
        assert.equal(taken.ended, true, 'the iterator is told');
      }
    });

    test('endless input runs in bounded memory', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const taken = { number: 0, ended: false };
      let seen = 0;
      for await (const value of pool.imap(double, count(taken), { chunksize: 50 })) {
        assert.equal(value, seen * 2);
        if (++seen === 20_000) break;
        assert.ok(taken.number - seen <= 50 * 8 + 50, `${taken.number} items for ${seen} results`);
      }
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
