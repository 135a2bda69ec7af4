import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ClosedError, QueueFullError, QueueShutDownError } from '../errors/errors.js';
import { EventFlag } from '../sync/event-flag.js';
import { carriers } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, warmCarriers } from '../testing/sharing.js';
import { Queue } from './queue.js';
import {
  drain,
  failureOf,
  getters,
  LIMIT,
  outcomes,
  putters,
  range,
  untilFreed,
  untilGetting,
  untilPutting,
} from './testing/queues.js';

/* The end of a queue: shut down for all, iterated to its end, closed by a thread, disposed of. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const LONG = new Uint8Array(5000).fill(7);

/** Every call that puts or gets. */
function puts(queue: Queue): (() => unknown)[] {
  return [
    () => queue.put(1),
    () => queue.putSync(1),
    () => queue.putNowait(1),
    () => queue.putMany([1]),
    () => queue.putMany(new Set([1])),
    () => queue.put(LONG, { timeout: 0 }),
  ];
}

function gets(queue: Queue): (() => unknown)[] {
  return [
    () => queue.get(),
    () => queue.getSync(),
    () => queue.getNowait(),
    () => queue.getMany(3),
    () => queue.get({ timeout: 0 }),
  ];
}

describe('shutdown', () => {
  test('lets nothing in, and all out that is in it', LIMIT, async () => {
    using queue = new Queue<unknown>();
    await queue.putMany([1, LONG, 3]);
    queue.shutdown();
    for (const put of puts(queue)) {
      const error = await failureOf(put);
      assert.ok(error instanceof QueueShutDownError && error instanceof ClosedError, String(error));
      assert.match(error.message, /^Cannot put into Queue \d+ as it was shut down: /);
    }
    assert.equal(queue.qsize(), 3);
    assert.deepEqual([await queue.get(), queue.getSync(), queue.getNowait()], [1, LONG, 3]);
    for (const get of gets(queue)) {
      const error = await failureOf(get);
      assert.ok(error instanceof QueueShutDownError, String(error));
      assert.match(
        error.message,
        /^Cannot get from Queue \d+ as it was shut down and nothing is left in it$/,
      );
    }
    assert.deepEqual([queue.qsize(), queue.empty(), queue.full()], [0, true, false]);
  });

  test('at once drops all that is in it', LIMIT, async () => {
    for (const before of [[], [1], [1, LONG], range(5000), [LONG, ...range(50_000), LONG, LONG]]) {
      using queue = new Queue<unknown>();
      await queue.putMany(before);
      queue.shutdown({ immediate: true });
      assert.equal(queue.qsize(), 0);
      for (const call of [...puts(queue), ...gets(queue)])
        assert.ok((await failureOf(call)) instanceof QueueShutDownError);
    }
  });

  test('at once may follow the orderly one, and not be taken back', LIMIT, async () => {
    using queue = new Queue<unknown>();
    await queue.putMany(range(10));
    queue.shutdown();
    queue.shutdown({ immediate: false });
    assert.equal(queue.getNowait(), 0);
    queue.shutdown({ immediate: true });
    queue.shutdown();
    assert.equal(queue.qsize(), 0);
    assert.throws(() => queue.getNowait(), QueueShutDownError);
  });

  for (const immediate of [false, true])
    test(`${immediate ? 'at once ' : ''}wakes all who wait`, LIMIT, async () => {
      using queue = new Queue<number>(1);
      const waits = [queue.get(), queue.getMany(5), queue.get({ timeout: 1e6 }), queue.get()];
      assert.equal(getters(queue), 4);
      queue.shutdown({ immediate });
      assert.deepEqual(await outcomes(waits), Array(4).fill('ERR_QUEUE_SHUT_DOWN'));
      using full = new Queue<number | Uint8Array>(1);
      full.putNowait(1);
      const others = [full.put(2), full.put(LONG), full.putMany([3, LONG, 4]), full.put(5, { timeout: 1e6 })];
      assert.equal(putters(full), 4);
      full.shutdown({ immediate });
      assert.deepEqual(await outcomes(others), Array(4).fill('ERR_QUEUE_SHUT_DOWN'));
      assert.deepEqual(drain(full), immediate ? [] : [1]);
    });

  test('who was called before it has the item, or an answer', LIMIT, async () => {
    for (const immediate of [false, true]) {
      using queue = new Queue<number>();
      const waits = [queue.get(), queue.get(), queue.get()];
      queue.putNowait(1);
      queue.shutdown({ immediate });
      const none = 'ERR_QUEUE_SHUT_DOWN';
      assert.deepEqual(await outcomes(waits), immediate ? [none, none, none] : [1, none, none]);
    }
  });

  for (const carrier of carriers)
    test(`wakes who waits in ${carrier.name}, blocking and async`, LIMIT, async () => {
      for (const immediate of [false, true]) {
        using queue = new Queue<number>();
        using full = new Queue<number>(1);
        full.putNowait(1);
        const code = (error: unknown) => (error as { code?: unknown }).code;
        const sync = (fn: () => unknown) => {
          try {
            return fn();
          } catch (error) {
            return code(error);
          }
        };
        const peers = [
          carrier.start(async q => {
            const waits = [q.get(), q.getMany(3), q.get()];
            return (await Promise.allSettled(waits)).map(end => end.status === 'rejected' && end.reason.code);
          }, queue),
          carrier.start(async (q, catching) => [catching(() => q.getSync())], queue, sync),
          carrier.start(async q => {
            const waits = [q.put(2), q.putMany([3, 4]), q.put(5)];
            return (await Promise.allSettled(waits)).map(end => end.status === 'rejected' && end.reason.code);
          }, full),
          carrier.start(async (q, catching) => [catching(() => q.putSync(6))], full, sync),
        ];
        await untilGetting(queue, 4);
        await untilPutting(full, 4);
        queue.shutdown({ immediate });
        full.shutdown({ immediate });
        assert.deepEqual((await ended(...peers)).flat(), Array(8).fill('ERR_QUEUE_SHUT_DOWN'));
        assert.equal(full.qsize(), immediate ? 0 : 1);
      }
    });
});

