import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CancelledError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import type { AsyncResult } from './async-result.js';
import { forever, QUICK_CARRIERS, spin, warmUp } from './fixtures/carriers.js';
import { double, heed, ignore, later, until, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';
import { taskSignal } from './task-signal.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };

/** Writes its number down, then ends its worker, as often as that comes to. */
function die(file: string, ..._: unknown[]): never {
  const { appendFileSync } = require('node:fs') as typeof import('node:fs');
  appendFileSync(file, 'x');
  process.exit(3);
}

const runs = (file: string) => readFileSync(file, 'utf8').length;

/** Waits until a task is at it that says so by this file. */
const at = (file: string) => waitUntil(() => existsSync(file), `${file} to be there`, 20_000);

async function rejection(result: Promise<unknown>): Promise<any> {
  return result.then(
    () => assert.fail('it returned'),
    error => error,
  );
}

for (const { carrier, options } of QUICK_CARRIERS) {
  describe(`a task in a pool of ${carrier}`, () => {
    test('that heeds taskSignal() is called off without its worker', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const worker = await pool.run(who);
      const file = path.join(tmpdir(), 'heeds');
      const reason = new RangeError('enough');
      const waysOff: [
        give: (signal: AbortSignal) => AsyncResult<void>,
        off: (task: AsyncResult<void>, controller: AbortController) => void,
        rejects: (error: any) => void,
        told: RegExp,
      ][] = [
        [
          signal => pool.run(heed, [file], { signal }),
          (_, controller) => controller.abort(reason),
          error => assert.equal(error, reason),
          /^CancelledError: /,
        ],
        [
          () => pool.run(heed, [file], { retries: 2 }),
          task => assert.equal(task.cancel(), true),
          error => assert.ok(error instanceof CancelledError),
          /^CancelledError: /,
        ],
        [
          () => pool.run(heed, [file], { timeout: 30 }),
          () => {},
          error => {
            assert.ok(error instanceof TimeoutError);
            assert.match(error.message, /^Cannot finish heed within 30 ms/);
          },
          /^TimeoutError: /,
        ],
      ];
      for (const [give, off, rejects, told] of waysOff) {
        const controller = new AbortController();
        const task = give(controller.signal);
        const next = pool.run(who);
        await at(file);
        off(task, controller);
        rejects(await rejection(task));
        assert.match(readFileSync(file, 'utf8'), told);
        assert.equal(await next, worker);
        rmSync(file);
      }
      assert.equal(pool.stats.restarts, 0);
    });

    test('that asks for taskSignal() only when it has been called off finds it aborted', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.join(tmpdir(), 'asks-twice');
      // Its worker is spared once it has asked; what it asks for after that is the same, and tells.
      const task = pool.run(
        async (name: string) => {
          const { writeFileSync } = require('node:fs') as typeof import('node:fs');
          const first = taskSignal() as AbortSignal;
          writeFileSync(name, '');
          while (!first.aborted) await new Promise(resolve => setTimeout(resolve, 1));
          const second = taskSignal() as AbortSignal;
          writeFileSync(name, `${first === second && second.aborted}`);
        },
        [file],
      );
      await at(file);
      assert.equal(task.cancel(), true);
      await assert.rejects(task, CancelledError);
      assert.equal(readFileSync(file, 'utf8'), 'true');
      rmSync(file);
      assert.equal(await pool.run(() => taskSignal()?.aborted), false, 'each task has its own');
      assert.equal(taskSignal(), undefined);
      // One that has not asked is ended at once, whatever it would do later.
      const begun = path.join(tmpdir(), 'begun');
      const late = pool.run(
        (name: string) => {
          const { writeFileSync } = require('node:fs') as typeof import('node:fs');
          writeFileSync(name, '');
          const end = performance.now() + 60_000;
          while (performance.now() < end);
          return taskSignal()?.aborted;
        },
        [begun],
      );
      await at(begun);
      late.cancel();
      await assert.rejects(late, CancelledError);
      rmSync(begun);
      assert.equal(await pool.run(double, [2]), 4);
      assert.equal(pool.stats.restarts, 1);
    });

    test('that has asked for taskSignal() and goes on is ended with its worker', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const files = ['async', 'sync'].map(name => path.join(tmpdir(), `ignores-${name}`));
      const deaf = (name: string) => {
        taskSignal();
        (require('node:fs') as typeof import('node:fs')).writeFileSync(name, '');
        for (;;);
      };
      const tasks = [pool.run(ignore, [files[0]]), pool.run(deaf, [files[1]], { timeout: 50 })];
      const outcomes = tasks.map(rejection);
      const others = Array.from({ length: 20 }, (_, i) => pool.run(later, [i]));
      for (const file of files) await at(file);
      tasks[0].cancel();
      const start = performance.now();
      assert.ok((await outcomes[0]) instanceof CancelledError);
      assert.ok(performance.now() - start > 250, 'it has had its time');
      assert.ok((await outcomes[1]) instanceof TimeoutError);
      assert.equal((await Promise.all(others)).length, 20);
      assert.equal(pool.stats.restarts, 2);
      for (const file of files) rmSync(file);
    });

    test('called off at any moment settles once, and costs a worker only if it ran', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.map(later, [1, 2, 3, 4]);
      // Tasks that heed: whenever that is, no worker may be lost.
      const quick = (ms: number) => {
        const signal = taskSignal() as AbortSignal;
        return new Promise<string>(resolve => {
          const timer = setTimeout(resolve, ms, 'whole');
          signal.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve('called off');
          });
        });
      };
      const outcomes = { whole: 0, cancelled: 0, late: 0 };
      for (let round = 0; round < 60; round++) {
        const reason = new Error(`round ${round}`);
        const controller = new AbortController();
        const options = round % 2 === 0 ? { signal: controller.signal } : { timeout: Math.random() * 4 };
        const task = pool.run(quick, [Math.random() * 3], options);
        const other = pool.run(later, [round]);
        const timer = setTimeout(() => controller.abort(reason), Math.random() * 4);
        const outcome = await task.catch(error => error);
        clearTimeout(timer);
        if (outcome === 'whole') outcomes.whole++;
        else if (outcome === reason) outcomes.cancelled++;
        else {
          assert.ok(outcome instanceof TimeoutError, String(outcome));
          outcomes.late++;
        }
        assert.equal(task.cancel(), false);
        assert.equal(await other, round);
      }
      assert.ok(outcomes.whole > 0 && outcomes.cancelled + outcomes.late > 0, JSON.stringify(outcomes));
      const early = pool.stats.restarts; // of some that had not asked yet
      assert.ok(early <= outcomes.cancelled + outcomes.late && early < 30, `${early} workers were lost`);
      // Tasks that do not: exactly those are lost that did not return.
      const before = pool.stats.restarts;
      let lost = 0;
      for (let round = 0; round < 10; round++) {
        const task = pool.run(later, ['whole']);
        for (let turn = 0; turn < round % 4; turn++) await new Promise(resolve => setImmediate(resolve));
        const inTime = task.cancel();
        const outcome = await task.catch(error => error);
        assert.equal(outcome instanceof CancelledError, inTime);
        if (!inTime) assert.equal(outcome, 'whole');
        else lost++;
      }
      assert.ok(pool.stats.restarts - before <= lost);
    });

    test('has its time to itself: 1,000 that wait long and run shortly are all in time', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const brief = (n: number) => {
        const end = performance.now() + 0.2;
        while (performance.now() < end);
        return n;
      };
      const all = Array.from({ length: 1_000 }, (_, i) => pool.run(brief, [i], { timeout: 2_000 }));
      const late = pool.run(forever, [], { timeout: 0, priority: -1 });
      assert.match((await rejection(late)).message, /within 0 ms/);
      assert.deepEqual(
        await Promise.all(all),
        all.map((_, i) => i),
      );
      assert.equal(pool.stats.failed, 1);
    });

    test('is one of 1,000 with the same signal', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const warnings: Error[] = [];
      const warned = (warning: Error) => warnings.push(warning);
      process.on('warning', warned);
      const controller = new AbortController();
      const { signal } = controller;
      const whole = Array.from({ length: 1_000 }, (_, i) => pool.run(later, [i], { signal }));
      assert.equal((await Promise.all(whole)).length, 1_000);
      const file = path.join(tmpdir(), 'one-of-many');
      const reason = { why: 'enough' };
      const busy = pool.run(until, [`${file}-go`, 'whole']);
      const off = new AbortController();
      const heeds = pool.run(heed, [file], { signal: off.signal });
      await at(file);
      await waitUntil(() => pool.stats.busy === 2, 'both to run', 20_000);
      const waiting = Array.from({ length: 3_000 }, (_, i) =>
        pool.run(later, [i], { signal, priority: i % 3 }),
      );
      const kept = pool.run(later, ['kept'], { priority: 1 });
      const failures = Promise.all([...waiting, heeds].map(rejection));
      controller.abort(reason);
      off.abort(reason); // later: its worker would have begun one of the others before that was told
      for (const error of await failures) assert.equal(error, reason);
      for (const give of [
        () => pool.run(later, [1], { signal }),
        () => pool.map(later, [1], { signal }),
        () => pool.applyAsync(later, [1], { signal }),
      ])
        assert.equal(await rejection(give()), reason);
      writeFileSync(`${file}-go`, '');
      assert.deepEqual(await Promise.all([kept, busy]), ['kept', 'whole']);
      assert.equal(pool.stats.restarts, 0);
      await new Promise(resolve => setImmediate(resolve));
      process.off('warning', warned);
      assert.deepEqual(warnings, []);
      rmSync(file);
      rmSync(`${file}-go`);
    });

    test('runs again "retries" times when its worker dies, and for nothing else', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const file = path.join(tmpdir(), 'runs');
      const died = async (given: Promise<unknown>, count: number) => {
        assert.ok((await rejection(given)) instanceof WorkerDiedError);
        assert.equal(runs(file), count);
        rmSync(file);
      };
      await died(pool.run(die, [file]), 1);
      await died(pool.run(die, [file, 'x'.repeat(100_000)], { retries: 2 }), 3);
      const { buffer } = new Uint8Array(70_000).fill(7);
      const whole = pool.run(
        (name: string, bytes: ArrayBuffer) => {
          const { appendFileSync, readFileSync } = require('node:fs') as typeof import('node:fs');
          appendFileSync(name, 'x');
          if (readFileSync(name, 'utf8').length < 3) process.exit(1);
          return new Uint8Array(bytes);
        },
        [file, buffer],
        { retries: 2, transfer: [buffer] },
      );
      assert.equal(buffer.byteLength, 0);
      assert.deepEqual(await whole, new Uint8Array(70_000).fill(7));
      assert.equal(runs(file), 3);
      rmSync(file);
      await pool.ready();
      await died(pool.broadcast(die, [file], { retries: 1 }), 4);
      await died(pool.map(die, [file], { retries: 1 }), 2);
      const failing = (name: string, how: string) => {
        const { appendFileSync } = require('node:fs') as typeof import('node:fs');
        appendFileSync(name, 'x');
        if (how === 'throw') throw new RangeError(how);
        return how === 'function' ? Symbol(how) : new Promise(() => setInterval(() => {}, 1e6));
      };
      const off = new AbortController();
      const tasks = ['throw', 'function', 'time', 'signal'].map(how =>
        pool.run(failing, [`${file}-${how}`, how], {
          retries: 5,
          ...(how === 'time' ? { timeout: 20 } : { signal: off.signal }),
        }),
      );
      const outcomes = Promise.allSettled(tasks);
      await waitUntil(() => existsSync(`${file}-signal`), 'all to have begun', 20_000);
      off.abort();
      assert.deepEqual(
        (await outcomes).map(outcome => outcome.status === 'rejected' && outcome.reason.name),
        ['RangeError', 'SerializationError', 'TimeoutError', 'AbortError'],
      );
      for (const how of ['throw', 'function', 'time', 'signal']) {
        assert.equal(runs(`${file}-${how}`), 1, how);
        rmSync(`${file}-${how}`);
      }
    });

    test(
      'that is run again is called off like any other, with its worker unless it has asked again',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const file = path.join(tmpdir(), 'asked-before');
        // It asks in its first run only: so nobody waits for it in its second.
        const task = pool.run(
          (name: string) => {
            const { existsSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
            if (!existsSync(name)) {
              taskSignal();
              writeFileSync(name, '');
              process.exit(1);
            }
            writeFileSync(`${name}-again`, '');
            for (;;);
          },
          [file],
          { retries: 1 },
        );
        await at(`${file}-again`);
        assert.equal(task.cancel(), true);
        await assert.rejects(task, CancelledError);
        const heard = pool.run(heed, [`${file}-heard`]);
        await at(`${file}-heard`);
        heard.cancel();
        await assert.rejects(heard, CancelledError);
        assert.equal(pool.stats.restarts, 2);
        for (const end of ['', '-again', '-heard']) rmSync(`${file}${end}`);
      },
    );

    test('is the only one to end, whatever the others do', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const file = path.join(tmpdir(), 'beside');
      const neighbour = pool.run(until, [file, 'whole']);
      await waitUntil(() => pool.stats.busy === 1, 'it to run', 20_000);
      const victims = [
        pool.run(spin, [], { timeout: 20 }),
        pool.run(forever, [], { timeout: 20 }),
        pool.run(forever, [], { signal: AbortSignal.timeout(20) }),
      ];
      const others = Array.from({ length: 100 }, (_, i) => pool.run(later, [i]));
      const names = (await Promise.all(victims.map(rejection))).map(({ name }) => name);
      assert.deepEqual(names, ['TimeoutError', 'TimeoutError', 'TimeoutError']);
      assert.equal((await Promise.all(others)).length, 100);
      writeFileSync(file, '');
      assert.equal(await neighbour, 'whole');
      rmSync(file);
    });
  });
}
