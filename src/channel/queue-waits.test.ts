import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { forked, spawned } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitGone, waitUntil } from '../testing/processes.js';
import { crowds, ended, killed, type Numbers, numbers, untilIs, warmCarriers } from '../testing/sharing.js';
import { Queue } from './queue.js';
import { drain, LIMIT, range, untilGetting, untilPutting } from './testing/queues.js';
import { assertExact, consume, type Item, produce } from './testing/streams.js';

/* Who waits for a queue among threads and processes of all sorts, is killed, stopped, or ends. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

for (const crowd of crowds) {
  describe(`a queue among ${crowd.name}`, () => {
    test('those who wait for items are called in order of arrival', LIMIT, async () => {
      using queue = new Queue<number>();
      using seen = numbers(20);
      const peers = [];
      for (const i of range(5)) {
        peers.push(
          crowd.start(
            async (q, all, me) => {
              const item = me % 2 === 0 ? await q.get() : q.getSync();
              Atomics.store(all.view, item, me + 1);
            },
            queue,
            seen as Numbers,
            i,
          ),
        );
        await untilGetting(queue, i + 1);
      }
      const own = queue.get();
      await untilGetting(queue, 6);
      for (const i of range(5)) {
        queue.putNowait(i);
        await untilIs(seen, i, i + 1);
      }
      queue.putNowait(5);
      assert.equal(await own, 5);
      await ended(...peers);
    });

    test('those who wait for room are called in order of arrival', LIMIT, async () => {
      using queue = new Queue<number>(1);
      using done = numbers(8);
      queue.putNowait(-1);
      const peers = [];
      for (const i of range(5)) {
        peers.push(
          crowd.start(
            async (q, all, me) => {
              if (me % 2 === 0) await q.put(me);
              else q.putSync(me);
              Atomics.store(all.view, me, 1);
            },
            queue,
            done as Numbers,
            i,
          ),
        );
        await untilPutting(queue, i + 1);
      }
      const own = queue.put(5);
      for (const i of range(5)) {
        assert.equal(queue.getNowait(), i - 1);
        await untilIs(done, i, 1);
      }
      assert.equal(queue.getNowait(), 4);
      await own;
      assert.equal(queue.getNowait(), 5);
      await ended(...peers);
    });

    test('who ends with items unread ends at once, and they stay', LIMIT, async () => {
      using queue = new Queue<unknown>();
      const peer = crowd.start(async q => {
        for (let i = 0; i < 500; i++) await q.put([i, 'x'.repeat(i * 20)]);
        q.putSync(new Uint8Array(200_000).fill(9));
        void q.put('the last');
      }, queue);
      await ended(peer);
      assert.equal(queue.qsize(), 502);
      for (const i of range(500)) assert.deepEqual(queue.getNowait(), [i, 'x'.repeat(i * 20)]);
      assert.deepEqual(await queue.get(), new Uint8Array(200_000).fill(9));
      assert.equal(queue.getNowait(), 'the last');
    });

    test('what one who was killed had put stays, and what it waited with is not in it', LIMIT, async () => {
      using queue = new Queue<unknown>(3);
      const peer = crowd.start(async q => {
        await q.put('a');
        await q.put(new Uint8Array(5000).fill(1));
        await q.put('c');
        void q.put('d');
        await q.put(new Uint8Array(5000));
      }, queue);
      await untilPutting(queue, 2);
      await killed(peer);
      await untilPutting(queue, 0);
      assert.deepEqual(drain(queue), ['a', new Uint8Array(5000).fill(1), 'c']);
      for (const i of range(3)) queue.putNowait(i);
      assert.deepEqual(drain(queue), [0, 1, 2]);
    });

    test('getters that were killed cost nobody an item', LIMIT, async () => {
      using queue = new Queue<number>();
      const peers = range(4).map(i =>
        crowd.start(
          async (q, me) => {
            if (me % 2 === 0) q.getSync();
            else await Promise.all([q.get(), q.get(), q.getMany(3)]);
          },
          queue,
          i,
        ),
      );
      await untilGetting(queue, 8);
      const own = queue.get();
      await killed(...peers);
      await untilGetting(queue, 1);
      queue.putNowait(1);
      queue.putNowait(2);
      assert.equal(await own, 1);
      assert.equal(queue.getNowait(), 2);
    });
  });
}

describe('processes', () => {
  for (const crowd of [forked, spawned]) {
    test(`a stopped consumer holds up nobody: ${crowd.name}`, LIMIT, async () => {
      using queue = new Queue<Item>(50);
      const stopped = crowd.start(consume, queue, 'async');
      const others = [crowd.start(consume, queue, 'blocking'), crowd.start(consume, queue, 'many')];
      await untilGetting(queue, 3);
      const { pid } = stopped as unknown as { pid: number };
      process.kill(pid, 'SIGSTOP');
      try {
        await produce(queue, 0, 5000, 3000, 'mixed');
        await waitUntil(() => queue.empty(), 'the others to get all', 30_000);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      queue.shutdown();
      assertExact(await ended(stopped, ...others), [5000]);
    });

    test(`a stopped producer that waits for room holds up nobody: ${crowd.name}`, LIMIT, async () => {
      using queue = new Queue<Item>(2);
      const stopped = crowd.start(produce, queue, 0, 3, 100, 'blocking');
      await untilPutting(queue, 1);
      const { pid } = stopped as unknown as { pid: number };
      process.kill(pid, 'SIGSTOP');
      const consumer = crowd.start(consume, queue, 'async');
      try {
        await produce(queue, 1, 500, 3000, 'mixed');
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await ended(stopped);
      queue.shutdown();
      assertExact(await ended(consumer), [3, 500]);
    });
  }

  test('grandchildren go on with a queue whose middle process is gone', LIMIT, async () => {
    using queue = new Queue<number>();
    using back = new Queue<number>();
    const parent = forked.start(
      async (crowd, from, to) => {
        crowd.start(
          async (inner: Queue<number>, outer: Queue<number>) => {
            await outer.put(process.pid);
            for await (const item of inner) await outer.put(item * 2);
          },
          from,
          to,
        );
        await new Promise(() => setInterval(() => {}, 1e6));
      },
      forked,
      queue,
      back,
    );
    const grandchild = await back.get();
    await killed(parent);
    for (const i of range(100)) {
      queue.putNowait(i);
      assert.equal(await back.get(), i * 2);
    }
    process.kill(grandchild, 'SIGKILL');
    await waitGone(grandchild);
  });
});
