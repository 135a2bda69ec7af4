import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError, DeadlockError, TimeoutError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import {
  crowds,
  ended,
  killed,
  LIMIT,
  type Numbers,
  numbers,
  untilIs,
  untilWaiting,
  warmCarriers,
} from '../testing/sharing.js';
import type { Guard } from './guard.js';
import { keyHash } from './key-hash.js';
import { TableLock } from './table-lock.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const NOW = { timeout: 0 };

/** Nobody holds anything of it, and nobody has died over it. */
function assertFree(table: TableLock): void {
  const guard = table.tableSync(NOW);
  assert.equal(guard.abandoned, false);
  guard.release();
}

test('a row excludes the same row, and no other', async () => {
  using table = new TableLock();
  const row = table.rowSync('a');
  assert.throws(() => table.rowSync('a', NOW), TimeoutError);
  await assert.rejects(table.row('a', NOW), TimeoutError);
  const others = [table.rowSync('b', NOW), await table.row('', NOW), table.rowSync('A', NOW)];
  row.release();
  table.rowSync('a', NOW).release();
  for (const other of others) other.release();
  assertFree(table);
});

test('keys are told apart by type and value', () => {
  using table = new TableLock();
  const keys = [
    1,
    '1',
    1.5,
    '1.5',
    -1,
    0,
    '0',
    '',
    Number.NaN,
    'NaN',
    'null',
    2 ** 53,
    'ü',
    'u\u0308',
    '\ud800',
  ];
  const guards = keys.map(key => table.rowSync(key, NOW));
  for (const key of [...keys, -0]) assert.throws(() => table.rowSync(key, NOW), TimeoutError, `${key}`);
  for (const guard of guards) guard.release();
  assertFree(table);
});

test('what is no key is refused', async () => {
  using table = new TableLock();
  for (const key of [undefined, null, 1n, true, Symbol('x'), {}, ['a'], () => 'a']) {
    assert.throws(() => table.rowSync(key as never), TypeError);
    await assert.rejects(table.row(key as never), TypeError);
  }
  for (const mode of ['Shared', '', 0] as never[]) {
    assert.throws(() => table.tableSync({ mode }), RangeError);
    await assert.rejects(table.table({ mode }), RangeError);
  }
  assertFree(table);
});

test('of 300,000 keys no two have the same hash', { timeout: 120_000 }, () => {
  const halves = [new Set<number>(), new Set<number>()];
  const whole = new Set<number>();
  const count = 300_000;
  for (let i = 0; i < count; i++) {
    const key = i % 4 === 0 ? i : i % 4 === 1 ? `user:${i}` : i % 4 === 2 ? `${i}` : i / 7;
    const [low, high] = keyHash(key);
    assert.ok((low | 0) === low && high >= 0 && high < 2 ** 30);
    halves[0].add(low);
    halves[1].add(high);
    whole.add((low >>> 0) * 2 ** 21 + (high >>> 9));
  }
  assert.equal(whole.size, count);
  // As many collisions as chance brings: 10 of 32 bits, 42 of 30.
  assert.ok(count - halves[0].size < 40, `${count - halves[0].size} of the first half`);
  assert.ok(count - halves[1].size < 110, `${count - halves[1].size} of the second half`);
});

test('the table excludes all rows, and they it', async () => {
  using table = new TableLock();
  const rows = [table.rowSync(1), await table.row(2)];
  assert.throws(() => table.tableSync(NOW), TimeoutError);
  assert.throws(() => table.tableSync({ ...NOW, mode: 'shared' }), TimeoutError);
  rows[0].release();
  await assert.rejects(table.table(NOW), TimeoutError);
  rows[1].release();
  const whole = await table.table();
  assert.throws(() => table.rowSync(3, NOW), TimeoutError);
  assert.throws(() => table.tableSync(NOW), TimeoutError);
  assert.throws(() => table.tableSync({ ...NOW, mode: 'shared' }), TimeoutError);
  whole.release();
  assertFree(table);
});

test('a shared table is beside others that share it, and beside no row', async () => {
  using table = new TableLock();
  const first = table.tableSync({ mode: 'shared' });
  const second = await table.table({ mode: 'shared' });
  assert.throws(() => table.rowSync('a', NOW), TimeoutError);
  assert.throws(() => table.tableSync(NOW), TimeoutError);
  first.release();
  await assert.rejects(table.row('a', NOW), TimeoutError);
  second.release();
  table.rowSync('a', NOW).release();
  table.tableSync({ ...NOW, mode: 'exclusive' }).release();
  assertFree(table);
});

