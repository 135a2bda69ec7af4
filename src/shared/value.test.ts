import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError } from '../errors/errors.js';
import { isAllocated, sizeOf } from '../memory/allocator.js';
import { Lock } from '../sync/lock.js';
import { RLock } from '../sync/rlock.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { CREWS, start, warmCrews } from '../testing/crews.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { waiting } from '../wait/line.js';
import type { AnyNumber, TypeCode } from './types.js';
import { Value } from './value.js';

leavesNothing({ warm: warmCrews });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };

const INTEGERS = [
  ['b', -128, 127],
  ['i8', -128, 127],
  ['c', 0, 255],
  ['B', 0, 255],
  ['u8', 0, 255],
  ['h', -32768, 32767],
  ['i16', -32768, 32767],
  ['H', 0, 65535],
  ['u16', 0, 65535],
  ['i', -2147483648, 2147483647],
  ['i32', -2147483648, 2147483647],
  ['I', 0, 4294967295],
  ['u32', 0, 4294967295],
  ['q', -9223372036854775808n, 9223372036854775807n],
  ['i64', -9223372036854775808n, 9223372036854775807n],
  ['Q', 0n, 18446744073709551615n],
  ['u64', 0n, 18446744073709551615n],
] as const;

/** Of any type: the tests go through tables of them. */
type AnyValue = Value<any>;

for (const [code, min, max] of INTEGERS) {
  const one = typeof min === 'bigint' ? 1n : 1;
  const plus = (a: number | bigint, b: number | bigint) => (a as number) + (b as number);
  const wrong = typeof min === 'bigint' ? [1, '1', true, null, 1.5] : [1n, '1', true, null, {}, undefined];

  test(`a '${code}' goes from ${min} to ${max}, and nothing changes beyond`, () => {
    using value: AnyValue = new Value(code);
    assert.equal(value.value, plus(min, -(min as number) as never));
    for (const [end, step] of [
      [min, -one as never],
      [max, one],
    ] as [number, number][]) {
      value.value = end;
      assert.equal(value.value, end);
      assert.throws(() => value.add(step), { name: 'RangeError', message: /stays what it was/ });
      assert.throws(() => {
        value.value = plus(end, step);
      }, RangeError);
      assert.throws(() => value.compareExchange(end, plus(end, step)), RangeError);
      assert.throws(() => value.compareExchange(plus(end, step), end), RangeError);
      assert.throws(() => new Value(code, plus(end, step) as never), RangeError);
      assert.equal(value.value, end);
      assert.equal(value.add(-step as never), end);
      assert.equal(value.value, plus(end, -step as never));
      assert.equal(value.compareExchange(end, end), plus(end, -step as never), 'is not what was expected');
      assert.equal(value.compareExchange(plus(end, -step as never), end), plus(end, -step as never));
      assert.equal(value.value, end);
      using same: AnyValue = new Value(code, end as never);
      assert.equal(same.value, end);
    }
  });

  test(`a '${code}' takes numbers of its kind only`, () => {
    using value: AnyValue = new Value(code, one as never);
    for (const bad of wrong as any[]) {
      for (const use of [
        () => value.add(bad),
        () => value.compareExchange(bad, one),
        () => value.compareExchange(one, bad),
        () => {
          value.value = bad;
        },
      ])
        assert.throws(use, { name: 'TypeError', message: /convert it/ });
    }
    if (typeof min === 'number') {
      for (const bad of [Number.NaN, 0.5, Number.POSITIVE_INFINITY]) {
        assert.throws(() => value.add(bad), RangeError);
        assert.throws(() => {
          value.value = bad;
        }, RangeError);
      }
    }
    assert.equal(value.value, one);
  });
}

