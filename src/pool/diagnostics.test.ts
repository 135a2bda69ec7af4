import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { CancelledError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import type { TaskEvent, WorkerEvent } from './diagnostics.js';
import { CARRIERS, forever, spin, warmUp } from './fixtures/carriers.js';
import { Files } from './fixtures/files.js';
import { double, later } from './fixtures/tasks.js';
import type { Worker } from './options.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };
const EVENTS = ['task:start', 'task:end', 'worker:start', 'worker:end'] as const;

interface Told {
  readonly what: (typeof EVENTS)[number];
  readonly event: TaskEvent & WorkerEvent;
  /** As it was then. */
  readonly worker: Worker | undefined;
}

/** Notes down all that is published about pools, from now on until it is disposed of. */
class Audience implements Disposable {
  readonly told: Told[] = [];
  readonly #listeners = EVENTS.map(what => {
    const listener = (message: unknown) => {
      const event = message as TaskEvent & WorkerEvent;
      this.told.push({ what, event, worker: event.worker });
    };
    subscribe(`manyhands:${what}`, listener);
    return [`manyhands:${what}`, listener] as const;
  });

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener);
  }

  /** What was told of the task of this id. */
  of(id: number): Told[] {
    return this.told.filter(({ what, event }) => what.startsWith('task') && event.id === id);
  }
}

// How its processes start makes no difference here.
for (const { carrier, options } of CARRIERS.filter(({ options }) => options.context?.method !== 'spawn')) {
  describe(`a pool of ${carrier}`, () => {
    test('publishes one end of each task, and before it one start at most', LIMIT, async () => {
      using audience = new Audience();
      const pool = new Pool(2, options);
      await pool.ready();
      const [first, second] = pool.workers;
      using files = new Files();
      const dieOnce = (file: string) => {
        if (existsSync(file)) return 'again';
        writeFileSync(file, '');
        process.exit(3);
      };
      await pool.broadcast(double, [1]); // 1, 2
      const fail = () => {
        throw new RangeError('failed');
      };
      const outcomes = [
        pool.run(double, [1], { priority: 3 }), // 3
        pool.run(fail), // 4
        pool.run(() => process.exit(3)), // 5
        pool.run(spin, [], { timeout: 20 }), // 6
        pool.run(dieOnce, [files.path('once')], { retries: 1 }), // 7
      ];
      const settled = await Promise.allSettled(outcomes);
      await pool.ready();
      const all = [pool.run(forever), pool.run(spin)]; // 8, 9
      await waitUntil(() => pool.stats.busy === 2, 'both to run');
      const waiting = pool.run(double, [1]); // 10
      const cancelled = pool.run(double, [1]); // 11
      cancelled.cancel();
      const left = Promise.allSettled([...all, waiting, cancelled]);
      const before = pool.workers;
      await pool.terminate();
      await left;

      for (let id = 1; id <= 11; id++) {
        const told = audience.of(id);
        const never = id >= 10;
        assert.deepEqual(
          told.map(({ what }) => what),
          never ? ['task:end'] : ['task:start', 'task:end'],
          `task ${id}`,
        );
        assert.equal(told[0].event, told.at(-1)?.event, 'the same object');
        assert.equal(told[0].event.pool, pool);
        if (!never) assert.ok(told[0].worker);
      }
      const event = (id: number) => audience.of(id)[0].event;
      assert.deepEqual([event(1).worker, event(2).worker], [first, second]);
      assert.deepEqual([event(3).priority, event(3).error], [3, undefined]);
      assert.equal(event(3).duration, outcomes[0].duration);
      assert.equal(event(3).name, 'double');
      for (const [id, Class] of [
        [4, RangeError],
        [5, WorkerDiedError],
        [6, TimeoutError],
        [8, CancelledError],
        [10, CancelledError],
      ] as const)
        assert.ok(event(id).error instanceof Class, String(event(id).error));
      assert.equal(event(4).error, (settled[1] as PromiseRejectedResult).reason);
      assert.notEqual(event(7).worker, audience.of(7)[0].worker, 'the last that ran it');
      assert.ok(before.includes(event(8).worker as Worker));

      const workers = (what: string) =>
        audience.told.filter(one => one.what === what).map(({ worker }) => worker);
      assert.deepEqual(new Set(workers('worker:end')), new Set(workers('worker:start')));
      assert.equal(new Set(workers('worker:start')).size, workers('worker:start').length);
      assert.equal(workers('worker:start').length, pool.stats.restarts + 2);
      const ends = audience.told.filter(({ what }) => what === 'worker:end');
      assert.ok(ends.some(({ event: { exitCode } }) => exitCode === 3));
    });

    test(
      'tells those who come in the midst of what they can know, and nothing once they have gone',
      LIMIT,
      async () => {
        await using pool = new Pool(1, options);
        const quiet = pool.run(later, [0]);
        const running = pool.run(forever);
        await quiet;
        await waitUntil(() => pool.stats.busy === 1, 'it to run');
        const waiting = pool.run(double, [1]);
        const audience = new Audience();
        {
          using _ = audience;
          running.cancel();
          await assert.rejects(running, CancelledError);
          await waiting;
          await pool.run(double, [2]);
        }
        const tasks = audience.told.filter(({ what }) => what.startsWith('task'));
        assert.deepEqual(
          tasks.map(({ what, event }) => `${what} ${event.id}`),
          [2, 3, 4].flatMap(id => [`task:start ${id}`, `task:end ${id}`]),
        );
        const all = [pool.run(later, [1]), pool.run(later, [2])];
        await Promise.all(all);
        assert.equal(audience.told.filter(({ what }) => what.startsWith('task')).length, 6);
      },
    );

    test('who throws when told harms nothing, and who ends the pool ends it', LIMIT, async () => {
      const pool = new Pool(2, options);
      const errors: unknown[] = [];
      const catcher = (error: unknown) => errors.push(error);
      const bad = () => {
        throw new RangeError('bad audience');
      };
      const others = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.on('uncaughtException', catcher);
      subscribe('manyhands:task:end', bad);
      try {
        assert.deepEqual(await pool.map(double, [1, 2, 3], { chunksize: 1 }), [2, 4, 6]);
        await waitUntil(() => errors.length === 3, 'three errors');
      } finally {
        unsubscribe('manyhands:task:end', bad);
        process.off('uncaughtException', catcher);
        for (const listener of others) process.on('uncaughtException', listener);
      }
      let gone: Promise<void> | undefined;
      let ends = 0;
      const end = () => {
        ends++;
        gone ??= pool.terminate();
      };
      subscribe('manyhands:task:end', end);
      const all = await Promise.allSettled(Array.from({ length: 3000 }, (_, n) => pool.run(later, [n])));
      unsubscribe('manyhands:task:end', end);
      await gone;
      assert.equal(ends, 3000);
      const { completed, failed, busy, pending } = pool.stats;
      assert.deepEqual([completed + failed, busy, pending], [3003, 0, 0]);
      assert.equal(all.filter(({ status }) => status === 'fulfilled').length, completed - 3);
    });
  });
}
