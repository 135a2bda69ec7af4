import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Connection } from './channel/connection.js';
import { Pipe } from './channel/pipe.js';
import { failureOf, outcomes } from './channel/testing/queues.js';
import { CARRIERS, warmUp } from './pool/fixtures/carriers.js';
import { Pool } from './pool/pool.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { LIMIT, warmCarriers } from './testing/sharing.js';

/* How ends of pipes get to the workers of a pool and back, and that nothing there holds them open for longer than it should. */
leavesNothing({
  warm: async () => {
    await warmCarriers();
    await warmUp();
  },
});
leavesNoBlocks();

const EOF = 'ERR_EOF';

for (const { carrier, options } of CARRIERS)
  describe(`a pool of ${carrier}`, () => {
    test(
      'a task has the ends among its arguments, and they are held open until it has settled',
      LIMIT,
      async () => {
        await using pool = new Pool(2, options);
        const [r, w] = Pipe<string>({ duplex: false });
        const task = pool.run(
          async (end: Connection<string>) => {
            await end.send('from a task');
            end.close();
          },
          [w],
        );
        w.close();
        assert.equal(await r.recv(), 'from a task');
        assert.equal((await failureOf(() => r.recv())).code, EOF);
        await task;
        r.close();
      },
    );

    test('many tasks, more than there is room for at once', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const [r, w] = Pipe<number>({ duplex: false });
      const tasks = Array.from({ length: 1500 }, (_, i) =>
        pool.run(
          (end: Connection<number>, n: number) => {
            end.sendSync(n);
            end.close();
          },
          [w, i],
        ),
      );
      w.close();
      let sum = 0;
      for await (const n of r) sum += n;
      assert.equal(sum, (1500 * 1499) / 2);
      await Promise.all(tasks);
      r.close();
    });

    test('a result brings one along, and so does an error', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const make = () => {
        const [r, w] = Pipe<string>({ duplex: false });
        w.sendSync('made there');
        w.close();
        return r;
      };
      const ends = [
        await pool.run(make),
        (
          await failureOf(() =>
            pool.run(() => {
              throw Object.assign(new Error('with an end'), { end: make() });
            }),
          )
        ).end as Connection<string>,
      ];
      for (const end of ends) {
        assert.equal(await end.recv(), 'made there');
        const reading = outcomes([end.recv()]);
        assert.deepEqual(await reading, [EOF]);
        end.close();
      }
    });

    test('a worker that is killed under its task holds nothing open', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const [r, w] = Pipe<string>({ duplex: false });
      const controller = new AbortController();
      const task = pool.run(
        async (end: Connection<string>) => {
          await end.send('begun');
          await new Promise(() => setInterval(() => {}, 1000));
        },
        [w],
        { signal: controller.signal },
      );
      w.close();
      const failure = failureOf(() => task);
      assert.equal(await r.recv(), 'begun');
      controller.abort();
      assert.equal((await failure).name, 'AbortError');
      assert.equal((await failureOf(() => r.recv())).code, EOF);
      r.close();
    });

    test('tasks that are called off, or whose pool is terminated, hold nothing open', LIMIT, async () => {
      const pipes = [0, 1, 2].map(() => Pipe<string>({ duplex: false }));
      {
        await using pool = new Pool(1, options);
        const busy = pool.run(() => new Promise(() => setInterval(() => {}, 1000)));
        const use = (end: Connection<string>) => end.sendSync('never');
        const tasks = pipes.slice(0, 2).map(([, w]) => pool.run(use, [w]));
        const [[first], , [, captured]] = pipes;
        const capturing = pool.run(() => captured.sendSync('never'));
        for (const [, w] of pipes) w.close();
        const reading = outcomes([first.recv()]);
        assert.equal(tasks[0].cancel(), true);
        assert.deepEqual(await reading, [EOF]);
        const failures = outcomes([busy, ...tasks, capturing]);
        await pool.terminate();
        assert.deepEqual(await failures, Array(4).fill('ERR_CANCELLED'));
      }
      for (const [r] of pipes.slice(1)) assert.equal((await failureOf(() => r.recv())).code, EOF);
      for (const [r] of pipes) r.close();
    });
  });
