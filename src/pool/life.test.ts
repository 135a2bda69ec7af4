import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CancelledError, LifecycleError } from '../errors/errors.js';
import { nextPath } from '../process/identity.js';
import { Process } from '../process/process.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { alive, descendants, waitUntil } from '../testing/processes.js';
import { CARRIERS, forever, quickTest, spin, warmUp } from './fixtures/carriers.js';
import { double, later } from './fixtures/tasks.js';
import { Pool } from './pool.js';
import { Program } from './testing/programs.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const PROGRAM = path.resolve(__dirname, '../../src/pool/fixtures/program.cjs');

for (const { carrier, options } of CARRIERS) {
  const quick = quickTest(options);
  describe(`a pool of ${carrier}`, () => {
    test('close() and join() let all that was given finish', LIMIT, async () => {
      const pool = new Pool(2, options);
      const all = Array.from({ length: 3000 }, (_, i) => pool.run(later, [i]));
      pool.close();
      pool.close();
      assert.throws(() => pool.run(double, [1]), LifecycleError);
      assert.equal(await pool.join(), true);
      assert.ok(all.every(result => result.ready()));
      assert.deepEqual(
        await Promise.all(all),
        all.map((_, i) => i),
      );
      assert.equal(await pool.join(), true);
      assert.deepEqual(pool.workers, []);
    });

    test('a pool that was never used, or not yet up, closes', LIMIT, async () => {
      const early = new Pool(2, options);
      early.close();
      assert.equal(await early.join(), true);
      const idle = new Pool(2, options);
      await idle.ready();
      idle.close();
      assert.equal(await idle.join(), true);
    });

    quick('terminate() rejects all with CancelledError and leaves no process', LIMIT, async () => {
      const pool = new Pool(2, options);
      await pool.ready();
      const before = pool.workers;
      const all = [
        pool.run(forever),
        pool.run(spin, [], { retries: 3 }),
        ...Array.from({ length: 5000 }, (_, i) => pool.run(later, [i])),
        pool.map(later, [1, 2, 3]),
      ];
      const outcomes = Promise.allSettled(all);
      await waitUntil(() => pool.stats.busy === 2, 'two tasks to run');
      await Promise.all([pool.terminate(), pool.terminate()]);
      for (const outcome of await outcomes)
        assert.ok(outcome.status === 'rejected' && outcome.reason instanceof CancelledError);
      assert.equal(before.length, 2);
      assert.ok(
        before.every(
          worker => !worker.isAlive() && !(worker instanceof Process && alive(worker.pid as number)),
        ),
      );
      assert.throws(() => pool.run(double, [1]), LifecycleError);
      pool.close();
      await pool.terminate();
      assert.equal(await pool.join(), true);
      assert.equal(pool.stats.busy, 0);
    });

    test('terminate() ends a pool at any moment', LIMIT, async () => {
      for (let round = 0; round < 12; round++) {
        const pool = new Pool(2, options);
        const outcomes = Promise.allSettled(
          Array.from({ length: 50 }, () => pool.run(later, [new Uint8Array(10_000)])),
        );
        for (let turn = 0; turn < round * 20; turn++) await new Promise(resolve => setImmediate(resolve));
        await pool.terminate();
        for (const outcome of await outcomes)
          assert.ok(outcome.status === 'fulfilled' || outcome.reason instanceof CancelledError);
      }
    });

    quick('terminate() hastens a pool that closes', LIMIT, async () => {
      const pool = new Pool(1, options);
      const cancelled = assert.rejects(pool.run(forever), CancelledError);
      pool.close();
      assert.equal(await pool.join({ timeout: 10 }), false);
      await pool.terminate();
      await cancelled;
      assert.equal(await pool.join(), true);
    });

    quick('join() wants the pool closed', LIMIT, async () => {
      await using pool = new Pool(1, options);
      await assert.rejects(pool.join(), LifecycleError);
      assert.equal(await pool.run(double, [2]), 4);
    });

    quick('leaving its scope terminates it, unless it was closed', LIMIT, async () => {
      let lost: Promise<unknown>;
      {
        await using pool = new Pool(1, options);
        lost = pool.run(forever);
        lost.catch(() => {});
      }
      await assert.rejects(lost, CancelledError);
      let kept: Promise<unknown>[];
      {
        await using pool = new Pool(1, options);
        kept = Array.from({ length: 100 }, (_, i) => pool.run(later, [i]));
        pool.close();
      }
      assert.equal((await Promise.all(kept)).length, 100);
    });

    quick('a death while it closes does not keep it from ending', LIMIT, async () => {
      const pool = new Pool(2, options);
      const all = [
        ...Array.from({ length: 20 }, (_, i) => pool.run(later, [i])),
        pool.run(() => process.exit(4)),
        ...Array.from({ length: 20 }, (_, i) => pool.run(later, [i])),
      ];
      const outcomes = Promise.allSettled(all);
      pool.close();
      await pool.join();
      assert.equal((await outcomes).filter(({ status }) => status === 'fulfilled').length, 40);
    });

    quick('pools work inside its workers', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const library = path.resolve(__dirname, 'pool.js');
      const nest = async (n: number) => {
        const inner = new (require(library) as typeof import('./pool.js')).Pool(2, options);
        const all = await inner.map((i: number) => i * 10, [n, n + 1]);
        inner.close();
        await inner.join();
        return all;
      };
      assert.deepEqual(await pool.map(nest, [1, 2, 3], { chunksize: 1 }), [
        [10, 20],
        [20, 30],
        [30, 40],
      ]);
    });

    quick(
      'a pool that was never closed neither keeps its program from ending nor leaves a worker',
      LIMIT,
      async () => {
        const program = new Program(PROGRAM, options, 'forget');
        assert.deepEqual(await program.ended, [0, null]);
        await program.gone();
        assert.equal(await program.output, 'up 42\n');
        assert.equal(await program.errors, '');
      },
    );

    test('process.exit() and uncaught errors of its program leave no worker', LIMIT, async () => {
      const exits = new Program(PROGRAM, options, 'exit');
      assert.deepEqual(await exits.ended, [3, null]);
      await exits.gone();
      assert.equal(await exits.errors, '');
      const throws = new Program(PROGRAM, options, 'throw');
      assert.deepEqual(await throws.ended, [1, null]);
      await throws.gone();
      assert.match(await throws.errors, /RangeError: thrown outside/);
    });

    test('its workers are gone within 100 ms after their program was killed', LIMIT, async () => {
      const times: number[] = [];
      // A busy machine may need longer now and then.
      for (let attempt = 0; attempt < 4 && !(Math.min(...times) < 100); attempt++) {
        const program = new Program(PROGRAM, options, 'stay');
        await program.up;
        assert.ok(program.family.length >= 1);
        program.signal('SIGKILL');
        assert.deepEqual(await program.ended, [null, 'SIGKILL']);
        times.push(await program.gone());
      }
      assert.ok(Math.min(...times) < 100, `it took ${times} ms`);
    });

    quick('Ctrl-C ends its program and all workers', LIMIT, async () => {
      const program = new Program(PROGRAM, options, 'stay');
      await program.up;
      program.signalGroup('SIGINT');
      assert.deepEqual(await program.ended, [null, 'SIGINT']);
      await program.gone();
      assert.equal(await program.errors, '');
    });

    quick('pools inside its workers end with its program, however that ends', LIMIT, async () => {
      for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
        const program = new Program(PROGRAM, options, 'nest');
        await program.up;
        if (options.kind !== 'thread') assert.ok(program.family.length >= 5, `${program.family.length}`);
        program.signal(signal);
        assert.deepEqual(await program.ended, [null, signal]);
        await program.gone();
        assert.match(await program.output, /^nested 2\nup 42\n$/);
      }
    });

    test('its workers know what process they are in', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const file = path.resolve(__dirname, '..', 'process', 'identity.js');
      const [name, next, root, ppid] = await pool.run(() => {
        const { identity, nextPath } = require(file) as typeof import('../process/identity.js');
        return [identity()?.name, nextPath(), identity()?.parent.pid, process.ppid];
      });
      if (options.kind === 'thread') {
        const number = Number(nextPath());
        assert.deepEqual([name, next, root, ppid], [undefined, String(number - 1), undefined, process.ppid]);
      } else {
        assert.match(String(name), /^PoolWorker-\d+$/);
        assert.match(String(next), /^\d+:1$/);
        assert.deepEqual([root, ppid], [process.pid, process.pid]);
      }
    });

    quick('pools inside its workers end when it is terminated', LIMIT, async () => {
      const before = new Set(descendants().map(({ pid }) => pid));
      const pool = new Pool(1, options);
      const library = path.resolve(__dirname, 'pool.js');
      await pool.run(async () => {
        const inner = new (require(library) as typeof import('./pool.js')).Pool(2, options);
        (globalThis as { manyhandsTestInner?: unknown }).manyhandsTestInner = inner;
        await inner.ready();
      });
      await pool.terminate();
      const born = () => descendants().filter(({ pid }) => !before.has(pid) && alive(pid));
      const left = () => born().filter(({ command }) => !command.includes('fork server'));
      await waitUntil(
        () => left().length === 0,
        () => `these to end: ${left().map(({ command }) => command)}`,
      );
    });
  });
}
