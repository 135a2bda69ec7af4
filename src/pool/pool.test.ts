import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LifecycleError, SerializationError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { stats as memoryStats } from '../memory/allocator.js';
import { cpuCount } from '../platform/platform.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { AsyncResult } from './async-result.js';
import { CARRIERS, forever, quickTest, warmUp } from './fixtures/carriers.js';
import greet, { double, later, laterOn, Refusal, refuse, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

/** The modules that are no TypeScript are not copied into the build. */
const fixtures = path.resolve(__dirname, '../../src/pool/fixtures');
const LIMIT = { timeout: 30_000 };

const doubled = (n: number) => 2 * n;

(globalThis as { manyhandsTestIsHere?: boolean }).manyhandsTestIsHere = true;

for (const { carrier, options } of CARRIERS) {
  const quick = quickTest(options);
  describe(`a pool of ${carrier}`, () => {
    test('runs functions that return, that are async and that return a thenable', LIMIT, async () => {
      await using pool = new Pool(2, options);
      assert.deepEqual(
        await Promise.all([
          pool.run((a: number, b: number) => a + b, [1, 2]),
          pool.run(async (name: string) => `async ${name}`, ['a']),
          pool.run(laterOn, ['thenable']),
          pool.run(() => {}),
          pool.apply(double, [4]),
        ]),
        [3, 'async a', 'thenable', undefined, 8],
      );
    });

    quick('runs closures, with what they capture as it was at the first task', LIMIT, async () => {
      await using pool = new Pool(2, options);
      let factor = 3;
      const helper = (n: number) => n * factor;
      const closure = (n: number) => helper(n) + 1;
      assert.equal(await pool.run(closure, [2]), 7);
      factor = 100;
      assert.equal(await pool.run(closure, [2]), 7, 'a function crosses once');
      assert.equal(await pool.run((n: number) => helper(n) + 1, [2]), 201, 'another function captures anew');
    });

    test('runs functions of other modules, and what a module reference names', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const module = path.join(fixtures, 'tasks.mjs');
      assert.equal(await pool.run(double, [4]), 8);
      assert.equal(await pool.run(greet, ['you']), 'hello you');
      assert.equal(await pool.run({ module, export: 'triple' }, [4]), 12);
      assert.equal(await pool.run({ module: pathToFileURL(module) }, ['/a/b.txt']), 'b.txt');
      assert.equal(await pool.run({ module: 'node:path', export: 'extname' }, ['b.txt']), '.txt');
      await assert.rejects(pool.run({ module, export: 'quadruple' }), /"quadruple" .* as it is not there/);
    });

    quick('runs a new closure for each task, with what it captured when it was given', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const answers: Promise<unknown>[] = [];
      const box = { n: -1 };
      for (const i of Array(600).keys()) {
        box.n = i;
        answers.push(pool.run((x: number) => [doubled(i), box.n, x], [i]));
      }
      box.n = -1;
      assert.deepEqual(
        await Promise.all(answers),
        Array.from({ length: 600 }, (_, i) => [2 * i, i, i]),
      );
    });

    quick('keeps apart more functions than it remembers, all of them outstanding', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const url = pathToFileURL(path.join(fixtures, 'tasks.mjs'));
      for (let round = 0; round < 2; round++) {
        // Of many lengths: a definition that was freed too early would lie where the next of its size lies.
        const queries = Array.from({ length: 600 }, (_, i) => `?${i}.${'x'.repeat((i / 10) & 31)}`);
        const answers = queries.map(query => pool.run({ module: `${url}${query}`, export: 'where' }));
        assert.deepEqual(await Promise.all(answers), queries);
      }
    });

    quick('gives back errors as themselves, with the stacks of both sides', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const thrown = await pool
        .run(function overThere() {
          throw Object.assign(new RangeError('too far', { cause: new TypeError('why') }), { extra: [1] });
        })
        .catch(error => error);
      assert.ok(thrown instanceof RangeError);
      assert.equal(thrown.message, 'too far');
      assert.ok(thrown.cause instanceof TypeError);
      assert.deepEqual((thrown as { extra?: unknown }).extra, [1]);
      const stack = thrown.stack ?? '';
      assert.match(stack, /^RangeError: too far\n/);
      assert.match(stack, /overThere .*pool\.test/);
      assert.ok(stack.indexOf('overThere') < stack.indexOf('(called from)'), stack);
      assert.match(stack.slice(stack.indexOf('(called from)')), /pool\.test/);
    });

    quick('gives back errors of classes that can be imported', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const thrown = await pool.run(refuse, [7]).catch(error => error);
      assert.ok(thrown instanceof Refusal);
      assert.equal(thrown.amount, 7);
    });

    quick('gives back thrown values that are no errors', LIMIT, async () => {
      await using pool = new Pool(1, options);
      for (const value of ['text', 0, null, undefined, { code: 4 }]) {
        const outcome = await pool
          .run(
            (it: unknown) => {
              throw it;
            },
            [value],
          )
          .then(
            () => 'returned',
            thrown => ({ thrown }),
          );
        assert.deepEqual(outcome, { thrown: value });
      }
    });

    quick('an argument that cannot cross fails its task alone, and is named', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const before = pool.run(later, [1]);
      const failed = await pool.run(later, [{ list: [0, new WeakMap()] }]).catch(error => error);
      assert.ok(failed instanceof SerializationError);
      assert.match(failed.path, /^args\[0\]\.list\[1\]/);
      const captured = new WeakMap();
      await assert.rejects(
        pool.run(() => captured),
        SerializationError,
      );
      assert.deepEqual(await Promise.all([before, pool.run(later, [2])]), [1, 2]);
    });

    quick('a result that cannot cross fails its task alone, and is named', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const before = pool.run(later, [1]);
      const failed = await pool.run(() => ({ deep: [new WeakMap()] })).catch(error => error);
      assert.ok(failed instanceof SerializationError);
      assert.match(failed.path, /^result\.deep\[0\]/);
      assert.deepEqual(await Promise.all([before, pool.run(later, [2])]), [1, 2]);
      assert.equal(pool.stats.restarts, 0);
    });

    quick('arguments and functions that cannot be read over there fail their task alone', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const here = require(path.join(fixtures, 'only-here.cjs'));
      await assert.rejects(pool.run(later, [new here.Thing()]), /works only here/);
      await assert.rejects(pool.run(here.task), /works only here/);
      await assert.rejects(pool.run({ module: '/nowhere/at-all.js' }), /at-all/);
      assert.equal(await pool.run(later, [3]), 3);
      assert.equal(pool.stats.restarts, 0);
    });

    quick('results and errors that cannot be read here fail their task alone', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const module = path.join(fixtures, 'only-there.cjs');
      await assert.rejects(pool.run({ module, export: 'make' }), /works only there/);
      await assert.rejects(pool.run({ module, export: 'fail' }), /told|works only there/);
      assert.equal(await pool.run(later, [3]), 3);
      assert.equal(pool.stats.restarts, 0);
    });

    quick('moves from nothing to 16 MiB, both ways', LIMIT, async () => {
      await using pool = new Pool(2, options);
      for (const size of [0, 1, 200, 230, 5_000, 70_000, 3 << 20, 16 << 20]) {
        const bytes = new Uint8Array(size).fill(size & 0xff);
        if (size > 0) bytes[size - 1] = 77;
        const back = await pool.run((it: Uint8Array) => it.map(byte => byte ^ 1), [bytes]);
        assert.equal(
          Buffer.compare(
            back,
            bytes.map(byte => byte ^ 1),
          ),
          0,
          `${size} bytes`,
        );
      }
    });

    quick(
      'settles 50,000 tasks that were given in one go, in the order given when one worker runs them',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const order: number[] = [];
        const all = Array.from({ length: 50_000 }, (_, i) =>
          pool.run(double, [i]).then(value => {
            order.push(i);
            return value;
          }),
        );
        const values = await Promise.all(all);
        assert.ok(values.every((value, i) => value === i * 2));
        assert.ok(order.every((value, i) => value === i));
        assert.equal(pool.stats.completed, 50_000);
      },
    );

    quick('an idle worker takes what waits, however long the others are busy', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const long = pool.run(forever);
      long.catch(() => {});
      assert.equal(
        (await Promise.all(Array.from({ length: 500 }, (_, i) => pool.run(double, [i])))).length,
        500,
      );
      assert.equal(long.ready(), false);
      assert.deepEqual([pool.stats.busy, pool.stats.pending, pool.stats.completed], [1, 0, 500]);
    });

    quick('runs each task once, however many workers reach for it', LIMIT, async () => {
      await using pool = new Pool(3, options);
      const count = () => {
        const state = globalThis as { manyhandsTestRuns?: number };
        state.manyhandsTestRuns = (state.manyhandsTestRuns ?? 0) + 1;
        const { threadId } = require('node:worker_threads') as typeof import('node:worker_threads');
        return [`${process.pid}.${threadId}`, state.manyhandsTestRuns] as const;
      };
      const runs = new Map<string, number>();
      const all = await Promise.all(Array.from({ length: 20_000 }, () => pool.run(count)));
      for (const [worker, number] of all) runs.set(worker, Math.max(number, runs.get(worker) ?? 0));
      assert.equal(
        [...runs.values()].reduce((a, b) => a + b),
        20_000,
      );
    });

    quick('wakes workers that sleep, again and again', LIMIT, async () => {
      await using pool = new Pool(3, options);
      for (let i = 0; i < 300; i++)
        assert.deepEqual(await Promise.all([1, 2, 3].map(n => pool.run(double, [n]))), [2, 4, 6]);
    });

    quick('says what it is doing', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      assert.equal(pool.size, 2);
      assert.deepEqual(pool.stats, {
        size: 2,
        busy: 0,
        pending: 0,
        completed: 0,
        failed: 0,
        restarts: 0,
        taskTime: { mean: 0, p50: 0, p99: 0 },
      });
      assert.equal(pool.workers.length, 2);
      for (const worker of pool.workers) assert.equal(worker.isAlive(), true);
      const file = path.join(tmpdir(), 'go');
      const running = [1, 2, 3].map(n => pool.run(until, [file, n]));
      await waitUntil(() => pool.stats.busy === 2, 'two tasks to run');
      assert.equal(pool.stats.pending, 1);
      writeFileSync(file, '');
      await Promise.all(running);
      rmSync(file);
      await assert.rejects(pool.run(refuse, [1]), Refusal);
      const { busy, pending, completed, failed, restarts, taskTime } = pool.stats;
      assert.deepEqual([busy, pending, completed, failed, restarts], [0, 0, 3, 1, 0]);
      assert.ok(taskTime.mean > 0 && taskTime.p99 >= taskTime.p50, JSON.stringify(taskTime));
    });

    quick('its results can be asked', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.join(tmpdir(), 'asked');
      const result = pool.run(until, [file, 'there']);
      assert.ok(result instanceof AsyncResult);
      assert.equal(result.ready(), false);
      assert.throws(() => result.successful(), LifecycleError);
      await assert.rejects(result.get({ timeout: 1 }), TimeoutError);
      assert.equal(await result.wait({ timeout: 0 }), false);
      const reason = new Error('enough');
      await assert.rejects(result.get({ signal: AbortSignal.abort(reason) }), reason);
      writeFileSync(file, '');
      assert.equal(await result.wait(), true);
      rmSync(file);
      assert.equal(await result.get({ timeout: 0 }), 'there');
      assert.deepEqual([result.ready(), result.successful(), result.cancel()], [true, true, false]);
      const failed = pool.run(refuse, [1]);
      assert.equal(await failed.wait(), true, 'and nothing is reported as unhandled');
      assert.deepEqual([failed.ready(), failed.successful()], [true, false]);
      await assert.rejects(failed.get(), Refusal);
    });

    test('runs its initializer once in each worker, before the first task', LIMIT, async () => {
      await using pool = new Pool(2, {
        ...options,
        initializer: async (word: string, list: number[]) => {
          await null;
          const state = globalThis as { manyhandsTestWords?: unknown[] };
          state.manyhandsTestWords ??= [];
          state.manyhandsTestWords.push(word, list);
        },
        initargs: ['ready', [1, 2]],
      });
      for (const words of await pool.map(
        () => (globalThis as { manyhandsTestWords?: unknown[] }).manyhandsTestWords,
        Array(20).fill(0),
      ))
        assert.deepEqual(words, ['ready', [1, 2]]);
    });

    quick('an initializer that fails breaks the pool, with its error', LIMIT, async () => {
      const pool = new Pool(2, {
        ...options,
        initializer: (amount: number) => {
          throw new RangeError(`cannot begin with ${amount}`);
        },
        initargs: [3],
      });
      const early = pool.run(double, [1]);
      const failed = { name: 'RangeError', message: 'cannot begin with 3' };
      await assert.rejects(early, failed);
      await assert.rejects(pool.ready(), failed);
      await assert.rejects(pool.run(double, [1]), failed);
      await assert.rejects(pool.map(double, [1]), failed);
      await pool.terminate();
      assert.equal(await pool.join(), true);
    });

    test('gives up when workers end before they are ready, with how they ended', LIMIT, async () => {
      const log = path.join(tmpdir(), 'starts');
      const pool = new Pool(1, {
        ...options,
        initializer: (file: string) => {
          require('node:fs').appendFileSync(file, 'x');
          process.exit(7);
        },
        initargs: [log],
      });
      const failed = await pool.run(double, [1]).catch(error => error);
      assert.ok(failed instanceof WorkerDiedError);
      assert.equal(failed.exitCode, 7);
      await assert.rejects(pool.ready(), WorkerDiedError);
      await pool.terminate();
      assert.equal(readFileSync(log, 'utf8'), 'xxx');
      rmSync(log);
    });

    test('ready() is there when every worker is', LIMIT, async () => {
      const file = path.join(tmpdir(), 'begin');
      await using pool = new Pool(2, { ...options, initializer: until, initargs: [file, 0] });
      await assert.rejects(pool.ready({ timeout: 1 }), TimeoutError);
      const reason = new Error('enough');
      await assert.rejects(pool.ready({ signal: AbortSignal.abort(reason) }), reason);
      writeFileSync(file, '');
      await pool.ready();
      rmSync(file);
      await pool.ready({ timeout: 0 });
    });

    test('works beside another, and each keeps to its own workers', LIMIT, async () => {
      await using first = new Pool(2, options);
      await using second = new Pool(2, options);
      const of = (pool: Pool) => pool.map(who, Array(100).fill(0), { chunksize: 1 });
      const [ours, theirs] = (await Promise.all([of(first), of(second)])).map(list => new Set(list));
      for (const one of ours) assert.equal(theirs.has(one), false);
    });

    quick('gives back all memory when it has ended', LIMIT, async () => {
      const block = new Uint8Array(300_000);
      const before = memoryStats().used;
      for (let i = 0; i < 3; i++) {
        await using pool = new Pool(2, options);
        await pool.map((bytes: Uint8Array) => bytes, Array(20).fill(block), { chunksize: 2 });
        await pool.run(() => process.exit(1)).catch(() => {});
        await pool.run((it: Uint8Array) => Promise.reject(it), [block]).catch(() => {});
        for (let i = 0; i < 50; i++) pool.run(later, [block]).catch(() => {});
      }
      // Pages of small blocks stay with their threads, and are used again.
      await waitUntil(
        () => memoryStats().used <= before + 64 * 16_384,
        () => `${memoryStats().used - before} bytes to be given back`,
      );
    });
  });
}

