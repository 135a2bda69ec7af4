import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LifecycleError, TimeoutError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, forever, warmUp } from './fixtures/carriers.js';
import { Files } from './fixtures/files.js';
import { double, later, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

/** How often to resize at random. */
const RESIZES = process.env.MANYHANDS_RESIZES;

const count = (pool: Pool, size: number) =>
  waitUntil(
    () => pool.workers.length === size,
    () => `${size} workers, of which there are ${pool.workers.length}`,
    20_000,
  );

// A spawned worker takes long to start, and lives as others do: it is tried in the long run only.
for (const { carrier, options } of CARRIERS.filter(
  ({ options }) => options.context?.method !== 'spawn' || RESIZES,
)) {
  describe(`resizing a pool of ${carrier}`, () => {
    test('adds workers at once, and lets idle ones go first', LIMIT, async () => {
      using files = new Files();
      await using pool = new Pool(1, options);
      await pool.ready();
      pool.resize(3);
      assert.equal(pool.size, 3);
      assert.equal(pool.workers.length, 3);
      await pool.ready();
      const before = pool.workers;
      const busy = pool.run(until, [files.path('end'), 'kept']);
      const inTheWay = pool.run(until, [files.path('end'), 'kept, too']);
      await waitUntil(() => pool.stats.busy === 2, 'two to be busy');
      pool.resize(2);
      await count(pool, 2);
      assert.equal(pool.stats.busy, 2);
      pool.resize(1);
      assert.equal(pool.size, 1);
      assert.equal(pool.stats.size, 1);
      assert.equal(pool.workers.length, 2, 'both have something to finish');
      files.make('end');
      assert.deepEqual(await Promise.all([busy, inTheWay]), ['kept', 'kept, too']);
      await count(pool, 1);
      assert.ok(before.includes(pool.workers[0]));
      assert.equal(pool.stats.restarts, 0);
      assert.equal(await pool.run(double, [2]), 4);
    });

    test('up again keeps those that were about to leave', LIMIT, async () => {
      using files = new Files();
      await using pool = new Pool(2, options);
      await pool.ready();
      const all = [1, 2].map(n => pool.run(until, [files.path('end'), n]));
      await waitUntil(() => pool.stats.busy === 2, 'both to be busy');
      const before = pool.workers;
      pool.resize(1);
      pool.resize(2);
      files.make('end');
      await Promise.all(all);
      assert.deepEqual(pool.workers, before);
      assert.equal(new Set(await pool.broadcast(who)).size, 2);
    });

    test('at random loses no task', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const isCheap = options.context?.method === 'forkserver';
      const most = isCheap ? 5 : 3;
      const rounds = Number(RESIZES ?? (isCheap ? 12 : 5));
      for (let round = 0; round < rounds; round++) {
        const size = 1 + Math.floor(Math.random() * most);
        const all = Array.from({ length: 60 }, (_, i) => pool.run(later, [i], { priority: i % 3 }));
        const everywhere = round % 3 === 0 ? pool.broadcast(later, [round]) : Promise.resolve([]);
        for (let turn = 0; turn < round % 7; turn++) await new Promise(resolve => setImmediate(resolve));
        pool.resize(size);
        assert.equal(pool.size, size);
        assert.deepEqual(
          await Promise.all(all),
          all.map((_, i) => i),
        );
        assert.ok((await everywhere).every(value => value === round));
      }
      await pool.ready();
      await count(pool, pool.size);
      assert.equal(pool.stats.restarts, 0);
    });

    test('two broadcasts are made by a worker that is to leave, too', LIMIT, async () => {
      await using pool = new Pool(3, options);
      const both = [pool.broadcast(double, [1]), pool.broadcast(double, [2])];
      pool.resize(1);
      assert.deepEqual(await Promise.all(both), [
        [2, 2, 2],
        [4, 4, 4],
      ]);
      await count(pool, 1);
      assert.deepEqual(await pool.broadcast(double, [3]), [6]);
    });

    test('ready() waits for new workers, and not for those that leave', LIMIT, async () => {
      using files = new Files();
      const hold = (file: string) => until(file, 0);
      await using pool = new Pool({ size: 1, ...options, initializer: hold, initargs: [files.path('up')] });
      files.make('up');
      await pool.ready();
      files.remove('up');
      pool.resize(2);
      await assert.rejects(pool.ready({ timeout: 20 }), TimeoutError);
      const waiting = pool.ready();
      pool.resize(1); // the one that is not up
      await waiting;
      files.make('up');
      await count(pool, 1);
    });

    test('while its initializer fails breaks the pool as ever', LIMIT, async () => {
      using files = new Files();
      const fail = (file: string) =>
        until(file, 0).then(() => {
          throw new RangeError('not today');
        });
      await using pool = new Pool({ size: 1, ...options, initializer: fail, initargs: [files.path('go')] });
      const task = pool.run(double, [1]);
      pool.resize(3);
      pool.resize(2);
      files.make('go');
      await assert.rejects(task, /not today/);
      pool.resize(4);
      await assert.rejects(pool.ready(), /not today/);
      await count(pool, 0);
    });
  });
}

test('resize() wants a size for which there is room, and an open pool', LIMIT, async () => {
  const pool = new Pool(1, { kind: 'thread' });
  for (const size of [0, -1, 1.5, Number.NaN, 257, 1e9, '2' as unknown as number])
    assert.throws(() => pool.resize(size), RangeError, String(size));
  assert.throws(() => pool.resize(257), /room for 256/);
  assert.equal(pool.size, 1);
  const ready = assert.rejects(pool.ready(), LifecycleError);
  await pool.terminate();
  await ready;
  assert.throws(() => pool.resize(2), LifecycleError);
});

test('a pool that went down while all were busy has room for as many again', LIMIT, async () => {
  await using pool = new Pool(4, { kind: 'thread' });
  await pool.ready();
  const all = Array.from({ length: 4 }, () => pool.run(forever));
  await waitUntil(() => pool.stats.busy === 4, 'all to be busy');
  for (let round = 0; round < 300; round++) {
    pool.resize(1);
    pool.resize(4);
  }
  assert.equal(pool.workers.length, 4, 'no more seats than it ever had workers');
  for (const one of all) {
    one.catch(() => {});
    one.cancel();
  }
  assert.equal(await pool.run(double, [4]), 8);
});
