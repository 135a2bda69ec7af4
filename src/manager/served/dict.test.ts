import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServedDict } from './dict.js';
import { ServedList } from './list.js';
import { ServedNamespace } from './namespace.js';
import { same } from './same.js';

test('a dict takes any string as a key', () => {
  const dict = new ServedDict<unknown>(Object.entries({ a: 1 }));
  for (const key of ['__proto__', 'constructor', 'toString', '']) {
    assert.equal(dict.has(key), false);
    assert.equal(dict.get(key), undefined);
    dict.set(key, key);
    assert.equal(dict.pop(key), key);
    assert.equal(dict.setDefault(key, 5), 5);
    assert.equal(dict.setDefault(key, 6), 5);
  }
  const object = dict.toObject();
  assert.equal(Object.getPrototypeOf(object), Object.prototype);
  assert.ok(Object.hasOwn(object, '__proto__'));
  assert.equal(({} as { a?: 1 }).a, undefined);
  assert.throws(() => dict.get(1 as never), TypeError);
  assert.throws(
    () =>
      dict.update([
        ['b', 1],
        [2 as never, 1],
      ]),
    TypeError,
  );
  assert.equal(dict.has('b'), false, 'all or nothing');
  assert.throws(() => dict.update(null as never), TypeError);
});

test('numbers are added, and nothing else', () => {
  const dict = new ServedDict<unknown>();
  assert.equal(dict.add('n', 2), 2);
  assert.equal(dict.add('n', -3), -1);
  dict.set('s', '1');
  dict.set('nothing', null);
  for (const [key, n] of [
    ['s', 1],
    ['nothing', 1],
    ['n', '1'],
    ['n', undefined],
  ] as [string, number][])
    assert.throws(() => dict.add(key, n), TypeError);
  assert.deepEqual(dict.entries(), [
    ['n', -1],
    ['s', '1'],
    ['nothing', null],
  ]);
});

test('a dict compares by value before it sets', () => {
  const dict = new ServedDict<unknown>();
  assert.equal(dict.compareAndSet('a', 1, 2), false);
  assert.equal(dict.compareAndSet('a', undefined, { x: [Number.NaN] }), true);
  assert.equal(dict.compareAndSet('a', undefined, 2), false);
  assert.equal(dict.compareAndSet('a', { x: [0] }, 2), false);
  assert.equal(dict.compareAndSet('a', { x: [Number.NaN] }, 2), true);
  assert.equal(dict.get('a'), 2);
});

test('an iteration gives each entry once that stays, whatever changes meanwhile', () => {
  const dict = new ServedDict<number>(Array.from({ length: 600 }, (_, i) => [`${i}`, i]));
  const chunks = dict.chunks();
  const seen = [...(chunks.next().value as [string, number][])];
  for (let i = 0; i < 600; i += 2) dict.delete(`${i}`);
  dict.set('0', 0);
  for (const chunk of chunks) seen.push(...chunk);
  const names = seen.map(([key]) => key);
  for (let i = 1; i < 600; i += 2) assert.equal(names.filter(name => name === `${i}`).length, 1);
});

test('values are the same by what is in them', () => {
  class Own {
    #hidden = 1;
    seen = this.#hidden;
  }
  const circle = () => {
    const made: { self?: unknown; n: number } = { n: 1 };
    made.self = made;
    return made;
  };
  const alike: (() => unknown)[] = [
    () => Number.NaN,
    () => 10n,
    () => ({ a: [1, { b: null }], c: undefined }),
    () => new Map([['a', { x: 1 }]]),
    () => new Set([1, 2]),
    () => new Date(5),
    () => /a/g,
    () => new Uint8Array([1, 2]),
    circle,
  ];
  for (const make of alike) assert.ok(same(make(), make()), String(make));
  assert.ok(same(0, -0));
  const different: [unknown, unknown][] = [
    [1, '1'],
    [null, undefined],
    [{}, []],
    [{ a: undefined }, { b: undefined }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [[1], [1, 2]],
    [new Map([['a', 1]]), new Map([['b', 1]])],
    [new Date(1), new Date(2)],
    [new Uint8Array([1]), new Uint8Array([2])],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Own(), new Own()],
    [new ServedList(), new ServedList()],
    [{ list: new ServedList() }, { list: new ServedList() }],
    [() => 1, () => 1],
  ];
  for (const [one, other] of different) assert.ok(!same(one, other));
});

test('a list counts from both ends, and knows its bounds', () => {
  const list = new ServedList<unknown>([1, 2, 3]);
  assert.deepEqual([list.at(0), list.at(-1), list.at(3)], [1, 3, undefined]);
  list.set(-1, 4);
  for (const i of [3, -4, 0.5, Number.NaN]) assert.throws(() => list.set(i, 0), RangeError);
  assert.throws(() => list.set('0' as never, 0), TypeError);
  assert.equal(list.add(0, 10), 11);
  assert.throws(() => list.add(5, 1), RangeError);
  assert.deepEqual(list.splice(1, 1, 'a', 'b'), [2]);
  assert.deepEqual(list.toArray(), [11, 'a', 'b', 4]);
  assert.throws(() => list.add(1, 1), TypeError);
  assert.deepEqual(list.splice(2, undefined), ['b', 4]);
  assert.deepEqual(list.splice(1, undefined, 'c'), []);
  assert.deepEqual(list.toArray(), [11, 'c', 'a']);
  list.push({ x: 1 }, Number.NaN);
  assert.deepEqual(
    [list.indexOf({ x: 1 }), list.includes(Number.NaN), list.indexOf({ x: 2 })],
    [3, true, -1],
  );
  list.splice(0);
  assert.throws(() => list.set(0, 1), RangeError);
  list.push(10, 9, 1);
  list.sort();
  assert.deepEqual(list.toArray(), [1, 10, 9]);
  list.sort((a, b) => (a as number) - (b as number));
  assert.deepEqual(list.slice(1), [9, 10]);
});

test('a namespace is prototype-safe as well', () => {
  const namespace = new ServedNamespace({ a: 1 });
  assert.equal(namespace.get('constructor'), undefined);
  namespace.set('__proto__', 2);
  assert.equal(namespace.get('__proto__'), 2);
  assert.deepEqual([namespace.delete('a'), namespace.delete('a'), namespace.has('a')], [true, false, false]);
  assert.ok(Object.hasOwn(namespace.toObject(), '__proto__'));
  assert.throws(() => namespace.set(1 as never, 1), TypeError);
});
