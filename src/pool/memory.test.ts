import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Process } from '../process/process.js';
import { Thread } from '../process/thread.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { warmUp } from './fixtures/carriers.js';
import { MemoryLimit } from './memory.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const MIB = 2 ** 20;
const modules = {
  memory: path.join(__dirname, 'memory.js'),
  commons: path.join(__dirname, '..', 'memory', 'commons.js'),
  allocator: path.join(__dirname, '..', 'memory', 'allocator.js'),
};

/** By how much it grows with each of these, MiB. */
function growth(kind: 'process' | 'thread', { memory, commons, allocator }: typeof modules): number[] {
  const { residentMemory } = require(memory) as typeof import('./memory.js');
  const { view } = require(commons) as typeof import('../memory/commons.js');
  const { allocate, free, offsetOf } = require(allocator) as typeof import('../memory/allocator.js');
  const kept: unknown[] = [];
  const of = (act: () => unknown) => {
    const before = residentMemory(kind);
    kept.push(act());
    return (residentMemory(kind) - before) / 2 ** 20;
  };
  const seen = of(() => {
    const handle = allocate(20 << 20);
    const first = view(offsetOf(handle), 20 << 20)[0];
    free(handle);
    return first;
  });
  return [
    of(() => Buffer.alloc(32 << 20, 1)),
    of(() => Array.from({ length: 1 << 20 }, (_, i) => ({ i }))),
    seen,
    residentMemory(kind) / 2 ** 20,
  ];
}

for (const [kind, Carrier] of [
  ['process', Process],
  ['thread', Thread],
] as const)
  test(`a ${kind} takes what it allocates, and not what it only sees of the commons`, LIMIT, async () => {
    const here = Buffer.alloc(200 * MIB, 1); // of no concern to a worker
    const carrier = new Carrier({ target: growth, args: [kind, modules] }).start();
    const [buffer, objects, seen, all] = await carrier.result();
    await carrier.join();
    const told = `${[buffer, objects, seen, all]} MiB beside ${here.length / MIB}`;
    assert.ok(buffer >= 20 && buffer < 60, told); // 32, and what V8 takes or gives back meanwhile
    assert.ok(objects >= 25 && objects < 150, told);
    assert.ok(Math.abs(seen) < 10, told);
    assert.ok(all > buffer + objects && all < 300, told);
  });

test(
  'a thread that has grown too large is replaced; what others of its process have does not count',
  LIMIT,
  async () => {
    const here = Buffer.alloc(200 * MIB, 1);
    await using pool = new Pool(1, { kind: 'thread', maxMemoryPerChild: 100 * MIB });
    const keep = (bytes: number) => {
      const state = globalThis as { manyhandsTestKept?: Buffer[] };
      state.manyhandsTestKept ??= [];
      // Filled, it is no quick task, after which nobody might look.
      if (bytes > 0) state.manyhandsTestKept.push(Buffer.alloc(bytes, 1));
      return [require('node:worker_threads').threadId as number, state.manyhandsTestKept.length];
    };
    const [first] = await pool.run(keep, [0]);
    for (let i = 0; i < 20; i++) assert.deepEqual(await pool.run(keep, [0]), [first, 0], `${here.length}`);
    assert.deepEqual(await pool.run(keep, [150 * MIB]), [first, 1]);
    const [next, kept] = await pool.run(keep, [0]);
    assert.notEqual(next, first);
    assert.equal(kept, 0);
    assert.equal(pool.stats.restarts, 0, 'nobody died');
  },
);

test('after quick tasks it is seldom looked, yet always before the worker sleeps', () => {
  let looks = 0;
  const { rss } = process.memoryUsage;
  process.memoryUsage.rss = () => {
    looks++;
    return looks < 3 ? 10 : 11;
  };
  try {
    const memory = new MemoryLimit('process', 10);
    assert.equal(memory.isPassedUnseen(), false); // nothing has run
    assert.equal(looks, 0);
    for (let time = 100; time < 105; time++) assert.equal(memory.isPassed(time), false);
    assert.equal(looks, 1);
    assert.equal(memory.isPassed(105), false);
    assert.equal(memory.isPassedUnseen(), false); // was looked after the last
    assert.equal(looks, 2);
    assert.equal(memory.isPassed(106), false);
    assert.equal(memory.isPassedUnseen(), true);
    assert.equal(memory.isPassed(111), true);
  } finally {
    process.memoryUsage.rss = rss;
  }
});
