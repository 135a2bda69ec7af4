import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, warmCarriers } from '../testing/sharing.js';
import { Queue } from './queue.js';
import { LIMIT, range } from './testing/queues.js';
import { assertExact, consume, FORMS, type Item, produce } from './testing/streams.js';

/* Queues between threads and processes of all sorts. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

for (const crowd of crowds) {
  describe(`a queue among ${crowd.name}`, () => {
    for (const [maxsize, most, count] of [
      [0, 20, 1000],
      [1, 20, 150],
      [10, 6000, 300],
      [0, 9000, 250],
    ])
      test(
        `of ${maxsize || 'any number of'} items up to ${most} bytes: each comes once, in its producer’s order`,
        LIMIT,
        async () => {
          using queue = new Queue<Item>(maxsize);
          const consumers = [0, 1, 2].map(i => crowd.start(consume, queue, FORMS[(i + maxsize) % 4]));
          const producers = [0, 1, 2].map(me =>
            crowd.start(produce, queue, me, count, most, FORMS[(me + maxsize + 2) % 4]),
          );
          const own = consume(queue, 'async');
          await produce(queue, 3, count, most, 'async');
          await ended(...producers);
          queue.shutdown();
          assertExact([...(await ended(...consumers)), await own], Array(4).fill(count));
          assert.equal(queue.qsize(), 0);
        },
      );

    test('there and back', LIMIT, async () => {
      for (const blocking of [false, true]) {
        using there = new Queue<number>();
        using back = new Queue<number>(1);
        const peer = crowd.start(
          async (from, to, isBlocking) => {
            for (let i = 0; i < 200; i++)
              if (isBlocking) to.putSync(from.getSync() + 1);
              else await to.put((await from.get()) + 1);
          },
          there,
          back,
          blocking,
        );
        for (const i of range(200)) {
          there.putNowait(i);
          assert.equal(i % 3 === 0 ? back.getSync() : await back.get(), i + 1);
        }
        await ended(peer);
      }
    });

    test('functions, queues and flags cross in items', LIMIT, async () => {
      using queue = new Queue<(x: number) => Promise<number>>();
      using answers = new Queue<number>();
      using flag = new EventFlag();
      const peer = crowd.start(async q => {
        const f = await q.get();
        await f(20);
      }, queue);
      const two = 2;
      await queue.put(async x => {
        await answers.put(x * two + 2);
        await flag.wait();
        return 0;
      });
      assert.equal(await answers.get(), 42);
      flag.set();
      await ended(peer);
    });
  });
}
