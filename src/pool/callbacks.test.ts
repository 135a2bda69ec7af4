import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { threadId } from 'node:worker_threads';
import { CancelledError, LifecycleError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { forever, QUICK_CARRIERS, warmUp } from './fixtures/carriers.js';
import { double, later, refuse } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

/** What the next uncaught exception is, told to us alone, not to the test runner, who would take it for a failure. */
async function nextUncaught(): Promise<unknown> {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  try {
    const [error] = await once(process, 'uncaughtException');
    return error;
  } finally {
    for (const other of others) process.on('uncaughtException', other);
  }
}

async function nextUnhandled(): Promise<unknown> {
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  try {
    const [error] = await once(process, 'unhandledRejection');
    return error;
  } finally {
    for (const other of others) process.on('unhandledRejection', other);
  }
}

for (const { carrier, options } of QUICK_CARRIERS) {
  describe(`callbacks of a pool of ${carrier}`, () => {
    test(
      'run in the calling thread, before who awaits, one for each task, in the order of their ends',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const told: unknown[] = [];
        const tell = (what: string) => (value: unknown) => told.push([what, value, threadId]);
        const results = [
          pool.applyAsync(later, ['a'], { callback: tell('value'), errorCallback: tell('error') }),
          pool.mapAsync(double, [1, 2], { callback: tell('map'), errorCallback: tell('error') }),
          pool.starmapAsync((a: number, b: number) => a + b, [[1, 2]], { callback: tell('starmap') }),
          pool.applyAsync(later, ['urgent'], { callback: tell('value'), priority: -1 }),
        ];
        assert.equal(told.length, 0, 'never before the call has returned');
        results[3].then(() => told.push('awaited'));
        await Promise.all(results);
        const urgent = told.findIndex(entry => (entry as unknown[])[1] === 'urgent');
        assert.equal(told[urgent + 1], 'awaited');
        told.splice(urgent, 2);
        assert.deepEqual(told, [
          ['value', 'a', threadId],
          ['map', [2, 4], threadId],
          ['starmap', [3], threadId],
        ]);
        const errors: unknown[] = [];
        const callback = () => assert.fail('it returned');
        const errorCallback = (error: unknown) => errors.push(error);
        await Promise.allSettled([
          pool.applyAsync(refuse, [1], { callback, errorCallback }),
          pool.mapAsync(refuse, [1], { callback, errorCallback }),
          pool.applyAsync(double, [1], { callback, errorCallback, timeout: -1 }),
        ]);
        await Promise.allSettled([pool.applyAsync(() => process.exit(3), [], { callback, errorCallback })]);
        assert.deepEqual(
          errors.map(error => (error as Error).name),
          ['RangeError', 'Refusal', 'Refusal', 'WorkerDiedError'],
        );
      },
    );

    test('that throw are uncaught exceptions, and the pool lives', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const why = new RangeError('in a callback');
      const fail = () => {
        throw why;
      };
      for (const give of [
        () => pool.applyAsync(double, [1], { callback: fail }),
        () => pool.applyAsync(refuse, [1], { errorCallback: fail }).catch(() => {}),
        () => pool.mapAsync(double, [1, 2], { callback: fail }),
        () => pool.starmapAsync(later, [[1]], { callback: fail }),
      ]) {
        const uncaught = nextUncaught();
        const others = Array.from({ length: 20 }, (_, i) => pool.run(later, [i]));
        await give();
        assert.equal(await uncaught, why);
        assert.deepEqual(
          await Promise.all(others),
          others.map((_, i) => i),
        );
      }
      assert.equal(pool.stats.restarts, 0);
    });

    test('may give tasks, resize the pool, and close it', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const seen: unknown[] = [];
      await new Promise<void>(resolve => {
        pool.applyAsync(double, [1], {
          callback: value => {
            seen.push(value);
            pool.resize(2);
            pool.applyAsync(double, [value], {
              callback: next => {
                seen.push(next);
                pool.close();
                assert.throws(() => pool.run(double, [1]), LifecycleError);
                resolve();
              },
            });
          },
        });
      });
      assert.equal(pool.size, 2);
      assert.equal(await pool.join(), true);
      assert.deepEqual(seen, [2, 4]);
    });

    test('may terminate the pool, whatever it is doing', LIMIT, async () => {
      const pool = new Pool(2, options);
      const errors: unknown[] = [];
      const errorCallback = (error: unknown) => errors.push(error);
      const given = [
        pool.applyAsync(forever, [], { errorCallback }),
        ...Array.from({ length: 3_000 }, (_, i) => pool.applyAsync(later, [i], { errorCallback })),
        pool.mapAsync(later, [1, 2, 3], { errorCallback }),
        pool.broadcast(later, ['each']),
      ];
      given.push(pool.broadcast(later, ['each']));
      const outcomes = Promise.allSettled(given);
      await new Promise<void>((resolve, reject) => {
        pool.applyAsync(later, ['first'], {
          priority: -1,
          callback: () => {
            pool.terminate().then(resolve, reject);
          },
        });
      });
      for (const outcome of await outcomes)
        assert.ok(outcome.status === 'fulfilled' || outcome.reason instanceof CancelledError);
      assert.ok(errors.length > 0);
      for (const error of errors) assert.ok(error instanceof CancelledError);
      assert.equal(pool.stats.busy + pool.stats.pending, 0);
    });

    test('are told of errors, which are unhandled rejections where nobody is', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const why = await new Promise(resolve => {
        pool.applyAsync(refuse, [1], { errorCallback: resolve });
      });
      assert.equal((why as Error).name, 'Refusal');
      const unhandled = nextUnhandled();
      pool.applyAsync(() => process.exit(9), [], { callback: () => assert.fail('it returned') });
      assert.ok((await unhandled) instanceof WorkerDiedError);
      for (const wrong of [3, null, {}])
        assert.throws(() => pool.applyAsync(double, [1], { callback: wrong as never }), TypeError);
      assert.throws(() => pool.mapAsync(double, [1], { errorCallback: 'log' as never }), TypeError);
      assert.deepEqual([pool.stats.completed, pool.stats.failed], [0, 2], 'nothing was given then');
    });
  });
}