for (const code of ['d', 'f64', 'f', 'f32'] as const) {
  const rounded = (n: number) => (code.includes('f') && code !== 'f64' ? Math.fround(n) : n);

  test(`a '${code}' takes any number`, () => {
    using value = new Value(code);
    assert.equal(value.value, 0);
    const numbers = [
      ...[0.1, -0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      ...[5e-324, 1e300, Number.MAX_VALUE, 2 ** 53, 3.4028234663852886e38, 1e-45],
    ];
    for (const n of numbers) {
      value.value = n;
      assert.ok(Object.is(value.value, rounded(n)), `${n}`);
      using made = new Value(code, n);
      assert.ok(Object.is(made.value, rounded(n)));
      const before = value.value;
      assert.ok(Object.is(value.add(0.3), before));
      assert.ok(Object.is(value.value, rounded(before + 0.3)), `${n} + 0.3`);
    }
    for (const bad of [1n, '1', true, null] as never[]) {
      assert.throws(() => value.add(bad), TypeError);
      assert.throws(() => value.compareExchange(bad, 1), TypeError);
      assert.throws(() => value.compareExchange(1, bad), TypeError);
      assert.throws(() => {
        value.value = bad;
      }, TypeError);
    }
  });

  test(`compareExchange() of a '${code}' takes 0 for -0 and NaN for NaN`, () => {
    using value = new Value(code, -0);
    assert.ok(Object.is(value.compareExchange(0, 0.1), -0));
    assert.equal(value.compareExchange(0.1, Number.NaN), rounded(0.1));
    assert.ok(Number.isNaN(value.compareExchange(1, 2)), 'not the one expected');
    assert.ok(Number.isNaN(value.value));
    assert.ok(Number.isNaN(value.compareExchange(Number.NaN, 3)));
    assert.equal(value.value, 3);
  });
}

test("a 'bool' is true or false", () => {
  using value = new Value('bool');
  assert.equal(value.value, false);
  value.value = true;
  assert.equal(value.value, true);
  assert.equal(value.compareExchange(false, false), true);
  assert.equal(value.compareExchange(true, false), true);
  assert.equal(value.value, false);
  assert.throws(() => value.add(true), { name: 'TypeError', message: /compareExchange/ });
  assert.throws(() => value.compareExchange(0 as never, true), TypeError);
  assert.throws(() => {
    value.value = 1 as never;
  }, TypeError);
  using made = new Value('bool', true);
  assert.equal(made.value, true);
});

test('an unknown type, a wrong initial value, a wrong lock: nothing is left of it', () => {
  assert.throws(() => new Value('x' as never), { name: 'TypeError', message: /must be one of .*'x'/ });
  assert.throws(() => new Value(undefined as never), TypeError);
  assert.throws(() => new Value('i', 1n as never), TypeError);
  assert.throws(() => new Value('i', 0.5), RangeError);
  assert.throws(() => new Value('i', 0, { lock: {} as never }), TypeError);
});

test('a Value with its lock is one block of 64 bytes', () => {
  using value = new Value('d');
  assert.ok(value.getLock() instanceof RLock);
  assert.equal(value.getLock(), value.getLock());
  assert.equal(value.cell.blocks.length, 1);
  assert.equal(sizeOf(value.cell.blocks[0]), 64);
});

test('getLock() gives the lock that it was made with, or says that there is none', () => {
  using lock = new Lock();
  {
    using value = new Value('i', 0, { lock });
    using other = new Value('d', 0, { lock });
    assert.equal(value.getLock(), lock);
    assert.equal(other.getLock(), lock);
    using bare = new Value('i', 0, { lock: false });
    assert.throws(() => bare.getLock(), { name: 'TypeError', message: /"lock: false"/ });
  }
  assert.equal(lock.locked(), false, 'a given lock is not disposed of with the Value');
});

test('its lock can be acquired again by its owner, and is independent of the number', () => {
  using value = new Value('i');
  const lock = value.getLock();
  using _outer = lock.acquireSync();
  using _inner = lock.acquireSync();
  value.value += 5;
  assert.equal(value.add(1), 5);
  value.value = -1;
  assert.ok(lock.locked());
  assert.equal(value.value, -1);
});

test('disposing of its lock does nothing; disposing of the Value ends both', LIMIT, async () => {
  const value = new Value('i', 7);
  const lock = value.getLock();
  lock[Symbol.dispose]();
  assert.equal(value.value, 7);
  const guard = await lock.acquire();
  const child = start(
    there =>
      there
        .getLock()
        .acquire()
        .catch((error: NodeJS.ErrnoException) => error.code),
    value,
  );
  await waitUntil(() => waiting(lock.cell.at).length === 1, 'the child to wait');
  value[Symbol.dispose]();
  assert.equal(await child.result(), 'ERR_CLOSED');
  guard.release();
  for (const use of [
    () => value.value,
    () => value.add(1),
    () => value.compareExchange(7, 8),
    () => value.getLock(),
    () => lock.acquireSync(),
    () => {
      value.value = 1;
    },
  ])
    assert.throws(use, ClosedError);
  value[Symbol.dispose]();
});

test('what was disposed of elsewhere is gone here', LIMIT, async () => {
  const value = new Value('i', 7);
  await start(there => there[Symbol.dispose](), value).result();
  assert.throws(() => value.value, ClosedError);
  assert.throws(() => value.getLock(), ClosedError);
});

test('an owner that is killed leaves its lock abandoned, and the number as it was', LIMIT, async () => {
  using value = new Value('q', 1n);
  const child = start(there => {
    there.getLock().acquireSync();
    there.value = 2n;
    process.kill(process.pid, 'SIGKILL');
  }, value);
  await child.join();
  const guard = await value.getLock().acquire();
  assert.equal(guard.abandoned, true);
  assert.equal(value.value, 2n);
  guard.release();
});

test('a Value that nobody refers to goes, but not as long as its lock is there', LIMIT, async () => {
  let lock: RLock | undefined;
  let block = 0;
  (() => {
    const value = new Value('i', 5);
    [block] = value.cell.blocks;
    lock = value.getLock();
  })();
  for (let i = 0; i < 5; i++) await collect();
  assert.ok(isAllocated(block));
  assert.equal(lock?.locked(), false);
  lock = undefined;
  while (isAllocated(block)) await collect();
});

const STEPS = 10_000;

for (const { crew, run } of CREWS) {
  describe(`Values in ${crew}`, () => {
    for (const [code, one] of [
      ['i', 1],
      ['q', 1n],
      ['d', 1],
      ['f', 1],
    ] as [TypeCode, AnyNumber][]) {
      test(`add() and compareExchange() of '${code}' lose nothing`, LIMIT, async () => {
        using sum: AnyValue = new Value(code);
        using swapped: AnyValue = new Value(code);
        using ready = new Value('i');
        const seen = await run(
          4,
          async (a: Value<'d'>, b: Value<'d'>, there: Value<'i'>, n: number, steps: number) => {
            there.add(1);
            while (there.value < 4) await new Promise(resolve => setImmediate(resolve)); // so that they meet
            let highest: number = a.value;
            for (let i = 0; i < steps; i++) {
              const old: number = a.add(n);
              if (i > 0 && !(old > highest)) throw new Error(`${old} after ${highest}`);
              highest = old;
            }
            for (let i = 0, was: number = b.value; i < steps; ) {
              const now: number = b.compareExchange(was, was + n);
              if (now === was) i++;
              was = now === was ? was + n : now;
            }
            return highest;
          },
          [sum, swapped, ready, one as number, STEPS],
        );
        assert.equal(Number(sum.value), 4 * STEPS);
        assert.equal(Number(swapped.value), 4 * STEPS);
        assert.equal(new Set(seen).size, 4, 'each saw numbers of its own');
      });
    }

    test('value += 1 with the lock held loses nothing', LIMIT, async () => {
      using value = new Value('d');
      await run(
        4,
        (there: Value<'d'>, steps: number) => {
          const lock = there.getLock();
          for (let i = 0; i < steps; i++)
            lock.runExclusiveSync(() => {
              there.value += 1;
            });
        },
        [value, STEPS],
      );
      assert.equal(value.value, 4 * STEPS);
    });

    test('a Value, its lock and a given lock stay the objects they are', LIMIT, async () => {
      using shared = new Lock();
      using own = new Value('H', 3);
      using given = new Value('Q', 4n, { lock: shared });
      using bare = new Value('bool', true, { lock: false });
      const lock = own.getLock();
      const captured = own;
      const [answer] = await run(
        1,
        (map: Map<string, any>, locks: readonly any[], loose: any) => {
          const { own, given, bare } = map.get('nested');
          let refused = '';
          try {
            bare.getLock();
          } catch (error) {
            refused = (error as Error).name;
          }
          own.add(-1);
          return {
            identical: [
              own === captured,
              own.getLock() === locks[0],
              own.getLock() === loose,
              given.getLock() === locks[1],
            ],
            kinds: [own, given, bare, ...locks].map(object => object.constructor.name),
            values: [own.value, given.value, bare.value],
            refused,
            back: [own, given, own.getLock()],
          };
        },
        [new Map([['nested', { own, given, bare }]]), [lock, shared], lock],
      );
      assert.deepEqual(answer.identical, [true, true, true, true]);
      assert.deepEqual(answer.kinds, ['Value', 'Value', 'Value', 'RLock', 'Lock']);
      assert.deepEqual(answer.values, [2, 4n, true]);
      assert.equal(answer.refused, 'TypeError');
      assert.equal(answer.back[0], own);
      assert.equal(answer.back[1], given);
      assert.equal(answer.back[2], lock);
      assert.equal(own.value, 2);
    });
  });
}

test('a lock that crosses alone is that of its Value', LIMIT, async () => {
  using value = new Value('i');
  const lock = value.getLock();
  const [{ run }] = CREWS;
  const guard = lock.acquireSync();
  assert.deepEqual(await run(1, (there: RLock) => there.tryAcquire() === null, [lock]), [true]);
  guard.release();
  assert.deepEqual(await run(1, (there: RLock) => there.tryAcquire() === null, [lock]), [false]);
});
