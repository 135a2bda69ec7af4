import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { QueueEmptyError, QueueFullError, TimeoutError } from '../errors/errors.js';
import { stats } from '../memory/allocator.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { Queue } from './queue.js';
import { drain, failureOf, getters, LIMIT, outcomes, putters, range } from './testing/queues.js';

/* What the calls of a Queue do in one thread: order, room, time limits, aborts, wrong arguments. */
leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

describe('making a queue', () => {
  test('takes a number of items from 0 on, or less for no limit', () => {
    for (const maxsize of [undefined, 0, -1, -(2 ** 40)]) {
      using queue = new Queue<number>(maxsize);
      for (const i of range(5000)) queue.putNowait(i);
      assert.equal(queue.full(), false);
      assert.deepEqual(drain(queue), range(5000));
    }
    using most = new Queue(2 ** 31 - 1);
    most.putNowait(1);
    assert.equal(most.full(), false);
  });

  test('refuses what is no whole number of items', () => {
    for (const maxsize of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
      assert.throws(() => new Queue(maxsize), RangeError);
    for (const maxsize of ['1', 1n, null, {}, true])
      assert.throws(() => new Queue(maxsize as unknown as number), TypeError);
    for (const options of [null, 'name', 1]) assert.throws(() => new Queue(0, options as never), TypeError);
    for (const name of ['', 7, {}]) assert.throws(() => new Queue(0, { name } as never), /name/);
  });

  test('one of no further use gives its memory back by itself', async () => {
    const before = stats().used;
    for (let i = 0; i < 50; i++) new Queue<Uint8Array>().putNowait(new Uint8Array(100_000));
    assert.ok(stats().used > before + 50 * 100_000);
    for (let i = 0; i < 10 && stats().used > before + 100_000; i++) await collect();
    assert.ok(stats().used <= before + 100_000, `${stats().used - before} bytes are left`);
  });
});

describe('putting and getting', () => {
  test('items come out in the order in which they went in, by whatever form', async () => {
    using queue = new Queue<number>();
    const put = [
      (i: number) => queue.put(i),
      (i: number) => queue.putSync(i),
      (i: number) => queue.putNowait(i),
      (i: number) => queue.put(i, { timeout: 0 }),
      (i: number) => queue.putSync(i, { timeout: 1000 }),
      (i: number) => queue.putMany([i]),
    ];
    const get = [
      () => queue.get(),
      () => queue.getSync(),
      () => queue.getNowait(),
      () => queue.get({ timeout: 0 }),
      () => queue.getSync({ timeout: 1000 }),
      async () => (await queue.getMany(1))[0],
    ];
    for (const i of range(60)) await put[i % 6](i);
    const got = [];
    for (const i of range(60)) got.push(await get[(i >> 1) % 6]());
    assert.deepEqual(got, range(60));
    assert.equal(queue.empty(), true);
  });

  test('qsize, empty and full tell how it is at that instant', async () => {
    using queue = new Queue<number>(3);
    const told = () => [queue.qsize(), queue.empty(), queue.full()];
    assert.deepEqual(told(), [0, true, false]);
    queue.putNowait(1);
    assert.deepEqual(told(), [1, false, false]);
    void queue.put(2);
    assert.deepEqual(told(), [2, false, false], 'in before the call returns');
    await queue.putMany([3]);
    assert.deepEqual(told(), [3, false, true]);
    const wait = queue.put(4);
    assert.deepEqual(told(), [3, false, true], 'who waits does not count');
    const got = queue.get();
    assert.deepEqual(told(), [2, false, false], 'out before the call returns');
    await wait;
    assert.deepEqual(told(), [3, false, true]);
    assert.equal(await got, 1);
    assert.deepEqual(await queue.getMany(2), [2, 3]);
    assert.deepEqual(told(), [1, false, false]);
    queue.getNowait();
    assert.deepEqual(told(), [0, true, false]);
  });

  test('a full queue takes nothing until something is got', LIMIT, async () => {
    using queue = new Queue<number>(2);
    queue.putNowait(1);
    queue.putNowait(2);
    assert.throws(() => queue.putNowait(3), QueueFullError);
    assert.throws(() => queue.putSync(3, { timeout: 0 }), QueueFullError);
    assert.throws(() => queue.putSync(3, { timeout: 5 }), QueueFullError);
    await assert.rejects(queue.put(3, { timeout: 0 }), QueueFullError);
    await assert.rejects(queue.put(3, { timeout: 5 }), QueueFullError);
    assert.equal(putters(queue), 0, 'who gave up waits no more');
    const waits = [3, 4, 5].map(i => queue.put(i));
    assert.equal(putters(queue), 3);
    assert.deepEqual([queue.getNowait(), queue.getNowait()], [1, 2]);
    await Promise.all(waits.slice(0, 2));
    assert.equal(putters(queue), 1);
    assert.equal(await queue.get(), 3);
    await waits[2];
    assert.deepEqual(drain(queue), [4, 5]);
  });

  test('an empty queue gives nothing until something is put', LIMIT, async () => {
    using queue = new Queue<number>();
    assert.throws(() => queue.getNowait(), QueueEmptyError);
    assert.throws(() => queue.getSync({ timeout: 0 }), QueueEmptyError);
    assert.throws(() => queue.getSync({ timeout: 5 }), QueueEmptyError);
    await assert.rejects(queue.get({ timeout: 0 }), QueueEmptyError);
    await assert.rejects(queue.get({ timeout: 5 }), QueueEmptyError);
    await assert.rejects(queue.getMany(3, { timeout: 5 }), QueueEmptyError);
    assert.equal(getters(queue), 0, 'who gave up waits no more');
    const waits = [queue.get(), queue.get(), queue.getMany(10), queue.get()];
    assert.equal(getters(queue), 4);
    for (const i of range(3, 1)) queue.putNowait(i);
    assert.deepEqual(await Promise.all(waits.slice(0, 3)), [1, 2, [3]]);
    await queue.put(4);
    assert.equal(await waits[3], 4);
  });

  test('who waits is served in order of arrival', LIMIT, async () => {
    using queue = new Queue<number>(1);
    const gotten: number[] = [];
    const gets = range(50).map(async i => {
      const item = await queue.get();
      gotten.push(item);
      assert.equal(item, i, 'the first in line has the first item');
    });
    for (const i of range(50)) await queue.put(i);
    await Promise.all(gets);
    assert.deepEqual(gotten, range(50));
    queue.putNowait(-1);
    const done: number[] = [];
    const puts = range(50).map(async i => {
      await queue.put(i);
      done.push(i);
    });
    assert.equal(putters(queue), 50);
    const items = [];
    for (let i = 0; i <= 50; i++) items.push(await queue.get());
    await Promise.all(puts);
    assert.deepEqual(items, range(51, -1));
    assert.deepEqual(done, range(50));
  });

  test('a time limit is kept, and one that never comes keeps waiting', LIMIT, async () => {
    using queue = new Queue<number>(1);
    const lasts = async (wait: () => unknown) => {
      const start = performance.now();
      assert.ok((await failureOf(wait)) instanceof TimeoutError);
      const took = performance.now() - start;
      assert.ok(took >= 19, `it took ${took} ms`);
    };
    await lasts(() => queue.get({ timeout: 20 }));
    await lasts(() => queue.getSync({ timeout: 20 }));
    await lasts(() => queue.getMany(2, { timeout: 20 }));
    queue.putNowait(1);
    await lasts(() => queue.put(2, { timeout: 20 }));
    await lasts(() => queue.putSync(2, { timeout: 20 }));
    await lasts(() => queue.putMany([2], { timeout: 20 }));
    const put = queue.put(2, { timeout: Number.POSITIVE_INFINITY });
    assert.equal(queue.getSync({ timeout: Number.POSITIVE_INFINITY }), 1);
    await put;
    queue.getNowait();
    const get = queue.get({ timeout: Number.POSITIVE_INFINITY });
    queue.putSync(3, { timeout: Number.POSITIVE_INFINITY });
    assert.equal(await get, 3);
  });

  test('errors say which queue, and what to do', async () => {
    using queue = new Queue<number>(1);
    const empty = await failureOf(() => queue.getNowait());
    assert.match(empty.message, /^Cannot get from Queue \d+ as nothing was in it in time: /);
    assert.equal(empty.code, 'ERR_QUEUE_EMPTY');
    queue.putNowait(1);
    const full = await failureOf(() => queue.putNowait(1));
    assert.match(full.message, /^Cannot put into Queue \d+ as it had no room in time: /);
    assert.equal(full.code, 'ERR_QUEUE_FULL');
  });
});

describe('many at a time', () => {
  test('getMany takes what is there, at least one, in order', LIMIT, async () => {
    using queue = new Queue<number>();
    await queue.putMany(range(10));
    assert.deepEqual(await queue.getMany(3), [0, 1, 2]);
    assert.deepEqual(await queue.getMany(1.9), [3]);
    assert.deepEqual(await queue.getMany(Number.POSITIVE_INFINITY), range(6, 4));
    await queue.putMany(range(10));
    assert.deepEqual(await queue.getMany(1e300), range(10));
    const wait = queue.getMany(100);
    await queue.putMany([1, 2, 3]);
    assert.deepEqual(await wait, [1, 2, 3]);
  });

  test('putMany takes any iterable, also an empty one', LIMIT, async () => {
    using queue = new Queue<unknown>();
    await queue.putMany([]);
    await queue.putMany(new Set());
    assert.equal(queue.qsize(), 0);
    await queue.putMany(new Set([1, 'a']));
    await queue.putMany(new Map([[1, 2]]));
    await queue.putMany('xy');
    await queue.putMany(Uint8Array.of(5, 6));
    await queue.putMany(new Array(2));
    assert.deepEqual(drain(queue), [1, 'a', [1, 2], 'x', 'y', 5, 6, undefined, undefined]);
    await queue.putMany(
      (function* () {
        yield* range(5000);
      })(),
    );
    assert.deepEqual(drain(queue), range(5000));
  });

  test('putMany into a full queue goes in as there is room, in order', LIMIT, async () => {
    using queue = new Queue<number>(4);
    const put = queue.putMany(range(3000));
    assert.equal(queue.qsize(), 4);
    const got: number[] = [];
    while (got.length < 3000) got.push(...(await queue.getMany(1 + (got.length % 7))));
    await put;
    assert.deepEqual(got, range(3000));
    assert.equal(queue.qsize(), 0);
  });

  test('a putMany that gives up tells how many went in', LIMIT, async () => {
    using queue = new Queue<number>(4);
    for (const giveUp of [
      () => ({ timeout: 0 }),
      () => ({ timeout: 5 }),
      () => ({ signal: AbortSignal.timeout(5) }),
    ]) {
      const error = await failureOf(() => queue.putMany(range(10), giveUp()));
      assert.equal(error.put, 4);
      assert.deepEqual(drain(queue), range(4));
      assert.equal((await failureOf(() => queue.putMany(new Set(range(10)), giveUp()))).put, 4);
      assert.deepEqual(drain(queue), range(4));
    }
    const signal = AbortSignal.abort();
    assert.equal((await failureOf(() => queue.putMany([1], { signal }))).put, 0);
    const shut = queue.putMany(range(10));
    queue.shutdown();
    assert.equal((await failureOf(() => shut)).put, 4);
    assert.deepEqual(drain(queue), range(4));
  });

  test('putMany tells it of each call, whoever else gives up for the same reason', LIMIT, async () => {
    using queue = new Queue<number>(5);
    const puts = [queue.putMany(range(3)), queue.putMany(range(5)), queue.putMany(range(5))];
    queue.close();
    const errors = await Promise.all(puts.slice(1).map(put => failureOf(() => put)));
    assert.deepEqual(
      errors.map(error => [error.code, error.put]),
      [
        ['ERR_CLOSED', 2],
        ['ERR_CLOSED', 0],
      ],
    );
  });

  test('an iterable that throws has put what came before, and its error tells how many', LIMIT, async () => {
    using queue = new Queue<number>();
    const mistake = new Error('no more');
    function* failing(after: number): Iterable<number> {
      yield* range(after);
      throw mistake;
    }
    const error = await failureOf(() => queue.putMany(failing(1500)));
    assert.ok(error === mistake);
    assert.equal(error.put, queue.qsize());
    assert.deepEqual(drain(queue), range(error.put));
  });

  test('an iterable is told when no more is wanted of it', LIMIT, async () => {
    using queue = new Queue<number>(1);
    let isClosed = false;
    function* endless(): Iterable<number> {
      try {
        for (;;) yield 1;
      } finally {
        isClosed = true;
      }
    }
    await assert.rejects(queue.putMany(endless(), { timeout: 5 }), QueueFullError);
    assert.ok(isClosed);
  });

  test('wrong arguments are refused, and change nothing', async () => {
    using queue = new Queue<number>();
    queue.putNowait(1);
    for (const max of [0, -1, 0.5, Number.NaN]) await assert.rejects(queue.getMany(max), RangeError);
    for (const max of ['1', null, undefined, 1n])
      await assert.rejects(queue.getMany(max as never), TypeError);
    for (const items of [5, null, undefined, {}])
      await assert.rejects(queue.putMany(items as never), TypeError);
    assert.deepEqual(drain(queue), [1]);
  });
});

describe('giving up', () => {
  test('a signal that is aborted already stops the call before anything is changed', async () => {
    using queue = new Queue<number>(2);
    queue.putNowait(1);
    for (const reason of [new Error('enough'), 'enough', null, Object.freeze({})]) {
      const signal = AbortSignal.abort(reason);
      for (const call of [
        () => queue.put(2, { signal }),
        () => queue.get({ signal }),
        () => queue.getMany(2, { signal }),
        () => queue.putMany([2], { signal }),
      ])
        assert.equal(await failureOf(call), signal.reason);
    }
    assert.deepEqual(drain(queue), [1]);
  });

  test('an abort while it waits rejects with the reason, and leaves all as it was', LIMIT, async () => {
    using queue = new Queue<number>(1);
    for (const reason of [new Error('enough'), 'enough', null, 0, Object.freeze({})]) {
      const gets = new AbortController();
      const waits = [
        queue.get({ signal: gets.signal }),
        queue.getMany(2, { signal: gets.signal }),
        queue.get(),
      ];
      gets.abort(reason);
      for (const wait of waits.slice(0, 2)) assert.equal(await failureOf(() => wait), gets.signal.reason);
      queue.putNowait(1);
      assert.equal(await waits[2], 1);

      queue.putNowait(1);
      const puts = new AbortController();
      const others = [
        queue.put(2, { signal: puts.signal }),
        queue.putMany([3, 4], { signal: puts.signal }),
        queue.put(5),
      ];
      puts.abort(reason);
      for (const wait of others.slice(0, 2)) assert.equal(await failureOf(() => wait), puts.signal.reason);
      assert.equal(queue.getNowait(), 1);
      await others[2];
      assert.deepEqual(drain(queue), [5]);
    }
  });

  test('an abort afterwards changes nothing', LIMIT, async () => {
    using queue = new Queue<number>(1);
    const controller = new AbortController();
    const { signal } = controller;
    const get = queue.get({ signal });
    await queue.put(1, { signal });
    controller.abort();
    assert.deepEqual(await outcomes([get]), [1], 'what has been given counts');
    queue.putNowait(2);
    const other = new AbortController();
    const put = queue.put(3, { signal: other.signal });
    assert.equal(queue.getNowait(), 2);
    other.abort();
    assert.deepEqual(await outcomes([put]), [undefined]);
    assert.deepEqual(drain(queue), [3]);
  });

  test('who gives up passes on what it was called for', LIMIT, async () => {
    using queue = new Queue<number>(1);
    for (const isAborted of [true, false]) {
      const controller = new AbortController();
      const options = isAborted ? { signal: controller.signal } : { timeout: 10 };
      const first = queue.get(options);
      const ends = outcomes([first, queue.get()]);
      if (isAborted) controller.abort();
      else await assert.rejects(first, QueueEmptyError);
      queue.putNowait(1);
      const [one, two] = await ends;
      assert.ok(one === DOMException.ABORT_ERR || one === 'ERR_QUEUE_EMPTY', String(one));
      assert.equal(two, 1);
    }
  });

  test('no listener stays with a signal, and nothing waits', LIMIT, async () => {
    using queue = new Queue<number>(1);
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) {
      const get = queue.get({ signal });
      await queue.put(1, { signal });
      await get;
      await assert.rejects(queue.get({ signal, timeout: 1 }), QueueEmptyError);
    }
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    assert.equal(getters(queue) + putters(queue), 0);
  });

  test('wrong options are refused before anything is changed', async () => {
    using queue = new Queue<number>(2);
    queue.putNowait(1);
    for (const [timeout, expected] of [
      [-1, RangeError],
      [Number.NaN, RangeError],
      ['5', TypeError],
      [null, TypeError],
      [5n, TypeError],
    ] as const) {
      const options = { timeout: timeout as never };
      await assert.rejects(queue.put(2, options), expected);
      await assert.rejects(queue.get(options), expected);
      await assert.rejects(queue.getMany(1, options), expected);
      await assert.rejects(queue.putMany([1], options), expected);
      assert.throws(() => queue.putSync(2, options), expected);
      assert.throws(() => queue.getSync(options), expected);
    }
    for (const signal of ['abort', 5, {}]) {
      const options = { signal: signal as never };
      await assert.rejects(queue.put(2, options), TypeError);
      await assert.rejects(queue.get(options), TypeError);
      await assert.rejects(queue.getMany(1, options), TypeError);
      await assert.rejects(queue.putMany([1], options), TypeError);
    }
    assert.deepEqual(drain(queue), [1]);
  });
});

