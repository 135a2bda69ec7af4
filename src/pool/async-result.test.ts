import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CancelledError, LifecycleError, TimeoutError } from '../errors/errors.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import type { WaitOptions } from '../wait/options.js';
import { AsyncResult } from './async-result.js';
import { CARRIERS, forever, warmUp } from './fixtures/carriers.js';
import { double, type Refusal, refuse } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 20_000 };

/** The two ways to ask for a result and wait for it. */
const ways: [name: string, ask: (result: AsyncResult<any>, options?: WaitOptions) => Promise<unknown>][] = [
  ['get()', (result, options) => result.get(options)],
  ['wait()', (result, options) => result.wait(options)],
];

/** What is reported as unhandled while `act` runs and in the turn after it. */
async function unhandled(act: () => unknown): Promise<unknown[]> {
  const reported: unknown[] = [];
  const note = (reason: unknown) => reported.push(reason);
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection'); // the test runner's
  process.on('unhandledRejection', note);
  try {
    await act();
    await nextTurn();
  } finally {
    process.off('unhandledRejection', note);
    for (const listener of others) process.on('unhandledRejection', listener);
  }
  return reported;
}

async function untilSet(flag: EventFlag): Promise<string> {
  await flag.wait();
  return 'set';
}

for (const { carrier, options } of CARRIERS) {
  describe(`results of a pool of ${carrier}`, () => {
    test('whoever gives up asking leaves the task running, and others asking', LIMIT, async () => {
      using flag = new EventFlag();
      await using pool = new Pool(1, options);
      const result = pool.run(untilSet, [flag]);
      const patient = [result.get(), result.wait(), result.get({ timeout: 1e9 })];
      const controller = new AbortController();
      const reason = { why: 'enough' };
      const { signal } = controller;
      const impatient = ways.map(([, ask]) =>
        ask(result, { signal }).then(
          () => assert.fail('it was there'),
          error => assert.equal(error, reason),
        ),
      );
      controller.abort(reason);
      await Promise.all(impatient);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      await assert.rejects(result.get({ timeout: 1 }), TimeoutError);
      assert.equal(await result.wait({ timeout: 1 }), false);
      assert.equal(result.ready(), false);
      flag.set();
      assert.deepEqual(await Promise.all(patient), ['set', true, 'set']);
      assert.equal(await result, 'set');
      assert.equal(pool.stats.restarts, 0);
    });

    test('a result that is there answers at once, any number of times, and the same', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const error = { name: 'Refusal', amount: 7 };
      const calls: [() => AsyncResult<unknown>, { value: unknown } | { error: object }][] = [
        [() => pool.run(() => ({ made: 'once' })), { value: { made: 'once' } }],
        [() => pool.map(double, [1, 2, 3]), { value: [2, 4, 6] }],
        [() => pool.run(refuse, [7]), { error }],
        [() => pool.map(refuse, [7, 8]), { error }],
      ];
      for (const [call, expected] of calls) {
        const successful = 'value' in expected;
        const result = call();
        assert.equal(result.ready(), false);
        assert.throws(() => result.successful(), LifecycleError);
        assert.equal(await result.wait(), true);
        assert.equal(await result.wait({ timeout: 0 }), true);
        assert.deepEqual([result.ready(), result.successful()], [true, successful]);
        assert.deepEqual([result.cancel(), result.ready(), result.successful()], [false, true, successful]);
        if (successful) assert.deepEqual(await result, expected.value);
        else await assert.rejects(result, expected.error);
        const outcomes = Array.from({ length: 300 }, (_, i) =>
          (i % 2 ? result : result.get({ timeout: 0 })).catch(error => error),
        );
        const [first, ...others] = await Promise.all(outcomes);
        for (const other of others) assert.equal(other, first);
      }
    });
  });
}

test('what ends with the pool, or is cancelled, is not reported though nobody has asked', LIMIT, async () => {
  const pool = new Pool(1);
  await pool.ready();
  const reported = await unhandled(async () => {
    const runs = pool.run(forever);
    const waits = pool.run(double, [1]);
    const maps = pool.map(forever, [1, 2]);
    assert.equal(waits.cancel(), true);
    await pool.terminate();
    for (const result of [runs, waits, maps]) {
      assert.equal(result.ready(), true);
      await assert.rejects(result, CancelledError, 'whoever asks is told');
    }
    pool.terminate();
  });
  assert.deepEqual(reported, []);
});