describe('iterating', () => {
  test('gives each item as it comes, and ends by itself', LIMIT, async () => {
    using queue = new Queue<number>(3);
    const put = (async () => {
      for (const i of range(2000)) await queue.put(i);
      queue.shutdown();
    })();
    const got: number[] = [];
    for await (const item of queue) got.push(item);
    await put;
    assert.deepEqual(got, range(2000));
    for await (const _ of queue) assert.fail('it has ended');
  });

  test('several share the items', LIMIT, async () => {
    using queue = new Queue<number>(2);
    const all: number[] = [];
    const iterate = async () => {
      let last = -1;
      for await (const item of queue) {
        assert.ok(item > last);
        last = item;
        all.push(item);
        if (item % 3 === 0) await turn();
      }
    };
    const loops = [iterate(), iterate(), iterate()];
    await queue.putMany(range(1000));
    queue.shutdown();
    await Promise.all(loops);
    assert.deepEqual(
      all.sort((a, b) => a - b),
      range(1000),
    );
  });

  test('who leaves it takes no more than what it has seen', LIMIT, async () => {
    using queue = new Queue<number>();
    await queue.putMany(range(10));
    for await (const item of queue) if (item === 3) break;
    assert.deepEqual(drain(queue), range(6, 4));
  });

  test(
    'ends at once with an immediate shutdown, and fails when the queue is closed or gone',
    LIMIT,
    async () => {
      const iterate = async (queue: Queue) => {
        for await (const _ of queue);
        return 'ended';
      };
      using queue = new Queue<number>();
      const loops = [iterate(queue), iterate(queue)];
      queue.shutdown({ immediate: true });
      assert.deepEqual(await outcomes(loops), ['ended', 'ended']);
      using closed = new Queue<number>();
      const loop = iterate(closed);
      closed.close();
      assert.deepEqual(await outcomes([loop, iterate(closed)]), ['ERR_CLOSED', 'ERR_CLOSED']);
      const gone = new Queue<number>();
      const other = iterate(gone);
      gone[Symbol.dispose]();
      assert.deepEqual(await outcomes([other, iterate(gone)]), ['ERR_CLOSED', 'ERR_CLOSED']);
    },
  );
});

