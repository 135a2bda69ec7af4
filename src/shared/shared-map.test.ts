import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Queue } from '../channel/queue.js';
import {
  ClosedError,
  DeadlockError,
  LifecycleError,
  OutOfMemoryError,
  SerializationError,
  TimeoutError,
} from '../errors/errors.js';
import { setLimit, stats } from '../memory/allocator.js';
import { Lock } from '../sync/lock.js';
import { countInUse } from '../testing/blocks.js';
import { forked, threads } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { crowds, ended, killed, LIMIT, numbers, untilIs, warmCarriers } from '../testing/sharing.js';
import { SharedMap } from './shared-map.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const KILLS = Number(process.env.MANYHANDS_KILLS ?? 8);
const READS = process.env.MANYHANDS_KILLS === undefined ? 300 : 100_000;
/** Processes that update one key, each once. */
const MANY = process.env.MANYHANDS_KILLS === undefined ? 30 : 100;
let names = 0;
const newName = () => `shared-map-test-${process.pid}-${++names}`;
type AnyMap = SharedMap<any>;

test('a map begins with the entries that it is given, of any iterable', () => {
  using map = new SharedMap<string, any>([
    ['a', 1],
    ['b', { deep: [new Map([[1, 2n]])] }],
    ['a', 3],
  ]);
  assert.deepEqual(
    [...map],
    [
      ['a', 3],
      ['b', { deep: [new Map([[1, 2n]])] }],
    ],
  );
  using copy = new SharedMap(map);
  assert.deepEqual([...copy], [...map]);
  using none = new SharedMap(null);
  assert.equal(none.size, 0);
  assert.deepEqual([...none], []);
  for (const bad of [5, 'ab', [1], [null], [[{}, 1]]] as any[])
    assert.throws(() => new SharedMap(bad), { name: 'TypeError', message: /give/ });
  assert.throws(() => new SharedMap([['a', Promise.resolve()]]), SerializationError);
});

test('keys are strings and numbers, told apart by type', async () => {
  using map: AnyMap = new SharedMap();
  const keys = [1, '1', 0, '', Number.NaN, 'NaN', '\ud800', '\udc00', 'ÿ', 'Ā', '\0', '漢字'];
  for (const [i, key] of keys.entries()) map.set(key, i);
  for (const [i, key] of keys.entries()) assert.equal(map.get(key), i);
  assert.equal(map.get(-0), 2);
  assert.deepEqual([...map.keys()], keys);
  for (const key of ['x'.repeat(65_536), 'Ā'.repeat(32_768)]) {
    map.set(key, key.length);
    assert.equal(map.get(key), key.length);
    assert.equal([...map.keys()].pop(), key);
    for (const longer of [`${key}y`, `${key.slice(1)}Ā`].filter(text => text.length > 32_768))
      for (const use of [() => map.set(longer, 1), () => map.get(longer), () => map.watch(longer)])
        await assert.rejects(async () => use(), { name: 'RangeError', message: /65536/ });
  }
  for (const bad of [null, undefined, {}, [], Symbol('s'), 1n, true] as any[]) {
    for (const use of [
      () => map.set(bad, 1),
      () => map.get(bad),
      () => map.has(bad),
      () => map.delete(bad),
      () => map.getEntry(bad),
      () => map.update(bad, () => 1),
      () => map.compareAndSet(bad, null, 1),
    ])
      assert.throws(use, { name: 'TypeError', message: /give a string or a number/ });
  }
});

test('values are copies, of any length, undefined too', () => {
  using map: AnyMap = new SharedMap();
  const value = { list: [1, 2] };
  map.set('a', value);
  value.list.push(3);
  assert.deepEqual(map.get('a'), { list: [1, 2] });
  map.get('a').list.push(4);
  assert.deepEqual(map.get('a'), { list: [1, 2] });
  map.set('a', undefined);
  assert.equal(map.get('a'), undefined);
  assert.equal(map.has('a'), true);
  assert.equal(map.size, 1);
  for (const length of [0, 1, 63, 64, 300, 2040, 2048, 2049, 5000, 70_000, 3_000_000]) {
    const bytes = new Uint8Array(length).fill(length);
    map.set('bytes', bytes);
    assert.deepEqual(map.get('bytes'), bytes);
  }
  assert.throws(() => map.set('bytes', { deep: [Promise.resolve()] }), {
    name: 'SerializationError',
    message: /value\.deep\[0\]/,
  });
  assert.equal(map.get('bytes').length, 3_000_000);
});