for (const { carrier, options } of CARRIERS.filter(({ options }) => options.kind === 'process')) {
  test(
    `a worker of ${carrier} that has grown too large is replaced, and no task is lost`,
    LIMIT,
    async () => {
      await using pool = new Pool(2, { ...options, maxMemoryPerChild: 150 << 20 });
      const grow = (i: number) => {
        const state = globalThis as { manyhandsTestKept?: Buffer[] };
        state.manyhandsTestKept ??= [];
        state.manyhandsTestKept.push(Buffer.alloc(20 << 20, 1));
        return [i, process.pid];
      };
      const results = await pool.map(
        grow,
        Array.from({ length: 28 }, (_, i) => i),
        { chunksize: 1 },
      );
      assert.deepEqual(
        results.map(([i]) => i),
        Array.from({ length: 28 }, (_, i) => i),
      );
      assert.ok(new Set(results.map(([, pid]) => pid)).size >= 4);
      assert.equal(pool.stats.restarts, 0, 'nobody died');
    },
  );
}

test('options and arguments that are wrong are told at once', async () => {
  assert.throws(() => new Pool(0), RangeError);
  assert.throws(() => new Pool(1.5), RangeError);
  assert.throws(() => new Pool({ kind: 'fibre' as 'thread' }), RangeError);
  assert.throws(() => new Pool({ context: 'spawn' as never }), TypeError);
  assert.throws(() => new Pool({ context: { method: 'exec' } as never }), RangeError);
  assert.throws(() => new Pool({ maxMemoryPerChild: -1 }), RangeError);
  assert.throws(() => new Pool(1, { initializer: 3 as unknown as () => void }), TypeError);
  assert.throws(() => new Pool(1, { initializer: () => {}, initargs: [new WeakMap()] }), SerializationError);
  await using pool = new Pool(1, { kind: 'thread' });
  await assert.rejects(pool.run(double, [1], { timeout: -1 }), RangeError);
  await assert.rejects(pool.run(double, [1], { retries: 0.5 }), RangeError);
  await assert.rejects(pool.run('double' as unknown as () => void), TypeError);
  assert.throws(() => pool.map(double, [1], { chunksize: 0 }), RangeError);
  assert.throws(() => pool.imap(double, [1], { buffer: 0 }), RangeError);
  assert.equal(await pool.run(double, [1]), 2);
});