test('an error that nobody has asked for is reported', LIMIT, async () => {
  await using pool = new Pool(1);
  const reported = await unhandled(async () => {
    pool.run(refuse, [1]);
    pool.map(refuse, [2]);
    const asked = [pool.run(refuse, [3]), pool.run(refuse, [4])];
    await Promise.all(asked.map(result => result.wait()));
  });
  assert.deepEqual(
    reported.map(error => (error as Refusal).amount),
    [1, 2],
  );
});

test('it is a promise, and what is made of it are plain ones', LIMIT, async () => {
  const result = AsyncResult.pending<AsyncResult<number>>();
  assert.ok(result instanceof Promise);
  const made = [result.then(n => n + 1), result.catch(() => 0), result.finally(() => {})];
  for (const promise of made) {
    assert.ok(promise instanceof Promise);
    assert.equal(promise instanceof AsyncResult, false);
  }
  result.give(1);
  assert.deepEqual(await Promise.all(made), [2, 1, 1]);
  assert.equal(await Promise.race([result, new Promise(() => {})]), 1);
  assert.deepEqual(await Promise.allSettled([result]), [{ status: 'fulfilled', value: 1 }]);
});

test('ready() is true by the time that anybody goes on', LIMIT, async () => {
  for (const settle of ['give', 'fail'] as const) {
    const result = AsyncResult.pending<AsyncResult<unknown>>();
    const order: string[] = [];
    const look = (name: string) => () => {
      order.push(name);
      assert.deepEqual([result.ready(), result.successful()], [true, settle === 'give']);
    };
    const asked = [
      result.then(look('then'), look('then')),
      result.get().then(look('get'), look('get')),
      result.wait().then(look('wait')),
    ];
    assert.equal(result.ready(), false);
    result[settle](new Error('as it came'));
    look('at once')();
    await Promise.all(asked);
    assert.deepEqual(order.sort(), ['at once', 'get', 'then', 'wait']);
  }
});

for (const [way, ask] of ways) {
  test(`nothing is reported as unhandled once ${way} has asked, also in vain`, LIMIT, async () => {
    const reported = await unhandled(async () => {
      for (const options of [undefined, { timeout: 0 }, { timeout: 1 }, { timeout: 1e9 }]) {
        const result = AsyncResult.pending<AsyncResult<unknown>>();
        const asked = ask(result, options).catch(() => {});
        if (options?.timeout !== 1e9 && options !== undefined) await asked;
        result.fail(new Error('asked'));
        await asked;
      }
    });
    assert.deepEqual(reported, []);
  });

  test(`${way} looks at what it is given first, be the result there or not`, LIMIT, async () => {
    const there = AsyncResult.pending<AsyncResult<number>>();
    there.give(1);
    const reason = new Error('enough');
    for (const result of [AsyncResult.pending<AsyncResult<number>>(), there]) {
      await assert.rejects(ask(result, { timeout: -1 }), RangeError);
      await assert.rejects(ask(result, { timeout: '5' as never }), TypeError);
      await assert.rejects(ask(result, { signal: AbortSignal.abort(reason) }), reason);
    }
  });
}

test('what get() rejects with is reported if nobody takes it', LIMIT, async () => {
  const error = new Error('not taken');
  const reported = await unhandled(async () => {
    const result = AsyncResult.pending<AsyncResult<unknown>>();
    void result.get();
    result.fail(error);
    await result.wait();
  });
  assert.deepEqual(reported, [error]);
});

test('ready() and successful() do not count as asking: an error is reported', LIMIT, async () => {
  const error = new Error('not asked for');
  const reported = await unhandled(async () => {
    const result = AsyncResult.pending<AsyncResult<unknown>>();
    assert.equal(result.ready(), false);
    result.fail(error);
    assert.equal(result.successful(), false);
    await nextTurn();
  });
  assert.deepEqual(reported, [error]);
});

test('it is called off by what stands behind it, until it is over', LIMIT, async () => {
  const reasons: unknown[] = [];
  const behind = (answer: boolean) => (reason: unknown) => {
    reasons.push(reason);
    return answer;
  };
  const result = AsyncResult.pending<AsyncResult<number>>();
  assert.deepEqual([result.cancel(), result.withdraw()], [false, false], 'nothing stands behind it');
  result.setSource({ cancel: behind(true), withdraw: behind(false), isRunning: () => false });
  assert.deepEqual([result.cancel(), result.withdraw()], [true, false]);
  assert.equal(reasons.length, 2);
  for (const reason of reasons) assert.ok(reason instanceof CancelledError);
  assert.equal(result.ready(), false, 'that takes its time');
  result.give(1);
  assert.deepEqual([result.cancel(), result.withdraw()], [false, false]);
  assert.equal(reasons.length, 2);
});
