import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { ClosedError, NameInUseError, NameNotFoundError } from '../errors/errors.js';
import { carriers } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { warmCarriers } from '../testing/sharing.js';
import { ShareableList } from './shareable-list.js';
import { SharedMemory } from './shared-memory.js';
import { hasPython, python } from './testing/python.js';

leavesNothing({
  async warm() {
    await warmCarriers();
    new SharedMemory({ create: true, size: 1 })[Symbol.dispose](); // the janitor stays
  },
});
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };

const ITEMS = [
  ...[0, -1, 2 ** 53 - 1, -(2 ** 53), 0.1, -0, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 60],
  ...[0n, 5n, -(2n ** 63n), 2n ** 63n - 1n],
  ...['', 'text', 'eight ch', 'häßlich €', '🎉🎉', 'nul\0', '\0\0', 'in\0side', 'x'.repeat(3000)],
  ...[true, false, null],
  ...[Buffer.from('bytes'), Buffer.from([1, 0, 0]), Buffer.alloc(9), Buffer.alloc(0)],
  ...[new Uint8Array([1, 2]), new Uint8Array([0])],
];

test('it gives back what it was given, NULs at the end and BigInts as well', () => {
  const list = new ShareableList(ITEMS);
  using _shm = list.shm;
  assert.equal(list.length, ITEMS.length);
  assert.deepEqual([...list], ITEMS);
  const same = new ShareableList(undefined, { name: list.shm.name });
  assert.deepEqual([...same], ITEMS);
  same.shm.close();
});

test('whatever is put where it fits is there afterwards, and nothing else has changed', () => {
  const item = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.string({ unit: fc.constantFrom('\0', 'a', 'é'), maxLength: 12 }),
    fc.uint8Array({ maxLength: 20 }),
  );
  fc.assert(
    fc.property(
      fc.array(item, { minLength: 1, maxLength: 8 }),
      fc.array(fc.tuple(fc.nat(), item)),
      (items, changes) => {
        const list = new ShareableList(items);
        using _shm = list.shm;
        const model = [...items];
        const rooms = items.map(first => roomOf(first));
        for (const [at, value] of changes) {
          const i = at % items.length;
          const fits = sizeOf(value) <= rooms[i];
          if (!fits) assert.throws(() => list.set(i, value), RangeError);
          else {
            list.set(i, value);
            model[i] = value;
          }
          assert.deepEqual([...list], model);
        }
      },
    ),
    { numRuns: 60 },
  );
});

function sizeOf(value: unknown): number {
  return typeof value === 'string' || value instanceof Uint8Array ? Buffer.from(value as string).length : 8;
}

function roomOf(value: unknown): number {
  const isNumber = !(typeof value === 'string' || value instanceof Uint8Array);
  return isNumber ? 8 : 8 * (Math.floor(sizeOf(value) / 8) + 1);
}

test('what is no item, no index, no list', () => {
  const list = new ShareableList<any>([1, 'text']);
  using _shm = list.shm;
  for (const bad of [undefined, {}, [], () => {}, Symbol.iterator, new Int32Array(1), '\ud800']) {
    assert.throws(() => list.set(0, bad), TypeError);
    assert.throws(() => new ShareableList([bad]), TypeError);
  }
  for (const bad of [2n ** 63n, -(2n ** 63n) - 1n, 'x'.repeat(9)])
    assert.throws(() => list.set(0, bad), RangeError);
  assert.throws(() => new ShareableList(['x'.repeat(10_000_000)]), RangeError);
  for (const i of [2, -3, 0.5, Number.NaN]) {
    assert.throws(() => list.at(i), RangeError);
    assert.throws(() => list.set(i, 1), RangeError);
  }
  assert.throws(() => list.at('0' as never), TypeError);
  assert.deepEqual([...list], [1, 'text']);
  using other = new SharedMemory({ create: true, size: 64 });
  new Uint8Array(other.buf).fill(0xff);
  assert.throws(() => new ShareableList(undefined, { name: other.name }), {
    name: 'TypeError',
    message: /no ShareableList/,
  });
  assert.throws(() => new ShareableList([1], { name: other.name }), NameInUseError);
  assert.throws(() => new ShareableList(undefined, { name: 'manyhands-nobody' }), NameNotFoundError);
  assert.throws(() => new ShareableList([1], null as never), TypeError);
});

