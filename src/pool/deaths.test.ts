import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CancelledError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { indexOf, self } from '../memory/participants.js';
import type { Process } from '../process/process.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { ring } from '../wait/doorbell.js';
import { CARRIERS, forever, quickTest, spin, warmUp } from './fixtures/carriers.js';
import { double, later, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };

const killMyself = () => {
  process.kill(process.pid, 'SIGKILL');
};

/** Resolves when so many tasks run. */
function running(pool: Pool, count: number): Promise<void> {
  return waitUntil(
    () => pool.stats.busy === count,
    () => `${count} tasks to run, not ${pool.stats.busy}`,
    20_000,
  );
}

/** Takes a while, and gives it back. */
function work<T>(value: T): T {
  const end = performance.now() + 0.3;
  while (performance.now() < end);
  return value;
}

/** Ends its task the first time that it runs: `file` says that it has. */
function dieOnce(file: string, value: string): string {
  const { existsSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
  if (existsSync(file)) return value;
  writeFileSync(file, '');
  process.exit(9);
}

for (const { carrier, options } of CARRIERS) {
  const quick = quickTest(options);
  describe(`a pool of ${carrier}`, () => {
    test('process.exit() in a task fails that task alone, and its worker is replaced', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const others = Array.from({ length: 50 }, (_, i) => pool.run(later, [i]));
      const failed = await pool.run(() => process.exit(5)).catch(error => error);
      assert.ok(failed instanceof WorkerDiedError);
      assert.deepEqual([failed.exitCode, failed.signalCode], [5, null]);
      assert.match(failed.message, /exited with code 5/);
      assert.deepEqual(
        await Promise.all(others),
        others.map((_, i) => i),
      );
      assert.deepEqual(await pool.map(double, [1, 2, 3, 4]), [2, 4, 6, 8]);
      assert.equal(pool.stats.restarts, 1);
    });

    quick('a large result is safe from what its worker does next', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const large = pool.run(() => new Uint8Array(1_000_000).fill(4));
      const died = pool.run(() => process.exit(1));
      const after = pool.run(() => new Uint8Array(1_000_000).fill(5));
      await assert.rejects(died, WorkerDiedError);
      assert.ok((await large).every(byte => byte === 4));
      assert.ok((await after).every(byte => byte === 5));
    });

    quick('a task is run again as often as "retries" says when its worker dies', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.join(tmpdir(), 'died-once');
      const retried = pool.run(dieOnce, [file, 'x'.repeat(5000)], { retries: 1 });
      assert.equal(await retried, 'x'.repeat(5000));
      rmSync(file);
      await assert.rejects(pool.run(dieOnce, [file, 'never']), WorkerDiedError);
      rmSync(file);
      await assert.rejects(
        pool.run(() => process.exit(3), [], { retries: 2 }),
        WorkerDiedError,
      );
      assert.equal(pool.stats.restarts, 5);
    });

    quick('a task that throws is not run again', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.join(tmpdir(), 'threw-once');
      const throwOnce = (name: string) => {
        const { existsSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
        if (existsSync(name)) return 'again';
        writeFileSync(name, '');
        throw new RangeError('once');
      };
      await assert.rejects(pool.run(throwOnce, [file], { retries: 5 }), RangeError);
      rmSync(file);
    });

    quick('a task that runs out of time dies alone', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const file = path.join(tmpdir(), 'neighbour');
      const neighbour = pool.run(until, [file, 'whole']);
      await running(pool, 1);
      for (const endless of [forever, spin]) {
        const failed = await pool.run(endless, [], { timeout: 20, retries: 3 }).catch(error => error);
        assert.ok(failed instanceof TimeoutError);
        assert.match(failed.message, /within 20 ms/);
      }
      writeFileSync(file, '');
      assert.equal(await neighbour, 'whole');
      rmSync(file);
      assert.equal(await pool.run(double, [2]), 4);
      assert.equal(pool.stats.restarts, 2);
    });

    quick('time counts from the start of the run, not while a task waits', LIMIT, async () => {
      await using pool = new Pool(1, options);
      await pool.ready();
      const file = path.join(tmpdir(), 'go-on');
      const first = pool.run(until, [file, 1]);
      await running(pool, 1);
      const waiting = pool.run(later, [2], { timeout: 400 });
      ring(indexOf(self()), REASON.CHANNEL); // have the pool look what runs
      await new Promise(resolve => setTimeout(resolve, 450)); // the time itself is what is tested
      writeFileSync(file, '');
      assert.deepEqual(await Promise.all([first, waiting]), [1, 2]);
      rmSync(file);
      assert.equal(pool.stats.restarts, 0);
    });

    quick('a signal ends a task before, while it waits and while it runs, and not after', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const reason = { why: 'enough' };
      const aborted = (promise: Promise<unknown>) =>
        promise.then(
          () => assert.fail('it returned'),
          error => assert.equal(error, reason),
        );
      await aborted(pool.run(double, [1], { signal: AbortSignal.abort(reason) }));
      const whole = new AbortController();
      const whileRunning = new AbortController();
      const whileWaiting = new AbortController();
      const file = path.join(tmpdir(), 'not-run');
      const runs = pool.run(forever, [], { signal: whileRunning.signal });
      const waits = pool.run(writeFileSync, [file, ''], { signal: whileWaiting.signal });
      const last = pool.run(double, [4], { signal: whole.signal });
      await running(pool, 1);
      whileWaiting.abort(reason);
      await aborted(waits);
      assert.equal(pool.stats.restarts, 0);
      whileRunning.abort(reason);
      await aborted(runs);
      assert.equal(await last, 8);
      whole.abort(reason);
      assert.equal(await last, 8);
      assert.equal(existsSync(file), false);
      assert.equal(pool.stats.restarts, 1);
    });

    quick(
      'cancel() ends a task that waits or runs, and is too late for one that is over',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const runs = pool.run(forever, [], { retries: 5 });
        const waits = pool.run(double, [1]);
        const last = pool.run(double, [2]);
        await running(pool, 1);
        assert.equal(waits.cancel(), true);
        await assert.rejects(waits, CancelledError);
        assert.equal(runs.cancel(), true);
        assert.equal(runs.cancel(), false);
        await assert.rejects(runs, CancelledError);
        assert.equal(await last, 4);
        assert.equal(last.cancel(), false);
        const all = pool.map(forever, [1, 2, 3], { chunksize: 1 });
        await running(pool, 1);
        assert.equal(all.cancel(), true);
        await assert.rejects(all, CancelledError);
        assert.equal(await pool.run(double, [3]), 6);
      },
    );

    quick('a task that is called off at any moment of its life takes no other with it', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.map(later, [1, 2, 3, 4]);
      for (let round = 0; round < 40; round++) {
        const victim = pool.run(later, ['victim']);
        const others = Array.from({ length: 20 }, (_, i) => pool.run(later, [i]));
        for (let turn = 0; turn < round % 8; turn++) await new Promise(resolve => setImmediate(resolve));
        const inTime = victim.cancel();
        const outcome = await victim.catch(error => error);
        if (inTime) assert.ok(outcome instanceof CancelledError, String(outcome));
        else assert.equal(outcome, 'victim');
        assert.deepEqual(
          await Promise.all(others),
          others.map((_, i) => i),
        );
      }
    });

    quick(
      'what a worker threw where nobody catches it ends the worker, and its task fails',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const loud = () => {
          process.stderr.write = () => true; // it is told there, which is of no use here
          setImmediate(() => {
            throw new RangeError('outside');
          });
          return new Promise(() => {});
        };
        await assert.rejects(pool.run(loud), WorkerDiedError);
        assert.equal(await pool.run(double, [4]), 8);
      },
    );
  });
}