test('what a value holds is the same object, and lives as long as the value does', async () => {
  using map: AnyMap = new SharedMap();
  using lock = new Lock();
  map.set('lock', { lock });
  assert.equal(map.get('lock').lock, lock);
  const queue = new Queue();
  map.set('queue', [queue]);
  queue.putNowait('kept');
  queue.close();
  const again = map.get('queue')[0] as Queue;
  assert.equal(again.getNowait(), 'kept');
  assert.deepEqual([...map.values()][1][0], again);
  again.putNowait('still');
  again.close();
  map.transaction(() => {
    map.set('more', map.get('queue'));
    map.delete('queue');
  });
  using last = map.get('more')[0] as Queue;
  assert.equal(last.getNowait(), 'still');
  map.delete('more');
  last.putNowait('mine');
  assert.equal(last.getNowait(), 'mine');
});

test('update() runs once, and makes what it returns the value', () => {
  using map: AnyMap = new SharedMap([['n', 1]]);
  let calls = 0;
  assert.equal(
    map.update('n', (old: number) => {
      calls++;
      map.set('other', old); // in the midst of it
      return old + 1;
    }),
    2,
  );
  assert.deepEqual(
    [...map],
    [
      ['n', 2],
      ['other', 1],
    ],
  );
  assert.equal(calls, 1);
  assert.equal(
    map.update('new', old => old),
    undefined,
  );
  assert.equal(map.has('new'), false);
  assert.equal(
    map.update('other', () => undefined),
    undefined,
  );
  assert.equal(map.has('other'), false);
  assert.throws(() => map.update('n', () => assert.fail('no')), { message: 'no' });
  assert.throws(() => map.update('n', async () => Promise.reject(new Error('ignored'))), {
    name: 'TypeError',
    message: /await first/,
  });
  assert.throws(() => map.update('n', () => Symbol('s')), SerializationError);
  assert.throws(() => map.update('n', 5 as never), TypeError);
  assert.equal(map.get('n'), 2);
  map.update('n', n => map.update('n', (m: number) => m * 10) + n); // the inner one happens first
  assert.equal(map.get('n'), 22);
});

test('a version is never that of another value', () => {
  using map: AnyMap = new SharedMap();
  const seen = new Set<number>();
  const version = () => {
    const found = map.getEntry('a')?.version as number;
    assert.equal(seen.has(found), false);
    seen.add(found);
    return found;
  };
  assert.equal(map.getEntry('a'), undefined);
  assert.equal(map.compareAndSet('a', null, 1), true);
  const first = version();
  assert.equal(map.compareAndSet('a', null, 2), false);
  assert.equal(map.compareAndSet('a', 0, 2), false);
  map.set('a', 1);
  version();
  assert.equal(map.compareAndSet('a', first, 2), false);
  map.delete('a');
  assert.equal(map.compareAndSet('a', first, 2), false);
  map.set('a', 1);
  const last = version();
  assert.equal(map.compareAndSet('a', first, 2), false);
  assert.equal(map.compareAndSet('a', last, 2), true);
  assert.equal(map.get('a'), 2);
  version();
  map.transaction(() => {
    map.set('a', 3);
    const inside = map.getEntry('a')?.version as number;
    assert.equal(map.compareAndSet('a', last, 4), false);
    assert.equal(map.compareAndSet('a', inside, 5), true);
    assert.equal(map.compareAndSet('a', null, 6), false);
  });
  version();
  assert.equal(map.get('a'), 5);
  assert.throws(() => map.compareAndSet('a', '1' as never, 1), TypeError);
});

