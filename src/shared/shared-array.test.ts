import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClosedError, OutOfMemoryError } from '../errors/errors.js';
import { getLimit, isAllocated, setLimit } from '../memory/allocator.js';
import { Lock } from '../sync/lock.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { CREWS, start, warmCrews } from '../testing/crews.js';
import { leavesNothing } from '../testing/leaks.js';
import { SharedArray } from './shared-array.js';

leavesNothing({ warm: warmCrews });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };
const GIB = 2 ** 30;

const INTEGERS = [
  ['b', Int8Array],
  ['i8', Int8Array],
  ['c', Uint8Array],
  ['B', Uint8Array],
  ['u8', Uint8Array],
  ['h', Int16Array],
  ['i16', Int16Array],
  ['H', Uint16Array],
  ['u16', Uint16Array],
  ['i', Int32Array],
  ['i32', Int32Array],
  ['I', Uint32Array],
  ['u32', Uint32Array],
] as const;
const BIG = [
  ['q', BigInt64Array],
  ['i64', BigInt64Array],
  ['Q', BigUint64Array],
  ['u64', BigUint64Array],
] as const;
const FLOATS = [
  ['f', Float32Array],
  ['f32', Float32Array],
  ['d', Float64Array],
  ['f64', Float64Array],
] as const;

type AnyArray = SharedArray<any>;

for (const [code, Plain] of [...INTEGERS, ...BIG, ...FLOATS]) {
  test(`a '${code}' array behaves as a plain ${Plain.name} that refuses what does not fit`, () => {
    const isBig = Plain === BigInt64Array || Plain === BigUint64Array;
    const isFloat = Plain === Float32Array || Plain === Float64Array;
    const bits = 8 * Plain.BYTES_PER_ELEMENT;
    const number = isBig
      ? fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n })
      : isFloat
        ? fc.double()
        : fc.oneof(
            fc.integer({ min: -(2 ** bits), max: 2 ** bits }),
            fc.constantFrom(0.5, Number.NaN, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 2 ** bits - 1),
          );
    const index = fc.oneof(fc.nat(9), fc.constantFrom(-1, 10, 0.5, Number.NaN, 2 ** 40));
    fc.assert(
      fc.property(fc.array(fc.tuple(index, number), { maxLength: 30 }), steps => {
        const model: any = new Plain(10);
        using array: AnyArray = new SharedArray(code, 10);
        for (const [i, n] of steps) {
          const probe: any = new Plain(1);
          if (!(isBig !== (typeof n === 'bigint'))) probe[0] = n as never;
          const fits = isFloat || probe[0] === n;
          if (Number.isInteger(i) && i >= 0 && i < 10 && fits) {
            array.set(i, n);
            model[i] = n;
            assert.ok(Object.is(array.get(i), model[i]));
          } else assert.throws(() => array.set(i, n), RangeError);
          if (!(i >= 0 && i < 10 && Number.isInteger(i))) assert.throws(() => array.get(i), RangeError);
        }
        assert.deepEqual(array.view, model);
        assert.deepEqual([...array], [...model]);
        using copy: AnyArray = new SharedArray(code, array as never);
        assert.deepEqual(copy.view, model);
        using same: AnyArray = new SharedArray(code, model);
        assert.deepEqual(same.view, model);
      }),
      { numRuns: 50 },
    );
  });
}

test('an array is made of a size, all zero, or of any iterable of items', () => {
  const old = new SharedArray('i', Array(500).fill(-1));
  old[Symbol.dispose](); // its memory is what the next one gets
  using zeros = new SharedArray('i', 500);
  assert.ok(zeros.view.every(item => item === 0));
  assert.equal(zeros.length, 500);
  using listed = new SharedArray('h', [1, -2, 3]);
  assert.deepEqual([...listed], [1, -2, 3]);
  using generated = new SharedArray(
    'q',
    (function* () {
      yield 1n;
      yield 2n;
    })(),
  );
  assert.deepEqual([...generated], [1n, 2n]);
  using floats = new SharedArray('f', new Float64Array([0.1, 1e300]));
  assert.deepEqual([...floats], [Math.fround(0.1), Number.POSITIVE_INFINITY]);
  using truths = new SharedArray('bool', new Set([true, false]));
  assert.deepEqual([...truths], [true, false]);
  for (const items of [[], 0, new Int32Array()]) {
    using empty = new SharedArray('i', items);
    assert.equal(empty.length, 0);
    assert.equal(empty.view.length, 0);
    assert.deepEqual([...empty], []);
    assert.throws(() => empty.get(0), { name: 'RangeError', message: /it is empty/ });
  }
});