test(
  'order is that of arrival among those that exclude one another, and nobody else is held up',
  LIMIT,
  async () => {
    using table = new TableLock();
    const told: string[] = [];
    const guards = new Map<string, Guard>();
    const ask = async (name: string, wait: Promise<Guard>) => {
      guards.set(name, await wait);
      told.push(name);
    };
    const end = async (...names: string[]) => {
      for (const name of names) guards.get(name)?.release();
      await new Promise(setImmediate);
      return told.join(' ');
    };
    const all = [
      ask('a1', table.row('a')),
      ask('a2', table.row('a')),
      ask('b1', table.row('b')),
      ask('whole', table.table()),
      ask('c1', table.row('c')),
      ask('b2', table.row('b')),
    ];
    assert.equal(await end(), 'a1 b1', 'rows of other keys that came before the table');
    assert.equal(await end('b1'), 'a1 b1', 'not the later one of b, and not c: they came after the table');
    assert.equal(await end('a1'), 'a1 b1 a2');
    assert.equal(await end('a2'), 'a1 b1 a2 whole');
    assert.equal(await end('whole'), 'a1 b1 a2 whole c1 b2');
    all.push(
      ask('shared1', table.table({ mode: 'shared' })),
      ask('shared2', table.table({ mode: 'shared' })),
    );
    all.push(ask('d1', table.row('d')), ask('shared3', table.table({ mode: 'shared' })));
    assert.equal(await end('c1', 'b2'), 'a1 b1 a2 whole c1 b2 shared1 shared2');
    assert.equal(await end('shared1', 'shared2'), 'a1 b1 a2 whole c1 b2 shared1 shared2 d1');
    assert.equal(await end('d1'), 'a1 b1 a2 whole c1 b2 shared1 shared2 d1 shared3');
    await end('shared3');
    await Promise.all(all);
    assertFree(table);
  },
);

test('rows behind a table that gives up go on', LIMIT, async () => {
  using table = new TableLock();
  const row = table.rowSync('a');
  const impatient = new AbortController();
  const whole = assert.rejects(table.table({ signal: impatient.signal }), { name: 'AbortError' });
  const late = assert.rejects(table.table({ timeout: 30 }), TimeoutError);
  const other = table.row('b');
  impatient.abort();
  await whole;
  await late;
  (await other).release();
  row.release();
  assertFree(table);
});

test('a signal and a timeout leave all as it was', LIMIT, async () => {
  using table = new TableLock();
  const reason = new Error('enough');
  await assert.rejects(table.row('a', { signal: AbortSignal.abort(reason) }), reason);
  const row = table.rowSync('a');
  for (const timeout of [0, 0.01, 3]) {
    await assert.rejects(table.row('a', { timeout }), TimeoutError);
    await assert.rejects(table.table({ timeout }), TimeoutError);
    assert.throws(() => table.rowSync('a', { timeout }), TimeoutError);
    assert.throws(() => table.tableSync({ timeout, mode: 'shared' }), TimeoutError);
  }
  await assert.rejects(table.row('b', { timeout: -1 }), RangeError);
  const controller = new AbortController();
  const given = table.row('a', { signal: controller.signal, timeout: 2 ** 40 });
  row.release();
  controller.abort();
  (await given).release();
  assertFree(table);
});

test('a thread that waits, blocking, for what it has itself is told that this would never end', LIMIT, () => {
  using table = new TableLock();
  const row = table.rowSync('a');
  assert.throws(() => table.rowSync('a'), DeadlockError);
  assert.throws(() => table.tableSync(), DeadlockError);
  row.release();
  assertFree(table);
});

test('300 rows are held at once, and the memory for that goes back', LIMIT, async () => {
  using table = new TableLock();
  const rows: Guard[] = [];
  for (let i = 0; i < 150; i++) rows.push(table.rowSync(i));
  for (let i = 150; i < 300; i++) rows.push(await table.row(i));
  for (let i = 0; i < 300; i += 29) assert.throws(() => table.rowSync(i, NOW), TimeoutError);
  const waits = Array.from({ length: 300 }, (_, i) => table.row(i));
  const whole = table.table();
  for (const row of rows) row.release();
  for (const row of await Promise.all(waits)) row.release();
  (await whole).release();
  assertFree(table);
});

test('one that is disposed of is closed to all', LIMIT, async () => {
  const table = new TableLock();
  const guard = table.rowSync('a');
  const waits = [table.row('a'), table.table(), table.table({ mode: 'shared' })];
  table[Symbol.dispose]();
  for (const wait of waits) await assert.rejects(wait, ClosedError);
  assert.throws(() => table.rowSync('b'), ClosedError);
  await assert.rejects(table.table(), ClosedError);
  guard.release();
});

