import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OutOfMemoryError, QueueFullError } from '../errors/errors.js';
import { allocate, free, getLimit, setLimit, stats, trim } from '../memory/allocator.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, warmCarriers } from '../testing/sharing.js';
import { Queue } from './queue.js';
import { drain, failureOf, LIMIT, outcomes, putters, range, untilPutting } from './testing/queues.js';

/* A queue and the memory of its family: how much it takes, what happens when there is none, and that it gives it back. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const KIB = 2 ** 10;
const MIB = 2 ** 20;

/** Runs it while the family may have only so many bytes more. */
async function within<R>(bytes: number, run: () => R | Promise<R>): Promise<R> {
  const limit = getLimit();
  using queue = new Queue<number>();
  await queue.get({ timeout: 1 }).catch(() => {}); // what a first wait needs of memory
  trim();
  setLimit(stats().used + bytes);
  try {
    return await run();
  } finally {
    setLimit(limit);
  }
}

/** Takes all memory that is left but some bytes, and gives it back when disposed of. */
function hoard(except = 0, size = 64 * KIB): Disposable & { give(bytes: number): void } {
  const blocks: number[] = [];
  while (stats().used + size + except <= getLimit()) blocks.push(allocate(size, { zero: false }));
  return {
    give(bytes) {
      for (const block of blocks.splice(0, Math.ceil(bytes / size))) free(block);
    },
    [Symbol.dispose]() {
      for (const block of blocks) free(block);
    },
  };
}

/** What `fn` throws. */
function failureOfNow(fn: () => void): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}

function item(i: number, size: number): Uint8Array {
  return new Uint8Array(size).fill(i);
}

for (const size of [50, 1500, 3000, 8 * KIB, 100 * KIB])
  test(
    `without a limit of its own a queue takes half of what was free: items of ${size} bytes`,
    LIMIT,
    async () => {
      await within(8 * MIB, async () => {
        using queue = new Queue<Uint8Array>();
        let count = 0;
        const error = await failureOf(() => {
          for (; ; count++) queue.putNowait(item(count, size));
        });
        assert.ok(error instanceof QueueFullError, String(error));
        assert.ok(count * size <= 4 * MIB && count * (size + 100) > 3 * MIB, `${count} items`);
        const wait = queue.put(item(count, size));
        assert.equal(putters(queue), 1);
        assert.throws(() => queue.putSync(item(0, size), { timeout: 5 }), QueueFullError);
        const more = (async () => {
          await wait;
          await queue.putMany(range(20, count + 1).map(i => item(i, size)));
          for (const i of range(20, count + 21)) await queue.put(item(i, size));
        })();
        for (const i of range(count + 41)) assert.ok(Buffer.compare(await queue.get(), item(i, size)) === 0);
        await more;
        assert.equal(queue.qsize(), 0);
      });
    },
  );

test('one item always fits, also if the queue may not have so much', LIMIT, async () => {
  await within(8 * MIB, async () => {
    using queue = new Queue<Uint8Array>();
    queue.putNowait(item(1, 6 * MIB));
    const wait = queue.put(item(2, 100));
    assert.equal(putters(queue), 1);
    assert.equal((await queue.get()).length, 6 * MIB);
    await wait;
    const long = queue.put(item(3, 6 * MIB));
    assert.equal(putters(queue), 1, 'but only while it is empty');
    assert.deepEqual(await queue.get(), item(2, 100));
    await long;
    assert.equal(queue.getNowait().length, 6 * MIB);
  });
});

