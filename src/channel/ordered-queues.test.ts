import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { QueueEmptyError, QueueFullError, SerializationError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, LIMIT, warmCarriers } from '../testing/sharing.js';
import { LifoQueue } from './lifo-queue.js';
import { PriorityQueue } from './priority-queue.js';

/* Queues from which not that comes first which was put first. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

interface Item {
  readonly number: number;
  readonly priority: number;
  readonly text: string;
}

const SORTS = {
  LifoQueue: {
    make: (size: number) => new LifoQueue<Item>(size),
    before: (a: Item, b: Item) => b.number - a.number,
  },
  PriorityQueue: {
    make: (size: number) => new PriorityQueue<Item>(size),
    before: (a: Item, b: Item) => a.priority - b.priority || a.number - b.number,
  },
};

const priorities = fc.constantFrom(
  0,
  -0,
  1,
  2.5,
  -3,
  1e300,
  -1e-300,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
);
const lengths = fc.constantFrom(0, 10, 500, 2100, 20_000);
const steps = fc.array(
  fc.oneof(
    fc.record({ put: fc.integer({ min: 1, max: 1 }), priority: priorities, length: lengths }),
    fc.record({ put: fc.integer({ min: 2, max: 12 }), priority: priorities, length: lengths }),
    fc.record({ get: fc.integer({ min: 1, max: 15 }) }),
  ),
  { maxLength: 60 },
);

for (const [kind, { make, before }] of Object.entries(SORTS)) {
  test(`a ${kind} is as its model, whatever is put and got`, LIMIT, async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 0, max: 20 }), async (acts, size) => {
        using queue = make(size);
        let model: Item[] = [];
        let number = 0;
        for (const act of acts) {
          if ('put' in act) {
            const { put, priority, length } = act;
            const items = Array.from({ length: put }, () => ({
              ...{ number: number++, priority: priority + 0, text: 'x'.repeat(length) },
            }));
            const room = size === 0 ? put : Math.min(put, size - model.length);
            model = [...model, ...items.slice(0, room)].sort(before);
            const options = { priority, timeout: 0 };
            if (put === 1 && room === 0)
              assert.throws(() => queue.putSync(items[0], options), QueueFullError);
            else if (put === 1) await queue.put(items[0], options);
            else if (room === put) await queue.putMany(items, options);
            else await assert.rejects(queue.putMany(items, options), { name: 'QueueFullError', put: room });
          } else if (model.length === 0) {
            assert.throws(() => queue.getNowait(), QueueEmptyError);
          } else {
            const got = act.get === 1 ? [await queue.get()] : await queue.getMany(act.get);
            assert.deepEqual(got, model.splice(0, act.get));
          }
          assert.equal(queue.qsize(), model.length);
        }
        for (const item of model) assert.deepEqual(queue.getNowait(), item);
      }),
      { numRuns: 60 },
    );
  });
}

test('a priority is a number', async () => {
  using queue = new PriorityQueue();
  for (const [priority, Wrong] of [
    [Number.NaN, RangeError],
    ['1', TypeError],
    [1n, TypeError],
    [null, TypeError],
    [{}, TypeError],
  ] as const) {
    const options = { priority: priority as number };
    await assert.rejects(queue.put(1, options), Wrong);
    assert.throws(() => queue.putSync(1, options), Wrong);
    assert.throws(() => queue.putNowait(1, options), Wrong);
    await assert.rejects(queue.putMany([1], options), Wrong);
  }
  await assert.rejects(queue.put(Symbol('own'), { priority: -1 }), SerializationError);
  assert.equal(queue.empty(), true);
  queue.putNowait('usual', { priority: undefined });
  queue.putNowait('urgent', { priority: -1 });
  assert.deepEqual(await queue.getMany(3), ['urgent', 'usual']);
});

test(
  'a full PriorityQueue lets putters in as they came, and has what is urgent come out first',
  LIMIT,
  async () => {
    using queue = new PriorityQueue<string>(1);
    await queue.put('usual');
    const puts = [queue.put('late', { priority: 5 }), queue.put('urgent', { priority: -5 })];
    assert.equal(queue.getNowait(), 'usual');
    assert.equal(await queue.get(), 'late');
    assert.equal(await queue.get(), 'urgent');
    await Promise.all(puts);
  },
);

test('who waits for an item gets the first that comes, however urgent the next', LIMIT, async () => {
  using queue = new PriorityQueue<number>();
  const gets = [queue.get(), queue.get()];
  queue.putNowait(1, { priority: 9 });
  assert.equal(await gets[0], 1);
  queue.putNowait(2);
  assert.equal(await gets[1], 2);
});

for (const carrier of crowds) {
  describe(`over ${carrier.name}`, () => {
    test('equal priorities of one producer come out in the order in which it put them', LIMIT, async () => {
      using queue = new PriorityQueue<[who: number, n: number, priority: number]>();
      const each = 200;
      const produce = async (given: typeof queue, who: number, count: number) => {
        for (let n = 0; n < count; n++) {
          const priority = (n * 7) % 5;
          if (n % 2 === 0) given.putSync([who, n, priority], { priority });
          else await given.put([who, n, priority], { priority });
        }
      };
      await ended(...[0, 1, 2].map(who => carrier.start(produce, queue, who, each)));
      const all = await queue.getMany(3 * each + 1);
      assert.equal(all.length, 3 * each);
      const last = [-1, -1, -1];
      for (const [i, [who, n, priority]] of all.entries()) {
        const before = all[i - 1]?.[2] ?? priority;
        assert.ok(before <= priority);
        if (before < priority) last.fill(-1);
        assert.ok(n > last[who], `${n} of ${who} comes after ${last[who]}`);
        last[who] = n;
      }
    });

    test('the latest item comes first, whoever put it', LIMIT, async () => {
      using queue = new LifoQueue<string | number>();
      queue.putNowait('first');
      await ended(carrier.start((given: typeof queue) => given.putMany(['second', 'third']), queue));
      queue.putNowait('last');
      const [got] = await ended(carrier.start((given: typeof queue) => given.getMany(3), queue));
      assert.deepEqual(got, ['last', 'third', 'second']);
      assert.equal(queue.getNowait(), 'first');
    });
  });
}
