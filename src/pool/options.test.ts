import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { warmUp } from './fixtures/carriers.js';
import { later } from './fixtures/tasks.js';
import { type PoolOptions, poolOptions } from './options.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const WRONG: [option: object, error: typeof TypeError, message: RegExp][] = [
  [{ sizes: 2 }, TypeError, /"sizes".*it takes size, kind, context/],
  [{ size: 0 }, RangeError, /0 workers: give a whole number/],
  [{ size: '2' }, RangeError, /2 workers: give a whole number/],
  [{ size: 1e6 }, RangeError, /from 1 to \d+/],
  [{ kind: 'fiber' }, RangeError, /kind fiber: give 'process' or 'thread'/],
  [{ kind: null }, RangeError, /kind null/],
  [{ context: 'spawn' }, TypeError, /"context": give what getContext\(\) returns/],
  [{ context: { method: 'clone' } }, RangeError, /clone/],
  [{ initializer: 5 }, TypeError, /./],
  [{ finalizer: 'f' }, TypeError, /./],
  [{ initargs: 5 }, TypeError, /"initargs": give an array/],
  [{ maxTasksPerChild: 0 }, RangeError, /"maxTasksPerChild": give a whole number, 1 or more/],
  [{ maxTasksPerChild: 1.5 }, RangeError, /1\.5 as "maxTasksPerChild"/],
  [{ maxTasksPerChild: '9' }, RangeError, /"maxTasksPerChild"/],
  [{ maxPending: -1 }, RangeError, /-1 as "maxPending"/],
  [{ maxPending: Number.NaN }, RangeError, /NaN as "maxPending"/],
  [{ maxMemoryPerChild: 0 }, RangeError, /0 as "maxMemoryPerChild": give bytes/],
  [{ maxMemoryPerChild: '1e9' }, RangeError, /"maxMemoryPerChild": give bytes/],
  [{ preload: 'node:fs' }, TypeError, /preload that: give an array/],
  [{ preload: [5] }, TypeError, /preload that: give an array/],
  [{ preload: ['absent-package'] }, TypeError, /absent-package/],
];

test('what is no option of a pool, or no value of one, is refused by name', () => {
  for (const [options, Class, message] of WRONG)
    for (const make of [
      () => new Pool(options as PoolOptions),
      () => new Pool(1, { ...options } as PoolOptions),
    ])
      assert.throws(make, (error: Error) => {
        assert.ok(error instanceof Class, `${JSON.stringify(options)}: ${error}`);
        assert.match(error.message, message);
        return true;
      });
  for (const size of ['2', null, true])
    assert.throws(() => new Pool(size as unknown as number), { name: 'TypeError', message: /give a size/ });
  for (const more of ['thread', null, 5])
    assert.throws(() => new Pool(1, more as unknown as PoolOptions), {
      name: 'TypeError',
      message: /object/,
    });
});

test('a size may stand before the options or among them; what is undefined is not there', () => {
  assert.deepEqual(poolOptions(), {});
  assert.deepEqual(poolOptions(3), { size: 3 });
  assert.deepEqual(poolOptions({ size: 3 }), { size: 3 });
  assert.deepEqual(poolOptions(3, { kind: 'thread' }), { size: 3, kind: 'thread' });
  assert.equal(poolOptions(3, { size: 4 }).size, 4);
  for (const name of ['initializer', 'maxPending', 'maxTasksPerChild', 'preload', 'kind', 'context'])
    poolOptions({ [name]: undefined });
  poolOptions({ maxPending: Number.POSITIVE_INFINITY, maxTasksPerChild: Number.POSITIVE_INFINITY });
});

test('a task may have all the time in the world', async () => {
  await using pool = new Pool(1, { kind: 'thread' });
  for (const timeout of [Number.POSITIVE_INFINITY, 2 ** 31, 1e12])
    assert.equal(await pool.run(later, [timeout], { timeout }), timeout);
  assert.equal(pool.stats.restarts, 0);
  const slow = (ms: number) => new Promise(resolve => setTimeout(resolve, ms, ms));
  assert.equal(await pool.run(slow, [30], { timeout: Number.POSITIVE_INFINITY }), 30);
});