describe('when others have all memory', () => {
  test('an item that finds none waits as long as there are others to come out', LIMIT, async () => {
    await within(8 * MIB, async () => {
      using queue = new Queue<Uint8Array>();
      for (const i of range(3)) queue.putNowait(item(i, 64 * KIB));
      using _others = hoard();
      assert.throws(() => queue.putNowait(item(3, 64 * KIB)), QueueFullError);
      await assert.rejects(queue.put(item(3, 64 * KIB), { timeout: 5 }), QueueFullError);
      assert.throws(() => queue.putSync(item(3, 64 * KIB), { timeout: 5 }), QueueFullError);
      const wait = queue.put(item(3, 64 * KIB));
      assert.equal(putters(queue), 1);
      const more = wait.then(() => queue.putMany([item(4, 64 * KIB), item(5, 64 * KIB)]));
      for (const i of range(6)) assert.deepEqual(await queue.get(), item(i, 64 * KIB));
      await more;
    });
  });

  test('an item that finds none in an empty queue is an error, and the queue goes on', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<Uint8Array | number>();
      using others = hoard();
      for (const put of [
        () => queue.putNowait(item(0, MIB)),
        () => queue.putSync(item(0, MIB)),
        () => queue.put(item(0, MIB)),
        () => queue.put(item(0, MIB), { timeout: 1000 }),
        () => queue.putMany([item(0, MIB)]),
      ]) {
        const error = await failureOf(put);
        assert.ok(error instanceof OutOfMemoryError, String(error));
      }
      assert.equal(queue.qsize(), 0);
      others.give(2 * MIB);
      queue.putNowait(item(1, MIB));
      queue.putNowait(5);
      assert.deepEqual(drain(queue), [item(1, MIB), 5]);
    });
  });

  test('one for which there is none lets those behind it have their turn', LIMIT, async () => {
    await within(6 * MIB, async () => {
      using queue = new Queue<Uint8Array | number>(1);
      queue.putNowait(0);
      using _others = hoard(256 * KIB);
      const sync = queue.put(item(1, MIB));
      const ends = outcomes([sync, queue.put(item(2, MIB)), queue.put(3), queue.putMany([4, 5])]);
      assert.equal(putters(queue), 4);
      assert.equal(queue.getNowait(), 0);
      assert.deepEqual([await queue.get(), await queue.get(), await queue.get()], [3, 4, 5]);
      assert.deepEqual(await ends, ['ERR_OUT_OF_MEMORY', 'ERR_OUT_OF_MEMORY', undefined, undefined]);
    });
  });

  test('putMany puts what it has, and waits with the rest', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<Uint8Array | number>();
      using others = hoard(400 * KIB);
      const items = range(60).map(i => (i % 4 === 0 ? i : item(i, 64 * KIB)));
      const put = queue.putMany(items);
      assert.ok(queue.qsize() > 1 && queue.qsize() < 20, `${queue.qsize()} items`);
      const got = [];
      while (got.length < 60) got.push(...(await queue.getMany(1 + (got.length % 3))));
      await put;
      assert.deepEqual(got, items);
      others.give(0);
    });
  });

  test('a queue that has no memory for a large chunk takes a small one', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<number[]>();
      const put = () => {
        const before = queue.qsize();
        const error = failureOfNow(() => {
          for (;;) queue.putNowait(range(30));
        });
        assert.ok(error instanceof QueueFullError, String(error));
        return queue.qsize() - before;
      };
      for (const i of range(5000)) queue.putNowait([i]);
      using others = hoard();
      put();
      others.give(1);
      using _most = hoard(32 * KIB, 16 * KIB);
      assert.ok(put() > 50);
    });
  });

  test('putMany leaves as much as the queue itself needs', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<Uint8Array | number>();
      using _others = hoard(400 * KIB);
      const items = range(100).map(i => item(i, 10_000));
      const put = queue.putMany(items);
      for (const one of items) assert.deepEqual(await queue.get(), one);
      await put;
    });
  });

  test('a putMany that gives up then tells how many it put, and all memory comes back', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<Uint8Array | number>();
      using others = hoard(400 * KIB);
      for (const size of [64 * KIB, 3000, 1500, 0]) {
        const items = range(2000).map(i => (i % 4 === 0 || size === 0 ? i : item(i, size)));
        if (size === 0) others.give(0);
        const terms = [{ timeout: 0 }, { timeout: 5 }, { signal: AbortSignal.timeout(5) }];
        for (const options of terms) {
          const failure = await queue.putMany(items, options).then(
            () => ({ put: items.length }),
            error => error,
          );
          assert.ok(!(failure instanceof OutOfMemoryError), String(failure));
          const got = drain(queue);
          assert.equal(failure.put ?? 0, got.length);
          assert.deepEqual(got, items.slice(0, got.length));
        }
      }
    });
  });

  test('a bounded queue keeps its places', LIMIT, async () => {
    await within(4 * MIB, async () => {
      using queue = new Queue<Uint8Array>(4);
      queue.putNowait(item(0, 64 * KIB));
      using others = hoard();
      const waits = outcomes([
        queue.put(item(1, 64 * KIB), { timeout: 5 }),
        queue.put(item(2, 64 * KIB), { timeout: 5 }),
      ]);
      assert.deepEqual(await waits, ['ERR_QUEUE_FULL', 'ERR_QUEUE_FULL']);
      others.give(MIB);
      for (const i of range(3, 1)) queue.putNowait(item(i, 64 * KIB));
      assert.ok(queue.full());
      assert.deepEqual(
        drain(queue),
        range(4).map(i => item(i, 64 * KIB)),
      );
    });
  });
});