test('wrong sizes, items and types leave nothing behind', () => {
  for (const size of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])
    assert.throws(() => new SharedArray('i', size), RangeError, `${size}`);
  assert.throws(() => new SharedArray('d', 2 ** 29 + 1), { name: 'RangeError', message: /use several/ });
  for (const items of ['text', null, undefined, {}, true, 5n] as never[])
    assert.throws(() => new SharedArray('i', items), { name: 'TypeError', message: /a size or items/ });
  assert.throws(() => new SharedArray('i', [1, 2.5]), RangeError);
  assert.throws(() => new SharedArray('i', [1, 2n as never]), TypeError);
  assert.throws(() => new SharedArray('b', new Int16Array([1, 128])), RangeError);
  assert.throws(() => new SharedArray('q', [1 as never]), TypeError);
  assert.throws(() => new SharedArray('bool', new Uint8Array([1]) as never), TypeError);
  assert.throws(() => new SharedArray('x' as never, 1), TypeError);
  assert.throws(() => new SharedArray('i', 1, { lock: 1 as never }), TypeError);
});

test('what is beyond the limit of shared memory leaves nothing behind', () => {
  const limit = getLimit();
  setLimit(64 * 2 ** 20);
  try {
    assert.throws(() => new SharedArray('d', 2 ** 24), OutOfMemoryError);
  } finally {
    setLimit(limit);
  }
});

test('get() and set() take indices and items of the right kind only', () => {
  using array = new SharedArray('i', [1, 2]);
  for (const bad of ['0', null, undefined, 0n, true] as never[]) {
    assert.throws(() => array.get(bad), TypeError);
    assert.throws(() => array.set(bad, 1), TypeError);
  }
  for (const bad of ['1', null, undefined, 1n, true] as never[])
    assert.throws(() => array.set(0, bad), { name: 'TypeError', message: /convert it/ });
  assert.deepEqual([...array], [1, 2]);
  using truths = new SharedArray('bool', 2);
  truths.set(1, true);
  assert.equal(truths.get(1), true);
  assert.deepEqual([...truths.view], [0, 1]);
  assert.throws(() => truths.set(0, 1 as never), TypeError);
});

test("the value of a 'c' array is its bytes up to the first NUL", () => {
  using array = new SharedArray('c', 6);
  assert.deepEqual(array.value, Buffer.alloc(0));
  array.value = Buffer.from('hello');
  assert.equal(array.value.toString(), 'hello');
  array.value = Buffer.from('by');
  assert.equal(array.value.toString(), 'by');
  assert.deepEqual(Buffer.from(array.view).toString(), 'by\0lo\0', 'what follows stays');
  array.value = new Uint8Array(Buffer.from('filled'));
  assert.equal(array.value.toString(), 'filled');
  assert.throws(() => {
    array.value = Buffer.from('too long');
  }, RangeError);
  assert.throws(() => {
    array.value = 'text' as never;
  }, TypeError);
  assert.equal(array.value.toString(), 'filled');
  array.value[0] = 0; // a copy
  assert.equal(array.value.toString(), 'filled');
  using made = new SharedArray('c', Buffer.from('a\0b'));
  assert.equal(made.value.toString(), 'a');
  for (const code of ['B', 'u8', 'i', 'bool'] as const) {
    using other = new SharedArray(code, 1);
    assert.throws(() => other.value, { name: 'TypeError', message: /only 'c'/ });
    assert.throws(() => {
      other.value = Buffer.alloc(0);
    }, TypeError);
  }
});

test('a view is one object, reaches nothing but the items, and keeps them', () => {
  using array = new SharedArray('h', 10);
  using neighbour = new SharedArray('h', 10);
  assert.equal(array.view, array.view);
  assert.equal(array.view.buffer.byteLength, 20);
  new Uint8Array(array.view.buffer).fill(0xff);
  array.view.subarray(2, 4).fill(7);
  assert.deepEqual([...array], [-1, -1, 7, 7, -1, -1, -1, -1, -1, -1]);
  assert.ok(neighbour.view.every(item => item === 0));
});