for (const crowd of crowds) {
  describe(`a TableLock among ${crowd.name}`, () => {
    test('rows and the table exclude each other as they should', LIMIT, async () => {
      using table = new TableLock();
      using count = numbers(16);
      /** 0–3: who has which row. 4: who shares the table. 5: who has it alone. 6: how often one had row 0. */
      const worker = async (there: TableLock, seen: Numbers, blocking: boolean, first: number) => {
        const { view } = seen;
        let faults = 0;
        const rows = () => [0, 1, 2, 3].reduce((sum, i) => sum + Atomics.load(view, i), 0);
        for (let i = 0; i < 120; i++) {
          const what = (first + i * 5) % 7;
          const at = Math.min(what, 5);
          const mode = what === 4 ? 'shared' : 'exclusive';
          const guard =
            what < 4
              ? blocking
                ? there.rowSync(what)
                : await there.row(what)
              : blocking
                ? there.tableSync({ mode })
                : await there.table({ mode });
          const before = Atomics.add(view, at, 1);
          if (at < 4 && (before !== 0 || Atomics.load(view, 4) + Atomics.load(view, 5) !== 0)) faults++;
          if (at === 4 && rows() + Atomics.load(view, 5) !== 0) faults++;
          if (at === 5 && (before !== 0 || rows() + Atomics.load(view, 4) !== 0)) faults++;
          if (what === 0) view[6]++; // not atomic: two at once would lose one
          if (!blocking && i % 20 === 0) await new Promise(setImmediate);
          Atomics.sub(view, at, 1);
          guard.release();
        }
        return faults;
      };
      const peers = Array.from({ length: 6 }, (_, i) => crowd.start(worker, table, count, i % 2 === 0, i));
      assert.deepEqual(await ended(...peers), [0, 0, 0, 0, 0, 0]);
      const zeros = Array.from({ length: 6 }, (_, i) => i).flatMap(first =>
        Array.from({ length: 120 }, (_, i) => (first + i * 5) % 7).filter(what => what === 0),
      );
      assert.equal(count.view[6], zeros.length);
      assertFree(table);
    });

    test('a stream of rows does not starve the table', LIMIT, async () => {
      using table = new TableLock();
      using count = numbers();
      const stream = async (there: TableLock, seen: Numbers, blocking: boolean, key: number) => {
        const { view } = seen;
        Atomics.add(view, 0, 1);
        while (Atomics.load(view, 1) === 0) (blocking ? there.rowSync(key) : await there.row(key)).release();
      };
      const peers = [0, 1, 2].map(i => crowd.start(stream, table, count, i > 0, i));
      await untilIs(count, 0, 3);
      for (let i = 0; i < 10; i++) {
        (await table.table()).release();
        table.tableSync({ mode: 'shared' }).release();
      }
      Atomics.store(count.view, 1, 1);
      await ended(...peers);
      assertFree(table);
    });

    test(
      'what one that is killed had is abandoned for who comes next there, and nowhere else',
      LIMIT,
      async () => {
        using table = new TableLock();
        using count = numbers();
        const hold = (
          there: TableLock,
          seen: Numbers,
          keys: readonly string[],
          mode?: 'shared' | 'exclusive',
        ) => {
          for (const key of keys) there.rowSync(key);
          if (mode) there.tableSync({ mode });
          Atomics.store(seen.view, 0, 1);
          setInterval(() => {}, 1e6);
        };
        const die = async (keys: string[], mode?: 'shared' | 'exclusive', wait?: () => Promise<Guard>) => {
          count.view.fill(0);
          const peer = crowd.start(hold, table, count, keys, mode);
          await untilIs(count, 0, 1);
          const waiting = wait?.();
          await killed(peer);
          return await waiting;
        };
        const row = await die(['a', 'b'], undefined, () => table.row('a'));
        assert.equal(row?.abandoned, true);
        row?.release();
        const [again, other, third] = [table.rowSync('a'), table.rowSync('b'), table.rowSync('c')];
        assert.deepEqual([again.abandoned, other.abandoned, third.abandoned], [false, true, false]);
        for (const guard of [again, other, third]) guard.release();
        const whole = await die(['a', 'b'], undefined, () => table.table());
        assert.equal(whole?.abandoned, true);
        whole?.release();
        assertFree(table);
        const shared = await die([], 'exclusive', () => table.table({ mode: 'shared' }));
        assert.equal(shared?.abandoned, true);
        shared?.release();
        const after = await die([], 'shared', () => table.row('a'));
        assert.equal(after?.abandoned, false);
        after?.release();
        assertFree(table);
      },
    );

    test('rows behind a table that is killed in line go on', LIMIT, async () => {
      using table = new TableLock();
      const row = table.rowSync('a');
      const peer = crowd.start((there: TableLock) => void there.tableSync(), table);
      await untilWaiting(table, 1);
      const behind = table.row('b');
      await untilWaiting(table, 2);
      await killed(peer);
      (await behind).release();
      row.release();
      assertFree(table);
    });
  });
}