test('a transaction that fails leaves the map as it was', () => {
  using map: AnyMap = new SharedMap([
    ['a', 1],
    ['b', 2],
  ]);
  const { version } = map.getEntry('a') as { version: number };
  assert.throws(
    () =>
      map.transaction(() => {
        map.set('a', 'x'.repeat(5000));
        map.transaction(() => map.delete('b')); // a part of it
        map.clear();
        map.set('c', new Uint8Array(9000));
        assert.deepEqual([...map.keys()], ['c']);
        throw new Error('no');
      }),
    { message: 'no' },
  );
  assert.deepEqual(
    [...map],
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  assert.equal(map.getEntry('a')?.version, version);
  assert.throws(() => map.transaction(async () => map.set('a', 9)), { name: 'TypeError' });
  assert.throws(() => map.transaction(null as never), TypeError);
  assert.equal(map.get('a'), 1);
});

test('when there is no room, the map is as it was', () => {
  using map: AnyMap = new SharedMap([['a', 1]]);
  const before = stats().limit;
  try {
    setLimit(stats().used + 2 ** 20);
    assert.throws(() => map.set('a', new Uint8Array(2 ** 21)), OutOfMemoryError);
    assert.throws(
      () =>
        map.transaction(() => {
          map.set('b', 2);
          map.set('a', new Uint8Array(2 ** 21));
        }),
      OutOfMemoryError,
    );
    assert.throws(() => {
      for (let i = 0; ; i++) map.set(`k${i}`, 'x'.repeat(1000));
    }, OutOfMemoryError);
    const { size } = map;
    assert.equal([...map].length, size);
    map.set('a', 2); // there is room for this
  } finally {
    setLimit(before);
  }
  assert.equal(map.get('a'), 2);
  map.clear();
  assert.equal(map.size, 0);
});

test('who goes through a map misses nothing, and meets nothing twice, whatever comes and goes', () => {
  using map: AnyMap = new SharedMap(Array.from({ length: 50 }, (_, i) => [`stays ${i}`, i] as const));
  const seen: string[] = [];
  let n = 0;
  for (const [key, value] of map) {
    if (key.startsWith('stays')) {
      assert.equal(key, `stays ${value}`);
      seen.push(key);
    }
    if (n >= 400) continue;
    for (let i = 0; i < 20; i++) map.set(`goes ${n++}`, i); // so that the table is replaced again and again
    for (let i = n - 20; i < n; i++) if (i % 20 !== 0) map.delete(`goes ${i}`);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, i) => `stays ${i}`),
  );
  const walk = map.keys();
  walk.next();
  map.clear();
  map.set('after', 1);
  assert.deepEqual([...walk], ['after']);
});

