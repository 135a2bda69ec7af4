import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProgram } from './process/fixtures/start-program.js';
import { leavesNothing } from './testing/leaks.js';
import { alive, marked, waitGone, waitUntil } from './testing/processes.js';

/*
 * How a family ends: with its parent, by signals, one after the other. MANYHANDS_LEAVING: do all of it; MANYHANDS_TIMES: how often to kill
 * parents, and tell how long their families took to end; MANYHANDS_CROWD: how many processes nobody is to join.
 */
leavesNothing();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'testing', 'leaving-program.js');
const METHODS = ['forkserver', 'spawn'] as const;
const MARK = 'MANYHANDS_LEAVING';
let programs = 0;

/** In a process group of its own, as a shell would start it. Whatever is left of it can be found. */
function start(scenario: string, ...args: string[]) {
  const mark = `${process.pid}.${++programs}`;
  const started = startProgram([program, scenario, ...args], {
    detached: true,
    env: { ...process.env, [MARK]: `${mark}.` },
  });
  /** Resolves when all are gone. */
  const gone = () =>
    waitUntil(
      () => marked(MARK, `${mark}.`).filter(({ pid }) => alive(pid)).length === 0,
      () => `these to end: ${marked(MARK, `${mark}.`).map(({ pid, command }) => `${pid} ${command}`)}`,
      20_000,
    );
  return { ...started, gone };
}

/** How long after the kill of a parent the last that was bound to it has ended, ms. */
const times = new Map<string, number[]>();
const note = (name: string, time: number) => times.set(name, [...(times.get(name) ?? []), time]);
after(() => {
  const median = (of: number[]) => of.sort((a, b) => a - b)[Math.floor(of.length / 2)].toFixed(0);
  if (process.env.MANYHANDS_TIMES)
    for (const [name, all] of times) console.log(`${name}: ${median(all)} ms (median of ${all.length})`);
});
const ROUNDS = Number(process.env.MANYHANDS_TIMES ?? 1);
/** By spawn a family takes long to come up: of what does not depend on the start method, the ordinary run does less. */
const isWhole = process.env.MANYHANDS_LEAVING !== undefined;

for (const method of METHODS) {
  describe(`a family by ${method}`, () => {
    for (const place of ['root', ...(isWhole ? METHODS : method === 'forkserver' ? [method] : [])]) {
      const what = place === 'root' ? 'the program' : `a child by ${place}`;
      test(
        `whose parent, ${what}, is killed loses all that is bound to it; the others live on`,
        limit,
        async () => {
          for (let round = 0; round < ROUNDS; round++) {
            const { next, gone, ended } = start('tree', method, place);
            const { parent, bound, orphan, free } = await next();
            process.kill(parent, 'SIGKILL');
            const from = performance.now();
            while (bound.some(alive)) await sleep(1);
            note(`${method} below ${place}`, performance.now() - from);
            if (place !== 'root') assert.deepEqual(await next(), ['parent', 'SIGKILL']);
            assert.ok(alive(orphan));
            for (const pid of free) {
              assert.ok(alive(pid));
              process.kill(pid, 'SIGKILL');
            }
            process.kill(orphan, 'SIGUSR2');
            assert.deepEqual(await next(), [true, 'from an orphan', 'a thread of it']);
            if (place !== 'root') assert.deepEqual(await next(), { left: 0 });
            await gone();
            assert.deepEqual(await ended, place === 'root' ? [null, 'SIGKILL'] : [0, null]);
          }
        },
      );
    }

    const signals = isWhole
      ? (['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTERM'] as const)
      : method === 'forkserver'
        ? (['SIGINT', 'SIGTERM'] as const)
        : (['SIGINT'] as const);
    for (const signal of signals) {
      test(`ends by ${signal} to all of it, with nothing said`, limit, async () => {
        const { next, gone, pid, ended, errors } = start('plain', method);
        assert.equal((await next())[0], 'up');
        process.kill(-pid, signal);
        assert.deepEqual(await ended, [null, signal]);
        await gone();
        assert.equal(await errors, '');
      });
    }

    test('of daemons ends by SIGTERM to its program', limit, async () => {
      const { next, gone, pid, ended, errors } = start('plain', method, 'daemons');
      assert.equal((await next())[0], 'up');
      process.kill(pid, 'SIGTERM');
      assert.deepEqual(await ended, [null, 'SIGTERM']);
      await gone();
      assert.equal(await errors, '');
    });

    for (const signal of isWhole ? (['SIGINT', 'SIGTERM'] as const) : (['SIGINT'] as const))
      test(`ends as its program sees to it that handles ${signal}`, limit, async () => {
        const { next, gone, pid, ended, errors } = start('handles', method, signal);
        assert.equal((await next())[0], 'up');
        process.kill(signal === 'SIGINT' ? -pid : pid, signal);
        assert.deepEqual(await next(), [signal, signal, signal, signal]);
        assert.deepEqual(await ended, [7, null]);
        await gone();
        assert.equal(await errors, '');
      });

    test('ends its daemons in order even if they are suspended', limit, async () => {
      const { next, ended, gone } = start('suspended', method);
      const pid = await next();
      await waitGone(pid);
      assert.equal(await next(), 'in order');
      assert.deepEqual(await ended, [0, null]);
      await gone();
    });

    test('leaves nothing when it is killed while it starts processes', limit, async () => {
      for (let i = 0; i < (method === 'spawn' ? 1 : 4); i++) {
        const { next, root, gone } = start('starts', method);
        assert.equal(await next(), 'up');
        await sleep(Math.random() * 30);
        root.kill('SIGKILL');
        await gone();
      }
    });

    test('that nobody joins leaves no zombie, no record, no memory', { timeout: 600_000 }, async () => {
      const count = Number(process.env.MANYHANDS_CROWD ?? (method === 'spawn' ? 4 : 60));
      const { next, ended } = start('crowd', method, String(count));
      const told = await next();
      if (process.env.MANYHANDS_CROWD) console.log(method, JSON.stringify(told));
      assert.equal(told.zombies, 0);
      assert.equal(told.after.records, 0);
      assert.equal(told.after.blocks, 0);
      // Those in the reserve, and ones that are about to be reaped.
      assert.ok(told.after.participants < 10, JSON.stringify(told));
      assert.ok(told.grown < 40e6, JSON.stringify(told));
      assert.deepEqual(await ended, [0, null]);
    });
  });
}
