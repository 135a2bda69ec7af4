import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CancelledError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, forever, warmUp } from './fixtures/carriers.js';
import { Files } from './fixtures/files.js';
import { double, later, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 300_000 };
/** Tasks with a worker each: how many in all. */
const LIVES = process.env.MANYHANDS_LIVES;

/** The how-manieth task of its worker this is, and which that is. */
const nth = () => {
  const state = globalThis as { manyhandsTestTasks?: number };
  state.manyhandsTestTasks = (state.manyhandsTestTasks ?? 0) + 1;
  return `${who()} ${state.manyhandsTestTasks}`;
};

const lines = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

// A spawned worker takes long to start, and lives as others do: it is tried in the long run only.
for (const { carrier, options } of CARRIERS.filter(
  ({ options }) => options.context?.method !== 'spawn' || LIVES,
)) {
  const isCheap = options.context?.method === 'forkserver';
  /** A start of one that is not forked takes tens of milliseconds. */
  const few = (many: number, less: number) => (isCheap ? many : less);

  describe(`workers of a pool of ${carrier}`, () => {
    test('are replaced after so many tasks, each of which is run once', LIMIT, async () => {
      using files = new Files();
      const note = (n: number, file: string) => {
        appendFileSync(file, `${n}\n`);
        return nth();
      };
      for (const [most, tasks] of [
        [1, Number(LIVES ?? few(80, 5))],
        [7, few(150, 21)],
      ]) {
        await using pool = new Pool({ size: 2, ...options, maxTasksPerChild: most });
        const file = files.path(`run ${most}`);
        const all = await Promise.all(Array.from({ length: tasks }, (_, n) => pool.run(note, [n, file])));
        assert.equal(new Set(all).size, tasks, 'none was run twice by a worker');
        assert.ok(all.every(one => Number(one.split(' ')[1]) <= most));
        assert.ok(new Set(all.map(one => one.split(' ')[0])).size >= tasks / most);
        assert.deepEqual(
          lines(file)
            .map(Number)
            .sort((a, b) => a - b),
          all.map((_, n) => n),
        );
        assert.equal(pool.stats.restarts, 0);
      }
    });

    test('are not all replaced at once', LIMIT, async () => {
      await using pool = new Pool({ size: 3, ...options, maxTasksPerChild: 3 });
      const first = await pool.broadcast(who);
      const replaced = new Set<number>();
      for (let tasks = 2; tasks <= 4; tasks++) {
        for (const [seat, worker] of (await pool.broadcast(who)).entries())
          if (worker !== first[seat]) replaced.add(seat);
        assert.equal(replaced.size, tasks - 1, 'one more, each time that each has run a task');
      }
    });

    test('are replaced while maps go on, while the pool closes, and as it is terminated', LIMIT, async () => {
      const items = Array.from({ length: few(40, 8) }, (_, i) => i);
      const doubled = items.map(double);
      const pool = new Pool({ size: 2, ...options, maxTasksPerChild: 2 });
      assert.deepEqual(await pool.map(later, items, { chunksize: 2 }), items);
      const iterated: number[] = [];
      for await (const value of pool.imap(double, items.slice(0, 4))) iterated.push(value);
      assert.deepEqual(iterated, doubled.slice(0, 4));
      const last = items.map(n => pool.run(double, [n]));
      pool.close();
      assert.equal(await pool.join(), true);
      assert.deepEqual(await Promise.all(last), doubled);

      const other = new Pool({ size: 2, ...options, maxTasksPerChild: 1 });
      const all = Promise.allSettled(Array.from({ length: 20 }, (_, n) => other.run(double, [n])));
      await waitUntil(() => other.stats.completed > 2, 'some to be done', 20_000);
      await other.terminate();
      for (const [n, one] of (await all).entries())
        assert.ok(one.status === 'fulfilled' ? one.value === n * 2 : one.reason instanceof CancelledError);
    });

    test('have their finalizer run once, before each end but that by force', LIMIT, async () => {
      using files = new Files();
      const file = files.path('ends');
      const slowly = files.path('slowly');
      const finalizer = async () => {
        if (existsSync(slowly)) await new Promise(resolve => setTimeout(resolve, 20));
        appendFileSync(file, `${who()}\n`);
      };
      const pool = new Pool({ size: 2, ...options, maxTasksPerChild: 3, finalizer });
      const all = await Promise.all(Array.from({ length: 9 }, () => pool.run(who)));
      await pool.ready();
      await waitUntil(() => lines(file).length >= 9 / 3 - 1, 'some to be finalized', 20_000);
      pool.resize(1);
      await waitUntil(() => pool.workers.length === 1, 'one to leave', 20_000);
      files.make('slowly');
      pool.close();
      await pool.join();
      const ended = lines(file);
      assert.equal(new Set(ended).size, ended.length);
      assert.ok(all.every(worker => ended.includes(worker)));

      const forced = new Pool({ size: 2, ...options, finalizer });
      await forced.ready();
      const died = forced.run(() => process.exit(3));
      await assert.rejects(died, WorkerDiedError);
      await forced.terminate();
      assert.deepEqual(lines(file), ended);
    });

    test(
      'a finalizer that throws ends its worker, one that never ends waits for terminate()',
      LIMIT,
      async () => {
        const quietly = () => {
          process.stderr.write = () => true; // what it throws is told there
          throw new RangeError('late');
        };
        const throwing = new Pool({ size: 1, ...options, finalizer: quietly, maxTasksPerChild: 1 });
        assert.deepEqual(await Promise.all([throwing.run(double, [1]), throwing.run(double, [2])]), [2, 4]);
        throwing.close();
        assert.equal(await throwing.join(), true);

        const pool = new Pool({ size: 1, ...options, finalizer: forever });
        assert.equal(await pool.run(double, [3]), 6);
        pool.close();
        assert.equal(await pool.join({ timeout: 20 }), false);
        await pool.terminate();
        assert.equal(await pool.join(), true);
      },
    );

    test('an initializer that fails breaks the pool, once', LIMIT, async () => {
      using files = new Files();
      const file = files.path('tried');
      const fail = (name: string) => {
        appendFileSync(name, 'x\n');
        throw new RangeError('not prepared');
      };
      const pool = new Pool({ size: 2, ...options, initializer: fail, initargs: [file] });
      const waiting = [pool.run(double, [1]), pool.map(double, [1, 2, 3]), pool.broadcast(double, [1])];
      for (const one of waiting) await assert.rejects(one, /not prepared/);
      await assert.rejects(pool.run(double, [1]), RangeError);
      await assert.rejects(pool.ready(), /not prepared/);
      await waitUntil(() => pool.workers.length === 0, 'all to be gone', 20_000);
      assert.ok(lines(file).length <= 2);
      assert.equal(pool.stats.restarts, 0);
      assert.deepEqual([pool.stats.busy, pool.stats.pending], [0, 0]);
      pool.close();
      assert.equal(await pool.join(), true);
      await pool.terminate();
    });

    test('an initializer that fails in a replacement breaks the pool', LIMIT, async () => {
      using files = new Files();
      const onlyOnce = (file: string) => {
        if (existsSync(file)) throw new RangeError('no second time');
        appendFileSync(file, '');
      };
      const initargs = [files.path('once')];
      await using pool = new Pool({
        size: 1,
        ...options,
        initializer: onlyOnce,
        initargs,
        maxTasksPerChild: 2,
      });
      assert.equal(await pool.run(double, [1]), 2);
      const after = [1, 2, 3].map(n => pool.run(double, [n]));
      assert.equal(await after[0], 2);
      await assert.rejects(after[1], /no second time/);
      await assert.rejects(after[2], /no second time/);
    });

    test('one that ends its worker breaks the pool after three in a row', LIMIT, async () => {
      await using pool = new Pool({ size: 1, ...options, initializer: () => process.exit(5) });
      await assert.rejects(pool.run(double, [1]), WorkerDiedError);
      await assert.rejects(pool.ready(), WorkerDiedError);
      await waitUntil(() => pool.workers.length === 0, 'all to be gone', 20_000);
    });

    test('tasks wait for an initializer that takes its time', LIMIT, async () => {
      using files = new Files();
      const slow = async (file: string, value: unknown) => {
        await until(file, 0);
        (globalThis as { manyhandsTestInit?: unknown }).manyhandsTestInit = value;
      };
      const initargs = [files.path('go'), { list: [1, new Map([[2, 3]])] }];
      await using pool = new Pool({ size: 1, ...options, initializer: slow, initargs });
      const task = pool.run(() => (globalThis as { manyhandsTestInit?: unknown }).manyhandsTestInit);
      assert.equal(await task.wait({ timeout: 20 }), false);
      assert.deepEqual([pool.stats.busy, pool.stats.pending], [0, 1]);
      files.make('go');
      assert.deepEqual(await task, initargs[1]);
    });

    test(
      'have preloaded modules before their first task; one that is not there is named',
      LIMIT,
      async () => {
        const fixtures = path.resolve(__dirname, '../../src/pool/fixtures');
        const preload = [
          path.join(fixtures, 'tasks.mjs'),
          new URL(`file://${__dirname}/fixtures/tasks.js`),
          'node:zlib',
        ];
        await using pool = new Pool({ size: 1, ...options, preload });
        assert.equal(await pool.run({ module: preload[0], export: 'triple' }, [2]), 6);
        assert.equal(
          await pool.run(() => Object.keys(require.cache).some(file => file.endsWith('fixtures/tasks.js'))),
          true,
        );
        const absent = path.join(fixtures, 'not-there.mjs');
        await using broken = new Pool({ size: 1, ...options, preload: [absent] });
        await assert.rejects(broken.run(double, [1]), /not-there\.mjs/);
        assert.throws(() => new Pool({ ...options, preload: ['absent-package'] }), /absent-package/);
      },
    );
  });
}