test('watch() tells the next change of its key, and of no other', LIMIT, async () => {
  using map: AnyMap = new SharedMap([['a', 1]]);
  await assert.rejects(map.watch('a', { timeout: 0 }), TimeoutError);
  const [first, second, other] = [map.watch('a'), map.watch('a'), map.watch('b', { timeout: 60 })];
  for (let i = 0; i < 200; i++) map.set(`x${i}`, i); // among them some with the same word
  assert.equal(await Promise.race([first, other.catch(() => 'late')]), 'late');
  map.set('a', 2);
  assert.deepEqual(await Promise.all([first, second]), [2, 2]);
  const deleted = map.watch('a');
  map.delete('a');
  assert.equal(await deleted, undefined);
  const both = Promise.all([map.watch('p'), map.watch('q')]);
  map.transaction(() => {
    map.set('p', 1);
    map.set('q', 2);
  });
  assert.deepEqual(await both, [1, 2]);
  const cleared = map.watch('p');
  map.clear();
  assert.equal(await cleared, undefined);
  const came = map.watch('p');
  map.set('p', 1);
  map.delete('p');
  assert.equal(await came, undefined);
  const controller = new AbortController();
  const aborted = map.watch('p', { signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(aborted, { message: 'enough' });
  await assert.rejects(map.watch('p', { signal: controller.signal }), { message: 'enough' });
});

test('a map that is disposed of is closed for all, and who watches is told', LIMIT, async () => {
  const map: AnyMap = new SharedMap([['a', 'x'.repeat(9000)]]);
  const watching = map.watch('a');
  assert.throws(() => map.update('a', () => map[Symbol.dispose]()), LifecycleError);
  map[Symbol.dispose]();
  map[Symbol.dispose]();
  await assert.rejects(watching, ClosedError);
  for (const use of [
    () => map.get('a'),
    () => map.set('a', 1),
    () => map.size,
    () => map.keys(),
    () => map.update('a', () => 1),
    () => map.transaction(() => {}),
  ])
    assert.throws(use, ClosedError);
  assert.equal(inspect(map), 'SharedMap <closed>');
});

test('a map that was passed to nobody goes with its last reference', LIMIT, async () => {
  (() => {
    const map: AnyMap = new SharedMap([['a', 'x'.repeat(9000)]]);
    map.update('a', value => value);
  })();
  for (let i = 0; i < 50 && countInUse() > 0; i++) await collect();
  assert.equal(countInUse(), 0);
});

test('a map shows its size', () => {
  using map = new SharedMap([['a', 1]]);
  assert.equal(inspect(map), 'SharedMap { size: 1 }');
});

test('a map by a name is one for all who open it', LIMIT, async () => {
  const name = newName();
  using map: AnyMap = new SharedMap([['a', 1]], { name });
  using same: AnyMap = new SharedMap([['a', 'ignored']], { name });
  assert.equal(same.get('a'), 1);
  for (let i = 0; i < 2000; i++) same.set(i, `value ${i}`);
  same.set('long', new Uint8Array(100_000).fill(3));
  assert.equal(map.size, 2002);
  assert.deepEqual(map.get('long'), new Uint8Array(100_000).fill(3));
  using lock = new Lock();
  assert.throws(() => map.set('lock', lock), SerializationError);
  const watching = map.watch('b');
  same.transaction(() => same.set('b', 2));
  assert.equal(await watching, 2);
  assert.equal(inspect(map), `SharedMap "${name}" { size: 2003 }`);
  assert.throws(() => map.update('a', () => same.set('b', 1)), DeadlockError);
  map.clear();
  assert.equal(same.size, 0);
});

/** Those of one sort only have no path that a mixture has not. */
const SOME =
  process.env.MANYHANDS_CARRIERS === 'all' ? crowds : crowds.filter(({ name }) => name !== forked.name);

for (const carrier of SOME)
  describe(`among ${carrier.name}`, () => {
    test('what one sets, all others read at once', LIMIT, async () => {
      using map: AnyMap = new SharedMap();
      using turns = new Queue<number>();
      map.set('gone', 1);
      map.set('there', 'x'.repeat(4000));
      const peer = carrier.start(
        async (all: AnyMap, turn: Queue<number>) => {
          all.set('back', { from: all.get('there') });
          all.delete('gone');
          await turn.put(1);
        },
        map,
        turns,
      );
      assert.equal(await turns.get(), 1);
      assert.equal(map.get('back').from.length, 4000);
      await ended(peer);
      assert.deepEqual([...map.keys()], ['there', 'back']);
    });

    test('updates of all add up', LIMIT, async () => {
      const count = 4;
      using map = new SharedMap([['count', count * 100]]);
      const peers = Array.from({ length: count }, () =>
        carrier.start((all: AnyMap) => {
          for (let i = 0; i < 100; i++) all.update('count', (n: number) => n - 1);
        }, map),
      );
      await ended(...peers);
      assert.equal(map.get('count'), 0);
    });

    test('nobody reads half of anything while others write', LIMIT, async () => {
      using map: AnyMap = new SharedMap<string, any>([
        ['short', Array(20).fill(0)],
        ['long', Array(900).fill(0)],
        ['a', 0],
        ['b', 0],
      ]);
      using all = numbers();
      const peers = [1, 2].map(seed =>
        carrier.start(
          (shared: AnyMap, { view }: typeof all, mine: number) => {
            for (let i = mine; Atomics.load(view, 0) === 0; i += 2) {
              shared.set('short', Array(20).fill(i));
              shared.set('long', Array(900).fill(i));
              shared.transaction(() => {
                shared.set('a', i);
                shared.set(`k${i % 100}`, i);
                shared.delete(`k${(i + 50) % 100}`);
                shared.set('b', i);
              });
              Atomics.store(view, mine, i);
            }
          },
          map,
          all,
          seed,
        ),
      );
      await waitUntil(
        () => Atomics.load(all.view, 1) > 0 && Atomics.load(all.view, 2) > 0,
        () => 'both to write',
        30_000,
      );
      for (let i = 0; i < READS; i++) {
        for (const key of ['short', 'long']) {
          const value = map.get(key);
          assert.equal(value.length, key === 'short' ? 20 : 900);
          assert.ok(value.every((n: number) => n === value[0]));
        }
        const a = map.get('a');
        const b = map.get('b'); // later, so it is no older: both of a transaction appear at once
        if (i % 10 === 0) {
          let [before, after]: any[] = [];
          map.update('a', n => {
            [before, after] = [n, map.get('b')];
            return n;
          });
          assert.equal(before, after);
        }
        assert.ok(typeof a === 'number' && typeof b === 'number');
        if (i % 10 !== 0) continue;
        let fixed = 0;
        for (const key of map.keys()) if (!key.startsWith('k')) fixed++;
        assert.equal(fixed, 4);
      }
      Atomics.store(all.view, 0, 1);
      await ended(...peers);
    });

    test('none of many watchers misses the last change', LIMIT, async () => {
      using map: AnyMap = new SharedMap([['goal', 0]]);
      const peers = [1, 2, 3].map(() =>
        carrier.start(async (all: AnyMap) => {
          for (let seen = 0; seen < 100; ) {
            const next = all.watch('goal', { timeout: 20_000 });
            const now = all.get('goal');
            seen = now > seen ? now : ((await next) as number);
            if (now >= seen) next.catch(() => {});
          }
          return 'done';
        }, map),
      );
      for (let i = 1; i <= 100; i++) {
        map.set('goal', i);
        if (i % 20 === 0) await new Promise(resolve => setImmediate(resolve));
      }
      const waker = setInterval(() => map.set('goal', 100), 5); // their last watches end, too
      assert.deepEqual(await ended(...peers), ['done', 'done', 'done']);
      clearInterval(waker);
    });

    test('who is killed leaves whole changes, and nobody stuck', LIMIT, async () => {
      using map: AnyMap = new SharedMap([
        ['a', 0],
        ['b', 0],
      ]);
      using all = numbers();
      const storm = (shared: AnyMap, { view }: typeof all) => {
        for (let i = 0; ; i++) {
          shared.transaction(() => {
            const n = shared.get('a') + 1;
            shared.set('a', n);
            shared.set(`long ${n % 5}`, 'x'.repeat(3000 + (n % 3)));
            if (n % 3 === 0) shared.delete(`long ${(n + 2) % 5}`);
            shared.set('b', n);
          });
          shared.set(`k${i % 400}`, i);
          if (i % 401 === 0) shared.delete(`k${i % 300}`);
          Atomics.add(view, 0, 1);
        }
      };
      for (let round = 0; round < KILLS / 4; round++) {
        const before = all.view[0];
        const peers = [1, 2].map(() => carrier.start(storm, map, all));
        while (Atomics.load(all.view, 0) < before + 50)
          await new Promise(resolve => setTimeout(resolve, Math.random() * 3));
        await killed(...peers);
        map.transaction(() => assert.equal(map.get('a'), map.get('b')));
        assert.equal([...map].length, map.size);
        for (const [key, value] of map) if (key.startsWith('long')) assert.match(value, /^x{3000,3002}$/);
      }
      map.clear();
    });

    test('who is killed within an update has changed nothing', LIMIT, async () => {
      using map: AnyMap = new SharedMap([['a', 1]]);
      using all = numbers();
      const peer = carrier.start(
        (shared: AnyMap, { view }: typeof all) => {
          shared.transaction(() => {
            shared.set('a', 2);
            shared.set('b', 'x'.repeat(5000));
            Atomics.store(view, 0, 1);
            for (;;) Atomics.load(view, 0);
          });
        },
        map,
        all,
      );
      await untilIs(all, 0, 1);
      assert.equal(map.get('a'), 1); // readers do not wait for it
      await killed(peer);
      map.update('a', (n: number) => n + 10);
      assert.deepEqual([...map], [['a', 11]]);
    });
  });

test('two maps, each changed from within the other, are a deadlock that is found', LIMIT, async () => {
  using one: AnyMap = new SharedMap();
  using two: AnyMap = new SharedMap();
  using all = numbers();
  const cross = (a: AnyMap, b: AnyMap, { view }: typeof all, me: number) => {
    try {
      a.update('x', () => {
        Atomics.store(view, me, 1);
        while (Atomics.load(view, 1 - me) === 0);
        b.set('x', 1);
        return 1;
      });
      return 'fine';
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  const results = await ended(threads.start(cross, one, two, all, 0), threads.start(cross, two, one, all, 1));
  assert.match(results.find(result => result !== 'fine') as string, /^DeadlockError: .*SharedMap/s);
});

test(`${MANY} processes count down to exactly 0`, LIMIT, async () => {
  using map = new SharedMap([['count', MANY]]);
  await ended(
    ...Array.from({ length: MANY }, () =>
      forked.start((all: AnyMap) => void all.update('count', (n: number) => n - 1), map),
    ),
  );
  assert.equal(map.get('count'), 0);
});