test('indexOf() and count()', () => {
  const list = new ShareableList<unknown>([1, Number.NaN, 'a', Buffer.from('a'), 1, 1n, null, Number.NaN]);
  using _shm = list.shm;
  assert.equal(list.indexOf('a'), 2);
  assert.equal(list.indexOf(new Uint8Array([97])), 3);
  assert.equal(list.indexOf(1n), 5);
  assert.equal(list.indexOf(Number.NaN), 1);
  assert.equal(list.indexOf('b'), -1);
  assert.equal(list.count(1), 2);
  assert.equal(list.count(Number.NaN), 2);
  assert.equal(list.count(true), 0);
});

test('an empty one; one that is closed', () => {
  const list = new ShareableList();
  using _shm = list.shm;
  assert.deepEqual([...list], []);
  assert.throws(() => list.at(0), { name: 'RangeError', message: /it is empty/ });
  assert.equal(inspect(list), `ShareableList "${list.shm.name}" []`);
  list.shm.close();
  for (const use of [() => list.at(0), () => list.set(0, 1), () => list.indexOf(1), () => list.count(1)])
    assert.throws(use, ClosedError);
  assert.equal(inspect(list), 'ShareableList <closed>');
});

for (const { name, start } of carriers)
  test(`it crosses as its name: ${name}`, LIMIT, async () => {
    const list = new ShareableList<any>([1, 'text\0', null]);
    using _shm = list.shm;
    const child = start((there: ShareableList) => {
      const before = [...there];
      there.set(0, 'ab');
      return [before, there];
    }, list);
    const [before, back] = await child.result();
    assert.deepEqual(before, [1, 'text\0', null]);
    assert.equal(back, list);
    assert.equal(list.at(0), 'ab');
    await child.join();
  });

describe('with CPython', { skip: !hasPython && 'there is no python3 with shared_memory' }, () => {
  test('it reads what is made here, and what it writes is read here', LIMIT, () => {
    const list = new ShareableList<unknown>([
      1,
      0.5,
      'häß\0',
      true,
      null,
      Buffer.from('ab'),
      5n,
      '€',
      'abc\0',
    ]);
    using _shm = list.shm;
    const seen = python(
      `
there = ShareableList(name=given)
seen = [item.decode() if isinstance(item, bytes) else item for item in there]
format = there.format
there[0] = 2.5
there[1] = 'word'
there[2] = 'other'
there[3] = 7
there[4] = False
there[5] = b'\\0a'
there[6] = 2 ** 62
there[8] = 'abcd'
tell([seen, len(there), format])`,
      list.shm.name,
    );
    const format = 'qd8sxxxxxxx?xxxxxx?x8sq8s8s';
    assert.deepEqual(seen, [[1, 0.5, 'häß', true, null, 'ab', 5, '€', 'abc'], 9, format]);
    const bytes = Buffer.from('\0a');
    assert.deepEqual([...list], [2.5, 'word', 'other', 7, false, bytes, 2n ** 62n, '€', 'abcd']);
  });

  test('what it makes is read and written here', LIMIT, () => {
    const name = python<string>(
      `
items = [1, -2 ** 62, 0.5, 'text', 'a' * 8, True, False, None, b'by\\0te\\0', float('nan'), '']
tell(ShareableList(items).shm.name)`,
      null,
    );
    const list = new ShareableList(undefined, { name });
    const bytes = Buffer.from('by\0te');
    const text = ['text', 'aaaaaaaa'];
    assert.deepEqual([...list], [1, -(2n ** 62n), 0.5, ...text, true, false, null, bytes, Number.NaN, '']);
    list.set(0, 'é');
    list.set(1, false);
    list.set(2, 3);
    list.set(3, null);
    list.set(4, Buffer.from('xyz'));
    list.set(5, 0.25);
    list.set(6, 12n);
    list.set(10, 'new\0');
    assert.equal(list.at(10), 'new', 'no place for what Python cannot tell from padding');
    const seen = python(
      `
there = ShareableList(name=given)
seen = [item.hex() if isinstance(item, bytes) else item for item in there][:9] + [there[10]]
there.shm.unlink()
tell(seen)`,
      name,
    );
    const hex = [Buffer.from('xyz').toString('hex'), 0.25, 12, null, bytes.toString('hex'), 'new'];
    assert.deepEqual(seen, ['é', false, 3, null, ...hex]);
    list.shm.close();
  });
});
