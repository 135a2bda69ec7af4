import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { SerializationError } from '../errors/errors.js';
import { Lock } from '../sync/lock.js';
import { forked, threads } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, killed, LIMIT, numbers, untilIs, warmCarriers } from '../testing/sharing.js';
import { SharedMap } from './shared-map.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const folder = mkdtempSync(path.join(tmpdir(), 'persist-'));
after(() => rmSync(folder, { recursive: true }));
const KILLS = Number(process.env.MANYHANDS_KILLS ?? 4);
let files = 0;
const newFile = () => path.join(folder, `map ${++files}`);
type AnyMap = SharedMap<any>;

test('a persisted map is there again, as it was', () => {
  const persist = newFile();
  const expected = new Map<any, any>([['first', 1]]);
  {
    using map: AnyMap = new SharedMap([['first', 1]], { persist });
    for (const key of ['a', 1, '1', '\ud800', 'ü', Number.NaN]) {
      map.set(key, { key });
      expected.set(key, { key });
    }
    map.set('long', new Uint8Array(5000).fill(7));
    map.delete('a');
    map.transaction(() => {
      map.set('u', undefined);
      map.delete(1);
      map.set(1, 'moved');
      map.update('first', () => new Date(5));
    });
    assert.throws(() => map.transaction(() => (map.set('u', 1) as never) ?? assert.fail('no')), {
      message: 'no',
    });
    assert.throws(() => map.set('lock', new Lock()), SerializationError);
    assert.throws(() => new SharedMap(null, { persist, name: 'both' }), TypeError);
  }
  expected.delete('a');
  expected.delete(1);
  expected
    .set('long', new Uint8Array(5000).fill(7))
    .set('u', undefined)
    .set(1, 'moved')
    .set('first', new Date(5));
  for (let i = 0; i < 2; i++) {
    using again: AnyMap = new SharedMap([['ignored', 1]], { persist });
    assert.deepEqual([...again], [...expected]);
  }
  {
    using map: AnyMap = new SharedMap(null, { persist });
    map.clear();
    map.set('b', 2);
  }
  using last: AnyMap = new SharedMap(null, { persist });
  assert.deepEqual([...last], [['b', 2]]);
});

test('the file of a persisted map is written anew when most of it is garbage', () => {
  const persist = newFile();
  {
    using map: AnyMap = new SharedMap(null, { persist });
    using other: AnyMap = new SharedMap(null, { persist });
    for (let i = 0; i < 1700; i++) {
      map.set(`k${i % 10}`, 'x'.repeat(4000));
      if (i % 500 === 0) other.set('other', i);
    }
    assert.ok(statSync(persist).size < 5_500_000, `${statSync(persist).size} bytes`);
    other.set('other', 'last');
  }
  using again: AnyMap = new SharedMap(null, { persist });
  assert.equal(again.size, 11);
  assert.equal(again.get('other'), 'last');
  assert.equal(again.get('k9').length, 4000);
});

test('a persisted map is one for all processes that have it', LIMIT, async () => {
  const persist = newFile();
  {
    using map: AnyMap = new SharedMap([['n', 0]], { persist });
    const peers = [threads, forked].map(carrier =>
      carrier.start((all: AnyMap) => {
        for (let i = 0; i < 100; i++) all.update('n', (n: number) => n + 1);
      }, map),
    );
    await ended(...peers);
    assert.equal(map.get('n'), 200);
  }
  using again: AnyMap = new SharedMap(null, { persist });
  assert.deepEqual([...again], [['n', 200]]);
});

test('who is killed leaves memory and file the same', LIMIT, async () => {
  const persist = newFile();
  using all = numbers();
  const storm = (file: string, { view }: typeof all, Shared: typeof SharedMap) => {
    const map: AnyMap = new Shared(null, { persist: file });
    for (let i = 0; ; i++) {
      map.transaction(() => {
        const n = (map.get('a') ?? 0) + 1;
        map.set('a', n);
        map.set(`k${n % 50}`, 'x'.repeat(n % 3000));
        map.set('b', n);
      });
      if (i % 7 === 0) map.delete(`k${i % 50}`);
      Atomics.add(view, 0, 1);
    }
  };
  for (let round = 0; round < KILLS / 2; round++) {
    const before = all.view[0];
    const peers = [1, 2].map(() => forked.start(storm, persist, all, SharedMap));
    while (Atomics.load(all.view, 0) < before + 30)
      await new Promise(resolve => setTimeout(resolve, Math.random() * 3));
    let here: [unknown, unknown][] = [];
    {
      using map: AnyMap = new SharedMap(null, { persist });
      await killed(...peers);
      assert.equal(
        map.transaction(() => map.get('a')),
        map.get('b'),
      );
      assert.ok(map.get('a') > before);
      here = [...map];
    }
    using again: AnyMap = new SharedMap(null, { persist });
    assert.deepEqual([...again].sort(), here.sort(), 'what the file has is what memory had');
  }
  await untilIs(all, 1, 0);
});
