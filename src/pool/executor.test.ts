import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CancelledError, LifecycleError, WorkerDiedError } from '../errors/errors.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { getContext } from './context.js';
import { type ExecutorOptions, ProcessPoolExecutor, ThreadPoolExecutor } from './executor.js';
import { ExecutorMap } from './executor-map.js';
import { CARRIERS, quickTest, spin, warmUp } from './fixtures/carriers.js';
import { double, gated, Refusal, refuse } from './fixtures/tasks.js';
import type { MappedIterator } from './imap.js';
import { Pool } from './pool.js';
import { ThreadPool } from './thread-pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
}

for (const { carrier, options } of CARRIERS) {
  const make = (more: ExecutorOptions = {}) =>
    new ProcessPoolExecutor({ ...options, maxWorkers: 1, ...more });

  const quick = quickTest(options);
  describe(`an executor of ${carrier}`, () => {
    test('runs what it is given; one whose worker died goes on', LIMIT, async () => {
      await using executor = make();
      const sum: number = await executor.submit((a: number, b: number) => a + b, 1, 2);
      assert.equal(sum, 3);
      await assert.rejects(executor.submit(refuse, 5), Refusal);
      const died = executor.submit(() => process.exit(3));
      await assert.rejects(died, { name: 'WorkerDiedError', stack: /executor\.test/ });
      assert.equal(died.cancelled(), false);
      assert.equal(await executor.submit(double, 21), 42);
      await assert.rejects(executor.submit(double, Symbol('alone') as never), { name: 'SerializationError' });
      await assert.rejects(executor.submit('double' as never), TypeError);
    });

    quick('map() starts at once, takes all items at once, and gives results in order', LIMIT, async () => {
      await using executor = make();
      using started = new EventFlag();
      let taken = 0;
      const items = function* () {
        for (const item of [3, 2, 1]) {
          taken++;
          yield item;
        }
      };
      const results = executor.map((item: number) => {
        started.set();
        return item * 2;
      }, items());
      assert.equal(taken, 3);
      assert.equal(await started.wait(), true);
      assert.deepEqual(await collect(results), [6, 4, 2]);
      const doubled = await collect(executor.map(double, Array(50).keys(), { chunksize: 7 }));
      assert.deepEqual(
        doubled,
        Array(50)
          .fill(0)
          .map((_, i) => i * 2),
      );
      for (const options of [{ timeout: -1 }, { buffersize: 0 }, { buffersize: 1.5 }, { chunksize: 0 }])
        assert.throws(() => executor.map(double, [1], options), RangeError);
      assert.throws(() => executor.map(double, 5 as never), TypeError);
    });

    quick('map() goes `buffersize` ahead; left, failed or late, it calls off what waits', LIMIT, async () => {
      await using executor = make();
      let taken = 0;
      let isClosed = false;
      const naturals = function* () {
        try {
          for (;;) yield taken++;
        } finally {
          isClosed = true;
        }
      };
      for (const [options, ahead] of [
        [{ buffersize: 3 }, 3],
        [{ buffersize: 2, chunksize: 4 }, 8],
      ] as const) {
        [taken, isClosed] = [0, false];
        const results = executor.map(double, naturals(), options);
        assert.equal(taken, ahead);
        for (const n of [0, 1, 2, 3, 4]) assert.equal((await results.next()).value, n * 2);
        assert.ok(taken <= 5 + ahead + 4, `${taken} were taken`);
        await results.return?.();
        assert.equal(isClosed, true);
        assert.deepEqual(await results.next(), { done: true, value: undefined });
      }

      for (const ending of ['left', 'error', 'late'] as const) {
        using flag = new EventFlag();
        using ran = new EventFlag();
        const act = async (what: string) => {
          if (what === 'throw') throw new RangeError('no');
          if (what === 'stay') await flag.wait();
          if (what === 'tell') ran.set();
          return what;
        };
        const items = ending === 'error' ? ['go', 'throw', 'stay', 'tell'] : ['go', 'stay', 'tell'];
        const results = executor.map(act, items, ending === 'late' ? { timeout: 100 } : {});
        if (ending !== 'late') assert.equal((await results.next()).value, 'go');
        if (ending === 'left') await results.return?.();
        if (ending === 'error') await assert.rejects(results.next(), RangeError);
        if (ending === 'late') {
          const first = await results.next().catch((error: Error) => error.name);
          if (first !== 'TimeoutError') await assert.rejects(results.next(), { name: 'TimeoutError' });
        }
        assert.equal((await results.next()).done, true);
        flag.set();
        assert.equal(await executor.submit(double, 1), 2);
        assert.equal(ran.isSet(), false, `${ending}: one that waited has run`);
      }
    });

    quick('shutdown() lets all that was given finish', LIMIT, async () => {
      const executor = make();
      using flag = new EventFlag();
      const futures = [executor.submit(gated, flag, 1), ...[1, 2, 3].map(n => executor.submit(double, n))];
      let ended = 0;
      const ends = [executor.shutdown(), executor.shutdown()].map(end => end.then(() => ended++));
      await executor.shutdown({ wait: false });
      for (const act of [() => executor.submit(double, 1), () => executor.map(double, [1])])
        assert.throws(act, { name: 'LifecycleError', message: /was shut down/ });
      await waitUntil(() => futures[0].running(), 'a task to run');
      assert.equal(ended, 0);
      flag.set();
      await Promise.all(ends);
      assert.ok(futures.every(future => future.done()));
      assert.deepEqual(await Promise.all(futures), [1, 2, 4, 6]);
      await executor.shutdown();
    });

    quick('shutdown() cancels what waits, if it is to', LIMIT, async () => {
      const executor = make();
      using flag = new EventFlag();
      const running = executor.submit(gated, flag, 'value');
      await waitUntil(() => running.running(), 'a task to run');
      const waiting = Array.from({ length: 10 }, (_, n) => executor.submit(double, n));
      const results = executor.map(double, [1, 2]);
      const end = executor.shutdown({ cancelFutures: true });
      assert.ok(waiting.every(future => future.cancelled()));
      await assert.rejects(waiting[9], CancelledError);
      await assert.rejects(results.next(), CancelledError);
      flag.set();
      await end;
      assert.equal(await running, 'value');
    });

    quick('workers are ended with what they run; what waits is cancelled', LIMIT, async () => {
      for (const act of ['terminateWorkers', 'killWorkers'] as const) {
        const executor = make({ maxWorkers: 2 });
        using started = new EventFlag();
        const running = executor.submit(spin);
        const again = executor.map(
          async () => {
            started.set();
            await new Promise(() => setInterval(() => {}, 1e6));
          },
          [1, 2],
          { retries: 3 },
        );
        // More than there is room for on the board; nobody asks for most of them.
        const waiting = Array.from({ length: 2100 }, (_, n) => executor.submit(double, n));
        await started.wait();
        await waitUntil(() => running.running(), 'a task to run');
        started.clear();
        const end = executor[act]();
        assert.throws(() => executor.submit(double, 1), LifecycleError);
        assert.ok(waiting.every(future => future.cancelled()));
        await assert.rejects(waiting[2099], CancelledError);
        await Promise.all([end, executor[act](), executor.shutdown()]);
        await assert.rejects(running, WorkerDiedError);
        assert.equal(running.cancelled(), false);
        await assert.rejects(again.next(), WorkerDiedError);
        assert.equal(started.isSet(), false, 'it was run again');
      }
    });

    test('workers are ended before they are up, and when they have been shut down', LIMIT, async () => {
      const early = make();
      const futures = [early.submit(double, 1), early.submit(double, 2)];
      await early.killWorkers();
      for (const { status } of await Promise.allSettled(futures)) assert.equal(status, 'rejected');
      const idle = make();
      await idle.submit(double, 1);
      await idle.shutdown();
      await idle.terminateWorkers();
      await idle.killWorkers();
    });

    quick('an initializer that fails fails every future', LIMIT, async () => {
      await using executor = make({
        initializer: () => {
          throw new RangeError('not today');
        },
      });
      const first = executor.submit(double, 1);
      await assert.rejects(first, RangeError);
      assert.equal(first.cancelled(), false);
      await assert.rejects(executor.submit(double, 1), RangeError);
    });
  });
}