for (const [way, end] of [
  ['close', (queue: Queue) => queue.close()],
  ['dispose', (queue: Queue) => queue[Symbol.dispose]()],
] as const)
  test(`${way} ends the waits of this thread, and all it does with the queue`, LIMIT, async () => {
    const queue = new Queue<unknown>(1);
    const waiting = [queue.get(), queue.getMany(3), queue.get({ timeout: 1e6 })];
    end(queue);
    end(queue);
    assert.deepEqual(await outcomes(waiting), Array(3).fill('ERR_CLOSED'));
    const calls = [
      ...puts(queue),
      ...gets(queue),
      () => queue.qsize(),
      () => queue.empty(),
      () => queue.full(),
      () => queue.shutdown(),
      () => queue.putNowait(Promise.resolve()),
    ];
    for (const call of calls) {
      const error = await failureOf(call);
      assert.ok(error instanceof ClosedError && !(error instanceof QueueShutDownError), String(error));
      assert.match(error.message, /^Cannot use Queue \d+ as this thread has closed it: /);
    }
    queue.close();
    for (const first of [1, LONG]) {
      const full = new Queue<unknown>(1);
      full.putNowait(first);
      const others = [full.put(2), full.put(LONG), full.putMany([3, LONG])];
      end(full);
      assert.deepEqual(await outcomes(others), Array(3).fill('ERR_CLOSED'));
    }
  });

describe('close', () => {
  test('does not take away what a wait has been called for', LIMIT, async () => {
    using queue = new Queue<number>();
    const wait = queue.get();
    queue.putNowait(1);
    queue.close();
    assert.deepEqual(await outcomes([wait]), [1]);
  });

  for (const carrier of carriers)
    test(`leaves the queue to others: ${carrier.name}`, LIMIT, async () => {
      using queue = new Queue<unknown>(1);
      using back = new Queue<unknown>();
      using closed = new EventFlag();
      const peer = carrier.start(
        async (q, answers, flag) => {
          await answers.put('here');
          await flag.wait();
          await answers.put(await q.get());
          await q.put('more');
          return q.qsize();
        },
        queue,
        back,
        closed,
      );
      assert.equal(await back.get(), 'here');
      await queue.put('kept');
      const wait = queue.put('given up');
      queue.close();
      await assert.rejects(wait, ClosedError);
      closed.set();
      assert.equal(await back.get(), 'kept');
      assert.deepEqual(await ended(peer), [1]);
    });
});

describe('dispose', () => {
  test('frees all that is in it, also of one that was closed', LIMIT, async () => {
    for (const items of [[], [1], [LONG], range(100_000), [LONG, ...range(20_000), LONG]])
      for (const close of [false, true]) {
        const queue = new Queue<unknown>();
        await queue.putMany(items);
        if (items.length > 10) await queue.getMany(items.length - 5);
        if (close) queue.close();
        queue[Symbol.dispose]();
      }
  });

  for (const carrier of carriers)
    test(`leaves it to those who have it in ${carrier.name}`, LIMIT, async () => {
      const queue = new Queue<number>();
      using answers = new Queue<number>();
      const peer = carrier.start(
        async (q, to) => {
          const first = await q.get();
          await to.put(first);
          const second = await q.get();
          await to.put(first + second);
        },
        queue,
        answers,
      );
      queue.putNowait(1);
      assert.equal(await answers.get(), 1);
      queue.putNowait(2);
      queue[Symbol.dispose]();
      assert.throws(() => queue.putNowait(3), ClosedError);
      assert.equal(await answers.get(), 3);
      await ended(peer);
      await untilFreed(queue); // by this thread, which is rung for that
    });

  test('of a queue that is full of queues leaves those alone', () => {
    using inner = new Queue<number>();
    const outer = new Queue<Queue<number>>();
    outer.putNowait(inner);
    inner.putNowait(5);
    outer[Symbol.dispose]();
    assert.equal(inner.getNowait(), 5);
  });

  test('a full queue stays full whatever is tried in vain', async () => {
    using queue = new Queue<unknown>(1);
    queue.putNowait(1);
    for (let i = 0; i < 100; i++) await assert.rejects(queue.put(LONG, { timeout: 0 }), QueueFullError);
    assert.deepEqual(drain(queue), [1]);
  });
});
