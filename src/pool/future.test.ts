import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CancelledError, TimeoutError } from '../errors/errors.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { ProcessPoolExecutor } from './executor.js';
import { CARRIERS, warmUp } from './fixtures/carriers.js';
import { double, gated, Refusal, refuse } from './fixtures/tasks.js';
import { Future } from './future.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

for (const { carrier, options } of CARRIERS) {
  test(
    `a future of ${carrier} tells whether it waits, runs or is over, and is cancelled only while it waits`,
    LIMIT,
    async () => {
      await using executor = new ProcessPoolExecutor({ ...options, size: 1 });
      using flag = new EventFlag();
      const running = executor.submit(gated, flag, 'value');
      const waiting = executor.submit(double, 2);
      assert.ok(running instanceof Future && running instanceof Promise);
      await waitUntil(() => running.running(), 'a task to run');
      for (const future of [running, waiting])
        assert.deepEqual([future.done(), future.cancelled()], [false, false]);
      assert.equal(waiting.running(), false);
      await assert.rejects(running.result({ timeout: 0 }), TimeoutError);
      await assert.rejects(running.exception({ timeout: 0 }), TimeoutError);
      await assert.rejects(running.exception({ signal: AbortSignal.abort('enough') }), e => e === 'enough');

      assert.equal(running.cancel(), false);
      assert.equal(waiting.cancel(), true);
      assert.deepEqual([waiting.done(), waiting.cancelled(), waiting.running()], [true, true, false]);
      await assert.rejects(waiting, CancelledError);
      await assert.rejects(waiting.exception(), CancelledError);
      assert.equal(waiting.cancel(), true, 'it is cancelled');

      flag.set();
      assert.equal(await running.result(), 'value');
      assert.deepEqual([running.done(), running.cancelled(), running.running()], [true, false, false]);
      assert.equal(running.cancel(), false);
      assert.equal(await running.exception(), undefined);
      await assert.rejects(waiting, CancelledError);
    },
  );
}

describe('a future', () => {
  test(
    'gives what its function threw; a CancelledError of its own does not make it cancelled',
    LIMIT,
    async () => {
      await using executor = new ProcessPoolExecutor(1);
      const refused = executor.submit(refuse, 5);
      const error = await refused.exception();
      assert.ok(error instanceof Refusal && error.amount === 5);
      await assert.rejects(refused.result(), e => e === error);
      const own = executor.submit(() => {
        throw new CancelledError('of its own');
      });
      assert.ok((await own.exception()) instanceof CancelledError);
      assert.deepEqual([own.cancelled(), own.cancel()], [false, false]);
    },
  );

  test('runs once more after a death: it waits again, and can be cancelled', () => {
    const future = Future.pending<Future<number>>();
    let isRunning = true;
    const withdraw = (reason: unknown) => {
      if (!isRunning) future.fail(reason);
      return !isRunning;
    };
    future.setSource({ cancel: () => false, withdraw, isRunning: () => isRunning });
    assert.deepEqual([future.running(), future.cancel()], [true, false]);
    isRunning = false;
    assert.deepEqual([future.running(), future.cancel()], [false, true]);
  });

  test('calls back in the order of adding, before who awaits it goes on, and in a microtask if it is over', async () => {
    const future = Future.pending<Future<string>>();
    const seen: unknown[] = [];
    const awaited = future.then(value => seen.push(value));
    future.addDoneCallback(over => seen.push(over === future && over.done()));
    future.addDoneCallback(() => {
      seen.push('second');
      future.addDoneCallback(() => seen.push('added by the second'));
      seen.push('second is over');
    });
    future.give('awaited');
    future.addDoneCallback(() => seen.push('late'));
    assert.deepEqual(seen, []);
    await awaited;
    await new Promise(setImmediate);
    const inOrder = [true, 'second', 'second is over', 'awaited', 'late', 'added by the second'];
    assert.deepEqual(seen, inOrder);
    assert.throws(() => future.addDoneCallback(undefined as never), {
      name: 'TypeError',
      message: /undefined/,
    });
  });

  test('calls back when it fails and when it is cancelled', async () => {
    const seen: unknown[] = [];
    const failed = Future.pending<Future<unknown>>();
    const cancelled = Future.pending<Future<unknown>>();
    cancelled.setSource({
      cancel: () => false,
      withdraw: reason => {
        cancelled.fail(reason);
        return true;
      },
      isRunning: () => false,
    });
    for (const future of [failed, cancelled])
      future.addDoneCallback(f => seen.push([f === cancelled, f.cancelled()]));
    failed.fail(new Error('failed'));
    cancelled.cancel();
    await assert.rejects(failed);
    assert.deepEqual(seen, [
      [false, false],
      [true, true],
    ]);
  });

  test(
    'that throws in a callback is an uncaught exception; nobody who asks finds a rejection unhandled',
    LIMIT,
    async () => {
      const program = `
      const { ProcessPoolExecutor, asCompleted, waitFutures } = require(${JSON.stringify(path.join(__dirname, '..', 'index.js'))});
      const told = [];
      process.on('uncaughtException', error => told.push('uncaught ' + error.message));
      process.on('unhandledRejection', error => told.push('unhandled ' + error.message));
      const throwing = name => { throw new Error(name) };
      (async () => {
        const executor = new ProcessPoolExecutor(1);
        const asked = {};
        for (const how of ['get', 'wait', 'exception', 'asCompleted', 'waitFutures', 'addDoneCallback', 'nobody'])
          asked[how] = executor.submit(throwing, how);
        const cancelled = executor.submit(throwing, 'cancelled').cancel();
        asked.addDoneCallback.addDoneCallback(() => { throw new Error('first') });
        asked.addDoneCallback.addDoneCallback(() => told.push('second'));
        asked.get.get().catch(() => {});
        asked.wait.wait();
        asked.exception.exception();
        asCompleted([asked.asCompleted]);
        waitFutures([asked.waitFutures]);
        await executor.shutdown();
        setImmediate(() => console.log(JSON.stringify([cancelled, told])));
      })();`;
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', program]);
      assert.deepEqual(JSON.parse(stdout), [true, ['uncaught first', 'second', 'unhandled nobody']]);
    },
  );
});