describe('the event loop', () => {
  /** How often `step` runs before a timer of 1 ms is heard. */
  async function stepsUntilHeard(step: () => Promise<unknown>): Promise<number> {
    let heard = false;
    const timer = setTimeout(() => {
      heard = true;
    }, 1);
    let steps = 0;
    while (!heard && steps < 1_000_000) {
      await step();
      steps++;
    }
    clearTimeout(timer);
    return steps;
  }

  test('turns in a loop that awaits what is there already', LIMIT, async () => {
    using queue = new Queue<number>();
    const loops = {
      'get and put': () => {
        queue.putNowait(1);
        return queue.get();
      },
      put: async () => {
        await queue.put(1);
        queue.getNowait();
      },
      getMany: () => {
        queue.putNowait(1);
        return queue.getMany(3);
      },
      putMany: async () => {
        await queue.putMany([1]);
        queue.getNowait();
      },
      'get in vain': () => queue.get({ timeout: 0 }).catch(() => {}),
    };
    for (const [name, loop] of Object.entries(loops)) {
      const steps = await stepsUntilHeard(loop);
      assert.ok(steps < 1_000_000, `${name}: no timer was heard`);
      drain(queue);
    }
  });

  test('a loop over what is there already hears an abort', LIMIT, async () => {
    using queue = new Queue<number>();
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 2);
    let steps = 0;
    const error = await failureOf(async () => {
      for (; steps < 5_000_000; steps++) {
        queue.putNowait(1);
        await queue.get({ signal: controller.signal });
      }
    });
    assert.equal(error.message, 'enough');
    await turn();
  });
});