test('a pool has as many workers as there are processors to use, unless told', async () => {
  await using pool = new Pool({ kind: 'thread' });
  assert.equal(pool.size, cpuCount());
  await using small = new Pool({ size: 1, kind: 'thread' });
  assert.equal(small.size, 1);
});

test('tasks of TypeScript modules run where tsx is', LIMIT, () => {
  const folder = path.join(tmpdir(), 'typescript');
  require('node:fs').mkdirSync(folder);
  appendFileSync(path.join(folder, 'task.mts'), 'export const half = (n: number): number => n / 2;\n');
  appendFileSync(
    path.join(folder, 'main.mts'),
    `import { createRequire } from 'node:module';
     import { half } from './task.mts';
     const { getContext, Pool } = createRequire(import.meta.url)(${JSON.stringify(path.join(__dirname, '..', 'index.js'))});
     enum Sign { Minus = -1 }
     const results: unknown[] = [];
     for (const options of [{}, { context: getContext('spawn') }, { kind: 'thread' }]) {
       const pool = new Pool(1, options);
       results.push(await pool.map(half, [2, 4]), await pool.run((n: number): number => half(n) * Sign.Minus, [6]));
       pool.close();
       await pool.join();
     }
     console.log(JSON.stringify(results));`,
  );
  const printed = execFileSync(
    process.execPath,
    ['--import', pathToFileURL(require.resolve('tsx')).href, path.join(folder, 'main.mts')],
    { encoding: 'utf8' },
  );
  assert.deepEqual(JSON.parse(printed), [[1, 2], -3, [1, 2], -3, [1, 2], -3]);
  rmSync(folder, { recursive: true });
});