for (const { carrier, options } of CARRIERS.filter(({ options }) => options.kind === 'process')) {
  const quick = quickTest(options);
  describe(`a pool of ${carrier}`, () => {
    test('SIGKILL fails the task that ran, alone', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const others = Array.from({ length: 50 }, (_, i) => pool.run(later, [i]));
      const failed = await pool.run(killMyself).catch(error => error);
      assert.ok(failed instanceof WorkerDiedError);
      assert.deepEqual([failed.exitCode, failed.signalCode], [null, 'SIGKILL']);
      assert.deepEqual(
        await Promise.all(others),
        others.map((_, i) => i),
      );
      assert.equal(await pool.run(double, [1]), 2);
    });

    quick('an idle worker that is killed is replaced', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const before = await pool.run(who);
      process.kill(Number.parseInt(before, 10), 'SIGKILL');
      await waitUntil(() => pool.stats.restarts === 1, 'the death to be seen', 20_000);
      assert.notEqual(await pool.run(who), before);
      const killed = Number.parseInt(await pool.run(who), 10);
      process.kill(killed, 'SIGKILL');
      const next = pool.run(who, [], { retries: 1 });
      assert.notEqual(await next, String(killed), 'a task given to the dead is run by the living');
    });

    quick('a worker that is killed at any moment costs no task but its own', LIMIT, async () => {
      await using pool = new Pool(2, options);
      let died = 0;
      const rounds = Number(process.env.MANYHANDS_KILLS ?? (options.context?.method === 'spawn' ? 12 : 40));
      for (let round = 0; round < rounds; round++) {
        await pool.map(later, [1, 2], { chunksize: 1 });
        const size = round % 3 === 0 ? 20_000 : 10;
        const tasks = Array.from({ length: 30 }, (_, i) => pool.run(work, [String(i).padEnd(size)]));
        for (let turn = 0; turn < round % 10; turn++) await new Promise(resolve => setImmediate(resolve));
        if (round % 4 === 3) await tasks[round % 20]; // on one processor they would not have begun
        const victim = pool.workers[round % 2] as Process | undefined;
        victim?.kill();
        const outcomes = await Promise.allSettled(tasks);
        const lost = outcomes.filter(outcome => outcome.status === 'rejected');
        died += lost.length;
        assert.ok(lost.length <= 1, `${lost.length} tasks were lost`);
        for (const { reason } of lost) assert.equal((reason as WorkerDiedError).pid, victim?.pid);
        outcomes.forEach((outcome, i) => {
          if (outcome.status === 'fulfilled') assert.equal(outcome.value, String(i).padEnd(size));
        });
      }
      assert.ok(died > 0, 'some were hit');
    });
  });
}
