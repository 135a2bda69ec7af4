import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { Pipe } from '../channel/pipe.js';
import { Queue } from '../channel/queue.js';
import { ClosedError, LifecycleError, NameInUseError } from '../errors/errors.js';
import { carriers, forked, mixed } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { crowds, ended, killed, LIMIT, numbers, warmCarriers } from '../testing/sharing.js';
import { SharedList } from './shared-list.js';
import { SharedMap } from './shared-map.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const LONG = 'long '.repeat(600);

/** What one can do to a list and to an array alike. */
type Act = (list: SharedList | unknown[]) => unknown;

const item = fc.oneof(
  fc.integer(),
  fc.constantFrom(undefined, null, Number.NaN, -0, '', LONG, true),
  fc.string(),
  fc.array(fc.integer(), { maxLength: 3 }),
  fc.record({ a: fc.integer() }, { noNullPrototype: true }),
);
const items = fc.array(item, { maxLength: 20 });
const index = fc.integer({ min: -12, max: 12 });
const acts: fc.Arbitrary<Act> = fc.oneof(
  items.map(
    (all): Act =>
      list =>
        list.push(...all),
  ),
  items.map(
    (all): Act =>
      list =>
        list.unshift(...all),
  ),
  fc.constantFrom<Act>(
    list => list.pop(),
    list => list.shift(),
    list => void list.reverse(),
    list => void list.sort(),
    list => void list.sort((a, b) => String(b).length - String(a).length),
    list => (list as unknown[]).splice(2),
  ),
  fc.tuple(index, index, items).map(
    ([start, count, all]): Act =>
      list =>
        list.splice(start, count, ...all),
  ),
  fc.tuple(index, item).map(
    ([i, value]): Act =>
      list => {
        const at = i < 0 ? i + list.length : i;
        if (at < 0 || at >= list.length) {
          if (list instanceof SharedList) assert.throws(() => list.set(i, value), RangeError);
        } else if (list instanceof SharedList) list.set(i, value);
        else list[at] = value;
      },
  ),
  fc.tuple(index, item).map(
    ([i, value]): Act =>
      list => {
        const at = i < 0 ? i + list.length : i;
        if (at < 0 || at >= list.length) return undefined;
        if (list instanceof SharedList) return list.update(i, old => [old, value]);
        list[at] = [list[at], value];
        return list[at];
      },
  ),
  index.map(
    (i): Act =>
      list =>
        list.at(i),
  ),
);

for (const named of [false, true])
  test(`${named ? 'one with a name' : 'a list'} does what an array does`, LIMIT, () => {
    let runs = 0;
    fc.assert(
      fc.property(items, fc.array(acts, { maxLength: 25 }), (first, steps) => {
        const name = `list ${process.pid}/${++runs}`;
        using list = new SharedList<any>(first, named ? { name } : {});
        const array: unknown[] = [...first];
        for (const act of steps) {
          assert.deepEqual(act(list), act(array));
          assert.equal(list.length, array.length);
          assert.deepEqual(list.toArray(), array);
        }
        assert.deepEqual([...list], array);
        for (let i = -array.length - 1; i <= array.length; i++) assert.deepEqual(list.at(i), array.at(i));
      }),
      { numRuns: named ? 5 : 25 },
    );
  });

test('at() and splice() take what Array has them take', () => {
  using list = new SharedList([1, 2, 3]);
  for (const i of [0.9, -0.5, -1.5, Number.NaN, Number.POSITIVE_INFINITY, 7])
    assert.equal(list.at(i), [1, 2, 3].at(i), `${i}`);
  assert.deepEqual((list as any).splice(), []);
  assert.deepEqual(list.splice(1, undefined), []);
  assert.deepEqual(list.splice(-1), [3]);
  assert.deepEqual(list.splice(Number.NEGATIVE_INFINITY, 1, 5, 6), [1]);
  assert.deepEqual([...list], [5, 6, 2]);
});