describe('an executor', () => {
  test('lets a worker that listens to SIGTERM end its task, unless it is killed', LIMIT, async () => {
    using flag = new EventFlag();
    const stubborn = async () => {
      process.once('SIGTERM', () => flag.set());
      flag.set();
      flag.clear();
      await flag.wait();
      return 'ended by itself';
    };
    for (const [act, outcome] of [
      ['terminateWorkers', 'ended by itself'],
      ['killWorkers', 'SIGKILL'],
    ] as const) {
      flag.clear();
      const executor = new ProcessPoolExecutor(1);
      const heard = flag.wait();
      const future = executor.submit(stubborn);
      await heard;
      await executor[act]();
      assert.equal(await future.catch(error => error.signalCode), outcome);
    }
  });

  test('counts the time of map() from its call', async () => {
    const timeouts: (number | undefined)[] = [];
    const results = {
      next: (options?: { timeout?: number }) => {
        timeouts.push(options?.timeout);
        return new Promise<IteratorResult<number>>(resolve => setTimeout(resolve, 20, { value: 1 }));
      },
    } as unknown as MappedIterator<number>;
    const mapped = new ExecutorMap(results, 10_000);
    for (let i = 0; i < 3; i++) await mapped.next();
    const [first, second, third] = timeouts as number[];
    assert.ok(first <= 10_000 && second <= first - 19 && third <= second - 19, `${timeouts}`);
    const late = new ExecutorMap(results, 0);
    for (let i = 0; i < 2; i++) await late.next();
    await new ExecutorMap(results, undefined).next();
    assert.deepEqual(timeouts.slice(3), [0, 0, undefined]);
  });

  test('is of processes or threads, as its class and options say', LIMIT, async () => {
    const where = () => process.pid;
    await using processes = new ProcessPoolExecutor({ maxWorkers: 1, size: 1, context: getContext('spawn') });
    await using threads = new ThreadPoolExecutor({ maxWorkers: 1, kind: 'thread' });
    await using other = new ProcessPoolExecutor({ kind: 'thread', size: 1 });
    await using pool = new ThreadPool(1);
    assert.deepEqual([processes.kind, threads.kind, other.kind], ['process', 'thread', 'thread']);
    assert.ok(threads instanceof ProcessPoolExecutor && pool instanceof Pool);
    assert.notEqual(await processes.submit(where), process.pid);
    for (const pid of [await threads.submit(where), await other.submit(where), await pool.run(where)])
      assert.equal(pid, process.pid);
  });

  test('refuses wrong options', () => {
    for (const Class of [ProcessPoolExecutor, ThreadPoolExecutor]) {
      for (const wrong of [0, 1.5, { maxWorkers: 0 }, { maxWorkers: 2, size: 3 }, { kind: 'fibre' }])
        assert.throws(() => new Class(wrong as never), RangeError);
      for (const wrong of ['2', null, { max_workers: 2 }])
        assert.throws(() => new Class(wrong as never), TypeError);
    }
    for (const Class of [ThreadPoolExecutor, ThreadPool])
      assert.throws(() => new Class({ kind: 'process' }), { name: 'RangeError', message: /"kind"/ });
  });

  test('stays with the thread that made it, as pools and futures do', LIMIT, async () => {
    await using executor = new ThreadPoolExecutor(1);
    await using pool = new Pool({ size: 1, kind: 'thread' });
    const future = executor.submit(double, 1);
    const result = pool.run(double, [1]);
    const ignore = (_: unknown) => {};
    for (const [object, name, advice] of [
      [executor, 'ThreadPoolExecutor', /make a ThreadPoolExecutor of its own/],
      [pool, 'Pool', /make a Pool of its own/],
      [future, 'Future', /await it/],
      [result, 'AsyncResult', /await it/],
    ] as const) {
      for (const [attempt, path] of [
        [executor.submit(ignore, object), 'args[0]'],
        [pool.run(ignore, [{ deep: [object] }]), 'args[0].deep[0]'],
        [executor.submit((): unknown => object), 'closure of a function → object'],
      ] as const)
        await assert.rejects(attempt, (error: Error & { path: string }) => {
          assert.equal(error.name, 'SerializationError');
          assert.equal(error.path, path);
          assert.match(error.message, new RegExp(`as this ${name} `));
          assert.match(error.message, advice);
          return true;
        });
    }
    await Promise.all([future, result]);
  });

  test('keeps its program alive for its futures, and to the end of a shutdown', LIMIT, async () => {
    const run = async (program: string) => {
      const face = JSON.stringify(path.join(__dirname, '..', 'index.js'));
      const source = `const { ProcessPoolExecutor } = require(${face}); ${program}`;
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', source]);
      return stdout.split('\n').filter(Boolean).sort();
    };
    const later = `n => new Promise(resolve => setTimeout(resolve, 50, n))`;
    assert.deepEqual(await run(`new ProcessPoolExecutor(1).submit(${later}, 'over').then(console.log);`), [
      'over',
    ]);
    assert.deepEqual(
      await run(`
        const finalizer = () => (${later})('finalized').then(console.log);
        const executor = new ProcessPoolExecutor({ maxWorkers: 1, finalizer });
        executor.submit(${later}, 'over').then(console.log);
        executor.shutdown({ wait: false }).then(() => console.log('at once'));`),
      ['at once', 'finalized', 'over'],
    );
  });
});