for (const crowd of crowds) {
  test(`${crowd.name} that put more than there is memory for wait, and nobody dies`, LIMIT, async () => {
    await within(6 * MIB, async () => {
      using queue = new Queue<readonly [number, number, Uint8Array]>();
      const peers = range(3).map(me =>
        crowd.start(
          async (q, producer) => {
            const sizes = [10, 2000, 9000, 70_000, 300_000, 900_000];
            const make = (i: number): [number, number, Uint8Array] => [
              producer,
              i,
              new Uint8Array(sizes[i % 6]).fill(i),
            ];
            for (let i = 0; i < 120; ) {
              if (producer === 0) q.putSync(make(i++));
              else if (producer === 1) await q.put(make(i++));
              else {
                const some = 10;
                await q.putMany(Array.from({ length: some }, (_, k) => make(i + k)));
                i += some;
              }
            }
          },
          queue,
          me,
        ),
      );
      await untilPutting(queue, 3);
      const next = [0, 0, 0];
      while (next.some(i => i < 120)) {
        const [producer, i, data] = await queue.get();
        assert.equal(i, next[producer]++);
        assert.ok(data.every(byte => byte === i));
      }
      await ended(...peers);
      assert.equal(queue.qsize(), 0);
    });
  });

  test(`${crowd.name} that get what takes long to read have others wait for its memory`, LIMIT, async () => {
    await within(16 * MIB, async () => {
      using queue = new Queue<Uint8Array>();
      using done = new Queue<number>();
      const peers = range(2).map(() =>
        crowd.start(
          async (q, to) => {
            for await (const data of q) await to.put(data.length);
          },
          queue,
          done,
        ),
      );
      let all = 0;
      for (let i = 0; i < 60; i++) {
        const size = (1 + (i % 3)) * MIB;
        await queue.put(item(i, size));
        all += size;
      }
      queue.shutdown();
      for (let i = 0; i < 60; i++) all -= await done.get();
      assert.equal(all, 0);
      await ended(...peers);
    });
  });
}

test('memory comes back after bursts', LIMIT, async () => {
  using queue = new Queue<unknown>();
  queue.putNowait(1);
  queue.getNowait();
  const before = stats().used;
  for (const size of [0, 100, 2048, 2049, 10_000, MIB]) {
    const count = Math.min(20_000, Math.ceil((32 * MIB) / (size + 10)));
    for (const i of range(count)) queue.putNowait(item(i, size));
    assert.ok(stats().used - before >= count * size);
    for (let i = 0; i < count; i++) queue.getNowait();
    assert.ok(stats().used - before <= 300 * KIB, `${stats().used - before} bytes stay, of items of ${size}`);
    for (const i of range(count)) await queue.put(item(i, size));
    await queue.getMany(count - 1);
    queue.getNowait();
    assert.ok(stats().used - before <= 300 * KIB, `${stats().used - before} bytes stay, of items of ${size}`);
  }
});

test('memory comes back from a queue that is never empty', LIMIT, () => {
  using queue = new Queue<Uint8Array>();
  const before = stats().used;
  for (const size of [20, 2000, 5000])
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 1000; i++) queue.putNowait(item(i, size));
      while (queue.qsize() > 3) queue.getNowait();
      assert.ok(stats().used - before <= 400 * KIB, `${stats().used - before} bytes for 3 items of ${size}`);
    }
});
