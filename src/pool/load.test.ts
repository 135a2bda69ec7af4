import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CancelledError, LifecycleError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, forever, spin, warmUp } from './fixtures/carriers.js';
import { Files } from './fixtures/files.js';
import { double, later, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };
/** How many tasks a producer gives that waits for room. */
const PRODUCED = Number(process.env.MANYHANDS_PRODUCED ?? 2000);

const busy = (pool: Pool, count: number) =>
  waitUntil(() => pool.stats.busy === count, `${count} tasks to run`, 20_000);

// How its processes start makes no difference here.
for (const { carrier, options } of CARRIERS.filter(({ options }) => options.context?.method !== 'spawn')) {
  describe(`a pool of ${carrier}`, () => {
    test('broadcasts to each worker once, in their order, be it busy or not up yet', LIMIT, async () => {
      using files = new Files();
      await using pool = new Pool(2, options);
      const [first, second] = await pool.broadcast(who); // they start yet
      assert.notEqual(first, second);
      const long = pool.run(until, [files.path('end'), 'end']);
      await busy(pool, 1);
      const all = pool.broadcast(who);
      const waiting = Array.from({ length: 3000 }, (_, n) => pool.run(later, [n])); // no slot is left
      const more = pool.broadcast(later, ['again']);
      await Promise.all(waiting);
      files.make('end');
      assert.deepEqual(await all, [first, second]);
      assert.deepEqual(await more, ['again', 'again']);
      assert.equal(await long, 'end');
    });

    test('broadcasts a hundred times among tasks', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const all: Promise<unknown>[] = [];
      for (let n = 0; n < 100; n++) {
        all.push(pool.broadcast(later, [n]).then(values => assert.deepEqual(values, [n, n])));
        for (let i = 0; i < 5; i++) all.push(pool.run(double, [i]));
        if (n % 9 === 0) await turn();
      }
      await Promise.all(all);
      assert.equal(pool.stats.completed, 100 * 2 + 100 * 5);
    });

    test('a broadcast rejects with the first error, once all calls are over', LIMIT, async () => {
      using files = new Files();
      await using pool = new Pool(2, options);
      const names = await pool.broadcast(who);
      const unequal = async (firstOne: string, file: string) => {
        if (who() === firstOne) throw new RangeError('the first');
        return until(file, 0);
      };
      const failing = pool.broadcast(unequal, [names[0], files.path('end')]);
      let settled = false;
      failing
        .catch(() => {})
        .then(() => {
          settled = true;
        });
      await waitUntil(() => pool.stats.failed === 1, 'one call to fail');
      await turn();
      assert.equal(settled, false);
      files.make('end');
      await assert.rejects(failing, /the first/);
      assert.deepEqual(await pool.broadcast(who), names);

      await assert.rejects(pool.broadcast(forever, [], { timeout: 20 }), TimeoutError);
      const aborted = new AbortController();
      const called = pool.broadcast(forever, [], { signal: aborted.signal });
      await busy(pool, 2);
      aborted.abort('no more');
      await assert.rejects(called, reason => reason === 'no more');
    });

    test(
      'the successor of a worker that dies before its broadcast makes the call; one that dies under it fails it',
      LIMIT,
      async () => {
        await using pool = new Pool(2, options);
        const before = await pool.broadcast(who);
        const doomed = pool.run(spin);
        await busy(pool, 1);
        const all = pool.broadcast(who);
        doomed.cancel();
        await assert.rejects(doomed, CancelledError);
        assert.equal(new Set([...before, ...(await all)]).size, 3);
        await assert.rejects(
          pool.broadcast(() => process.exit(4)),
          WorkerDiedError,
        );
        const retried = pool.broadcast(
          (old: string[]) => (old.includes(who()) ? process.exit(4) : who()),
          [await pool.broadcast(who)],
          { retries: 1 },
        );
        assert.equal(new Set(await retried).size, 2);
      },
    );

    test('the news of a quick task does not wait for the long one after it', LIMIT, async () => {
      using files = new Files();
      await using pool = new Pool(1, options);
      const blockUntil = (file: string) => {
        const { existsSync } = require('node:fs') as typeof import('node:fs');
        while (!existsSync(file));
      };
      files.make('end');
      for (let i = 0; i < 200; i++) await Promise.all([pool.run(double, [i]), pool.run(double, [i])]);
      await pool.run(blockUntil, [files.path('end')]); // takes no time
      files.remove('end');
      const long = pool.run(blockUntil, [files.path('end')]);
      setTimeout(() => files.make('end'), 50);
      await long; // so it may be that again
      files.remove('end');
      const quick = pool.run(double, [1]);
      const after = pool.run(blockUntil, [files.path('end')]);
      assert.equal(await quick, 2); // or for ever
      files.make('end');
      await after;
    });

    test('short tasks wait for long ones as long as all workers have one, and no longer', LIMIT, async () => {
      using files = new Files();
      for (const workers of [2, 3]) {
        await using pool = new Pool(workers, options);
        const long = [0, 1].map(n => pool.run(until, [files.path(`end ${workers}`), n]));
        await busy(pool, 2);
        const short = Array.from({ length: 1000 }, (_, n) => pool.run(double, [n]));
        if (workers === 2) {
          await turn();
          const { busy: running, pending, completed } = pool.stats;
          assert.deepEqual([running, pending, completed], [2, 1000, 0]);
        } else {
          await Promise.all(short);
          const { busy: running, pending, completed } = pool.stats;
          assert.deepEqual([running, pending, completed], [2, 0, 1000]);
        }
        files.make(`end ${workers}`);
        await Promise.all([...long, ...short]);
        const { taskTime, ...rest } = pool.stats;
        assert.deepEqual(rest, {
          size: workers,
          busy: 0,
          pending: 0,
          completed: 1002,
          failed: 0,
          restarts: 0,
        });
        assert.ok(taskTime.p50 >= 0 && taskTime.p50 <= taskTime.p99 && taskTime.mean > taskTime.p50);
      }
    });

    test('has no more outstanding than maxPending, and holds the rest in order', LIMIT, async () => {
      const pool = new Pool({ size: 2, ...options, maxPending: 4 });
      let most = 0;
      let sum = 0;
      for (let n = 0; n < PRODUCED; n++) {
        await pool.room();
        void pool.run(double, [n]).then(value => {
          sum += value;
        });
        const { busy: running, pending } = pool.stats;
        most = Math.max(most, running + pending);
      }
      const held = Array.from({ length: 100 }, (_, n) => pool.run(later, [n]));
      const { busy: running, pending } = pool.stats;
      assert.ok(running + pending <= 4);
      const gone = held.filter((_, n) => n % 10 === 9);
      for (const one of gone) assert.equal(one.cancel(), true);
      for (const one of gone) await assert.rejects(one, CancelledError);
      pool.close(); // those that are held were given
      await pool.join();
      assert.equal(sum, PRODUCED * (PRODUCED - 1));
      assert.ok(most <= 4 && most > 1, `${most}`);
      for (const [n, one] of held.entries()) if (n % 10 !== 9) assert.equal(await one, n);
    });

    test('room() waits for room, no longer than it is told to, and for no closed pool', LIMIT, async () => {
      const pool = new Pool({ size: 1, ...options, maxPending: 2 });
      await pool.room();
      const all = [1, 2, 3].map(() => pool.run(forever));
      const outcomes = Promise.allSettled(all);
      await assert.rejects(pool.room({ timeout: 5 }), TimeoutError);
      await assert.rejects(pool.room({ timeout: 0 }), TimeoutError);
      await assert.rejects(pool.room({ signal: AbortSignal.abort('off') }), reason => reason === 'off');
      const abort = new AbortController();
      const waiting = pool.room({ signal: abort.signal });
      abort.abort('off');
      await assert.rejects(waiting, reason => reason === 'off');
      let isRoom = false;
      const room = pool.room().then(() => {
        isRoom = true;
      });
      all[2].cancel();
      await turn();
      assert.equal(isRoom, false, 'two are outstanding still');
      all[1].cancel();
      await room;
      const other = [pool.run(forever), pool.run(forever)];
      const more = Promise.allSettled(other);
      const never = assert.rejects(pool.room(), LifecycleError);
      pool.close();
      await never;
      await assert.rejects(pool.room(), LifecycleError);
      await pool.terminate();
      for (const { status } of [...(await outcomes), ...(await more)]) assert.equal(status, 'rejected');
    });
  });
}