test('a view, or what it was made into, keeps the memory of its array', LIMIT, async () => {
  let part: Int32Array | undefined;
  let block = 0;
  (() => {
    const array = new SharedArray('i', [1, 2, 3, 4]);
    [block] = array.cell.blocks;
    part = array.view.subarray(1, 3);
  })();
  for (let i = 0; i < 5; i++) await collect();
  assert.ok(isAllocated(block));
  assert.deepEqual(part, new Int32Array([2, 3]));
  part = undefined;
  while (isAllocated(block)) await collect();
});

test('after dispose, here or elsewhere, it says so', LIMIT, async () => {
  const array = new SharedArray('c', 3);
  const iterator = array[Symbol.iterator]();
  iterator.next();
  await start(there => there[Symbol.dispose](), array).result();
  for (const use of [
    () => array.view,
    () => array.get(0),
    () => array.set(0, 1),
    () => array.value,
    () => array.getLock(),
    () => iterator.next(),
    () => [...array],
    () => {
      array.value = Buffer.alloc(1);
    },
  ])
    assert.throws(use, ClosedError);
  array[Symbol.dispose]();
});

test('an owner that is killed leaves its lock abandoned', LIMIT, async () => {
  using array = new SharedArray('i', 2);
  const child = start(there => {
    there.getLock().acquireSync();
    there.set(0, 1); // and half of the work is done
    process.kill(process.pid, 'SIGKILL');
  }, array);
  await child.join();
  const guard = await array.getLock().acquire();
  assert.equal(guard.abandoned, true);
  assert.deepEqual([...array], [1, 0]);
  guard.release();
});

for (const { crew, run } of CREWS) {
  describe(`SharedArrays in ${crew}`, () => {
    for (const [size, length] of [
      ['that is small', 10],
      ['of a page', 2_040],
      ['that is large', 300_000],
    ] as const) {
      test(`one ${size} is the same memory here and there`, LIMIT, async () => {
        using array = new SharedArray('i', length);
        using lock = new Lock();
        using given = new SharedArray('d', length, { lock });
        array.view[length - 1] = 5;
        const [answer] = await run(
          1,
          (there: SharedArray<'i'>, more: { deep: SharedArray<'d'>[]; lock: Lock }) => {
            const [deep] = more.deep;
            const seen = there.view[there.length - 1];
            there.view[0] = 6;
            there.view.subarray(1, 3).set([7, 8]);
            deep.set(deep.length - 1, 0.5);
            return {
              seen,
              same: deep === more.deep[1],
              lock: deep.getLock() === more.lock,
              back: [there, deep],
            };
          },
          [array, { deep: [given, given], lock }],
        );
        assert.deepEqual(answer.seen, 5);
        assert.deepEqual([answer.same, answer.lock], [true, true]);
        assert.equal(answer.back[0], array);
        assert.equal(answer.back[1], given);
        assert.deepEqual([...array.view.subarray(0, 4)], [6, 7, 8, 0]);
        assert.equal(given.view[length - 1], 0.5);
      });
    }

    test('what is done with the lock held, or by Atomics on the view, loses nothing', LIMIT, async () => {
      using array = new SharedArray('i', 3);
      await run(
        4,
        (there: SharedArray<'i'>) => {
          const lock = there.getLock();
          for (let i = 0; i < 10_000; i++) {
            Atomics.add(there.view, 0, 1);
            lock.runExclusiveSync(() => {
              there.view[1]++;
              there.set(2, there.get(2) + 1);
            });
          }
        },
        [array],
      );
      assert.deepEqual([...array], [40_000, 40_000, 40_000]);
    });
  });
}

test('one of more than 1 GiB is seen to its ends everywhere', {
  ...LIMIT,
  skip: getLimit() < 2 * GIB,
}, async () => {
  const length = (GIB + 2 ** 20) / 8;
  using array = new SharedArray('d', length); // takes memory where it is touched only
  array.view[length - 1] = 0.25;
  const seen = await start(there => {
    there.view[0] = 0.5;
    return [there.view[there.length - 1], there.view.length];
  }, array).result();
  assert.deepEqual(seen, [0.25, length]);
  assert.equal(array.get(0), 0.5);
});

test('a view crosses as a copy', LIMIT, async () => {
  using array = new SharedArray('i', [1, 2, 3]);
  const back = await start(view => {
    view[0] = 9;
    return view;
  }, array.view).result();
  assert.deepEqual(back, new Int32Array([9, 2, 3]));
  assert.deepEqual([...array], [1, 2, 3]);
});
