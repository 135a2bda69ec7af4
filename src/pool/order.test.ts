import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CancelledError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, forever, warmUp } from './fixtures/carriers.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
/** Tasks on the board at a time. */
const SLOTS = 2048;

/** What a worker has run, in order. */
const note = (...args: unknown[]) => {
  const state = globalThis as { manyhandsTestOrder?: unknown[] };
  state.manyhandsTestOrder ??= [];
  state.manyhandsTestOrder.push(args[0]);
  return args[0];
};
const noted = () => {
  const state = globalThis as { manyhandsTestOrder?: unknown[] };
  const order = state.manyhandsTestOrder ?? [];
  state.manyhandsTestOrder = [];
  return order;
};

/** Its only worker is busy until this is called, and is replaced then. */
async function blocked(pool: Pool): Promise<() => Promise<void>> {
  const gate = pool.run(forever);
  await waitUntil(() => pool.stats.busy === 1, 'the gate to be closed');
  return () => {
    gate.cancel();
    return assert.rejects(gate, CancelledError);
  };
}

const sorted = (given: { id: number; priority: number }[]) =>
  [...given].sort((a, b) => a.priority - b.priority || a.id - b.id).map(({ id }) => id);

// How its processes start makes no difference here.
for (const { carrier, options } of CARRIERS.filter(({ options }) => options.context?.method !== 'spawn')) {
  describe(`tasks of a pool of ${carrier}`, () => {
    test('run by priority, those of equal priority as they were given', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const priorities = [0, -0, 5, -5, 0.5, -0.5, 1e-9, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      const open = await blocked(pool);
      const given = Array.from({ length: 90 }, (_, id) => ({
        id,
        priority: priorities[(id * 7) % priorities.length],
      }));
      const all = given.map(({ id, priority }) => pool.run(note, [id], { priority }));
      await open();
      await Promise.all(all);
      // Those of both infinities are equal among themselves, which subtracting them does not tell.
      const order = sorted(
        given.map(it => ({ ...it, priority: Math.max(-1e300, Math.min(1e300, it.priority)) })),
      );
      assert.deepEqual(await pool.run(noted), order);
      await assert.rejects(pool.run(note, [1], { priority: Number.NaN }), RangeError);
      await assert.rejects(pool.run(note, [1], { priority: '1' as unknown as number }), RangeError);
    });

    test('more than the board holds, given at random over many turns, run in order', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const open = await blocked(pool);
      const given = Array.from({ length: SLOTS * 2 }, (_, id) => ({
        id,
        priority: id < SLOTS + 100 ? 3 : Math.floor(Math.random() * 7), // at first the board is filled
      }));
      const all: Promise<unknown>[] = [];
      const gone = new Set<number>();
      for (const { id, priority } of given) {
        const task = pool.run(note, [id, 'x'.repeat((id % 40) * 20)], { priority }); // in the slot, or in a block
        if (id % 10 === 3) {
          gone.add(id);
          assert.equal(task.cancel(), true);
          all.push(assert.rejects(task, CancelledError));
        } else all.push(task.then(value => assert.equal(value, id)));
        if (id % 100 === 0) await turn();
      }
      await open();
      await Promise.all(all);
      assert.deepEqual(await pool.run(noted), sorted(given.filter(({ id }) => !gone.has(id))));
      assert.equal(pool.stats.failed, gone.size + 1);
    });

    test('a more urgent one overtakes ten thousand that wait', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const open = await blocked(pool);
      const all = Array.from({ length: 10_000 }, (_, id) => pool.run(note, [id]));
      await turn();
      const urgent = [-1, -2, -3].map(priority => pool.run(note, [priority], { priority }));
      const last = pool.run(note, ['last'], { priority: 1 });
      await open();
      await Promise.all(urgent);
      await Promise.all([...all, last]);
      const order = await pool.run(noted);
      assert.deepEqual(order.slice(0, 5), [-3, -2, -1, 0, 1]);
      assert.deepEqual(order.slice(-2), [9999, 'last']);
    });

    test('a map has one priority for all of its chunks', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const open = await blocked(pool);
      // As many as a map gives ahead of what it knows of their cost.
      const later = pool.map(note, [1, 2], { chunksize: 1, priority: 2 });
      const sooner = pool.map(note, [3, 4], { chunksize: 1, priority: 1 });
      await turn();
      await open();
      await Promise.all([later, sooner]);
      assert.deepEqual(await pool.run(noted), [3, 4, 1, 2]);
    });

    test('one that is run again keeps its place, and what waits its own', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const open = await blocked(pool);
      const file = path.join(tmpdir(), 'died once');
      const dieOnce = () => {
        if (existsSync(file)) return 'again';
        writeFileSync(file, '');
        process.exit(3);
      };
      const before = pool.run(note, ['before'], { priority: 1 });
      const mortal = pool.run(dieOnce, [], { priority: 2, retries: 1 });
      const all = Array.from({ length: 300 }, (_, id) => pool.run(note, [id], { priority: 2 }));
      const urgent = Array.from({ length: 3 }, (_, id) => pool.run(note, [-id], { priority: 1 }));
      await turn();
      await open();
      const settled: unknown[] = [];
      for (const [name, one] of Object.entries({ before, mortal, first: all[0], last: all[299] }))
        void one.then(() => settled.push(name));
      assert.equal(await mortal, 'again');
      await Promise.all([...all, ...urgent]);
      await turn();
      assert.deepEqual(settled, ['before', 'mortal', 'first', 'last']);
      assert.deepEqual(
        await pool.run(noted),
        all.map((_, id) => id),
      );
      rmSync(file);
    });
  });
}

test('a board full of what was called off, with one that waits before it, takes more', LIMIT, async () => {
  await using pool = new Pool(1, { kind: 'thread' });
  const open = await blocked(pool);
  const first = pool.run(note, ['first']);
  for (let round = 0; round < 4; round++) {
    const gone = Array.from({ length: SLOTS - 10 }, () => pool.run(note, ['never']));
    for (const one of gone) {
      assert.equal(one.cancel(), true);
      one.catch(() => {});
    }
    await turn();
  }
  const rest = Array.from({ length: 5000 }, (_, id) => pool.run(note, [id]));
  const urgent = pool.run(note, ['urgent'], { priority: -1 });
  await open();
  await Promise.all([first, urgent, ...rest]);
  assert.deepEqual(await pool.run(noted), ['urgent', 'first', ...rest.map((_, id) => id)]);
});

test(
  'tasks run again by many workers that die are lost by nobody, be the board full or not',
  LIMIT,
  async () => {
    await using pool = new Pool(2, { kind: 'thread' });
    const die = (n: number) => {
      const state = globalThis as { manyhandsTestLives?: number };
      state.manyhandsTestLives = (state.manyhandsTestLives ?? 0) + 1;
      if (n % 700 === 699 && state.manyhandsTestLives > 1) process.exit(1); // it is not its worker's first task
      return n;
    };
    const all = Array.from({ length: 6000 }, (_, n) => pool.run(die, [n], { retries: 100, priority: n % 3 }));
    for (const [n, one] of all.entries()) assert.equal(await one, n);
    assert.ok(pool.stats.restarts > 0);
  },
);