test('it is made of what can be gone through; items that cannot cross leave it as it is', () => {
  for (const bad of [null, 5, {}, true])
    assert.throws(() => new SharedList(bad as never), { name: 'TypeError', message: /give an array/ });
  using list = new SharedList<any>(new Set(['a', 'b']));
  assert.throws(() => list.push('c', new WeakMap()), { name: 'SerializationError' });
  assert.throws(() => list.set(0, Symbol('s')), { name: 'SerializationError' });
  assert.throws(() => list.splice(0, 1, new WeakSet()), { name: 'SerializationError' });
  for (const i of [2, -3, 0.5, Number.NaN]) {
    assert.throws(() => list.set(i, 1), RangeError);
    assert.throws(() => list.update(i, () => 1), RangeError);
  }
  assert.throws(() => list.set('0' as never, 1), TypeError);
  assert.deepEqual([...list], ['a', 'b']);
  assert.equal(inspect(list), 'SharedList { length: 2 }');
});

test('indexOf() takes objects for equal that hold the same', () => {
  using list = new SharedList<unknown>([1, { a: [1] }, Number.NaN, 'a', null, undefined, 0]);
  const found = [1, { a: [1] }, Number.NaN, 'a', null, undefined, -0, { a: [2] }, '1'];
  assert.deepEqual(
    found.map(value => list.indexOf(value)),
    [0, 1, 2, 3, 4, 5, 6, -1, -1],
  );
});

test('update() is one step; what throws, or returns a promise, changes nothing', () => {
  using list = new SharedList([1, 2]);
  assert.equal(
    list.update(-1, old => (old ?? 0) + 5),
    7,
  );
  assert.throws(
    () =>
      list.update(0, () => {
        throw new RangeError('mine');
      }),
    { message: 'mine' },
  );
  assert.throws(() => list.update(0, (async () => 1) as never), { name: 'TypeError', message: /await/ });
  assert.throws(() => list.update(0, 5 as never), TypeError);
  assert.throws(() => list.update(0, () => list[Symbol.dispose]() as never), LifecycleError);
  list.update(0, old => {
    list.push(old ?? 0);
    return list.length;
  });
  assert.deepEqual([...list], [3, 7, 1]);
});

test('a comparison that changes the list has it not sorted', () => {
  using list = new SharedList([2, 1]);
  const compare = (a: number, b: number) => {
    list.set(0, 5);
    return a - b;
  };
  assert.throws(() => list.sort(compare), LifecycleError);
  assert.throws(() => list.sort('up' as never), TypeError);
  assert.deepEqual([...list], [5, 1]);
});

test('it goes with its last reference, or when it is disposed of', LIMIT, async () => {
  new SharedList([1, LONG]); // leavesNoBlocks() sees whether it stays
  await collect();
  const list = new SharedList<any>([1, LONG]);
  list.push(list);
  assert.equal(list.at(-1), list);
  list[Symbol.dispose]();
  list[Symbol.dispose]();
  for (const use of [() => list.at(0), () => list.push(1), () => list.length, () => [...list]])
    assert.throws(use, ClosedError);
  assert.equal(inspect(list), 'SharedList <closed>');
});

test('it keeps what is in it: ends of pipes stay open as long as they are', LIMIT, async () => {
  const [here, there] = Pipe<string>();
  using list = new SharedList<any>([there]);
  there.close();
  const again = list.at(0);
  again.sendSync('from the list');
  again.close();
  assert.equal(here.recvSync(), 'from the list');
  list.pop().close();
  assert.throws(() => here.recvSync(), { code: 'ERR_EOF' });
  here.close();
  using queue = new Queue<number>();
  list.push({ queue });
  list.at(0).queue.putNowait(5);
  assert.equal(queue.getNowait(), 5);
});

test('a name is one list for all who open it, and keeps its items', () => {
  const name = `list ${process.pid}`;
  using list = new SharedList(['a'], { name });
  using same = new SharedList(['not taken'], { name });
  same.push('b');
  assert.deepEqual([...list], ['a', 'b']);
  assert.throws(() => new SharedMap(null, { name }), NameInUseError);
});

for (const { name, start } of carriers)
  test(`what one does all others see: ${name}`, LIMIT, async () => {
    using list = new SharedList<any>([1, LONG]);
    const child = start((there: SharedList) => {
      there.push({ by: 'child' }, LONG);
      there.unshift(there.shift() + 1);
      return [there, there.toArray().length];
    }, list);
    assert.deepEqual(await child.result(), [list, 4]);
    await child.join();
    assert.deepEqual([...list], [2, LONG, { by: 'child' }, LONG]);
  });

for (const crowd of process.env.MANYHANDS_CARRIERS === 'all' ? crowds : [forked, mixed()])
  describe(crowd.name, () => {
    const COUNT = 3;
    const EACH = 50;

    test('no step of anyone is lost', LIMIT, async () => {
      using list = new SharedList<any>([0]);
      const peers = Array.from({ length: COUNT }, (_, me) =>
        crowd.start(
          (there: SharedList, who: number, each: number) => {
            for (let i = 0; i < each; i++) {
              there.update(0, n => n + 1);
              there.push([who, i]);
            }
          },
          list,
          me,
          EACH,
        ),
      );
      await ended(...peers);
      const [sum, ...pairs] = list;
      assert.equal(sum, COUNT * EACH);
      assert.equal(pairs.length, COUNT * EACH);
      for (let me = 0; me < COUNT; me++)
        assert.deepEqual(
          pairs.filter(([who]) => who === me).map(([, i]) => i),
          Array.from({ length: EACH }, (_, i) => i),
        );
    });

    test(
      'each item is taken by one, while others push; readers see whole items and whole steps',
      LIMIT,
      async () => {
        using list = new SharedList<any>();
        const done = numbers();
        using _done = done;
        const taker = (there: SharedList, all: typeof done) => {
          let sum = 0;
          for (;;) {
            const over = Atomics.load(all.view, 0) === 1;
            const item = there.shift();
            if (item !== undefined) sum += item.n;
            else if (over) return sum;
          }
        };
        const reader = (there: SharedList, all: typeof done) => {
          while (Atomics.load(all.view, 0) === 0) {
            const item = there.at(-1);
            if (item !== undefined && item.text !== 'x'.repeat(item.n)) throw new Error('torn');
            if (there.toArray().some(({ n, first }, i) => !first && i === 0 && n < 0))
              throw new Error('half');
          }
          return 0;
        };
        const peers = [taker, taker, reader].map(task => crowd.start(task, list, done));
        let expected = 0;
        for (let n = 0; n < 120; n++) {
          const size = (n * 37) % 300;
          list.push({ n: size, text: 'x'.repeat(size), first: true }, { n: size, text: 'x'.repeat(size) });
          expected += 2 * size;
        }
        Atomics.store(done.view, 0, 1);
        const sums = await ended(...peers);
        assert.equal(
          sums.reduce((sum, n) => sum + n, 0),
          expected,
        );
        assert.equal(list.length, 0);
      },
    );
  });

const KILLS = Number(process.env.MANYHANDS_KILLS ?? 2);

for (const { name, start } of carriers.slice(0, 2))
  test(`who is killed amidst it leaves it whole, and nobody stuck: ${name}`, LIMIT, async () => {
    using list = new SharedList<any>();
    using words = numbers();
    for (let i = 0; i < KILLS; i++) {
      words.view[i % 8] = 0;
      const peers = Array.from({ length: 3 }, () =>
        start(
          (there: SharedList, all: typeof words, at: number, long: string) => {
            for (let n = 0; ; n++) {
              // Always in pairs, that are seen both or not at all.
              if (n % 3 === 0) there.push([n, long], [n]);
              else if (n % 3 === 1) there.splice(0, 2);
              else there.unshift([n], [n, long]);
              if (n % 100 === 0) there.reverse();
              Atomics.add(all.view, at, 1);
            }
          },
          list,
          words,
          i % 8,
          LONG,
        ),
      );
      await waitUntil(() => Atomics.load(words.view, i % 8) > 30, 'them to be at it');
      await killed(...peers);
      assert.equal(list.length % 2, 0, 'a step was made by half');
      for (const [n, long] of list) assert.ok(Number.isInteger(n) && (long === undefined || long === LONG));
      list.splice(0);
    }
  });
