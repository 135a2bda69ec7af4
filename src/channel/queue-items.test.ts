import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { freemem, tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { encode } from '../codec/encode.js';
import { FLAG, TAG } from '../codec/tags.js';
import { SerializationError } from '../errors/errors.js';
import { stats } from '../memory/allocator.js';
import { Lock } from '../sync/lock.js';
import { random } from '../sync/testing/random.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import type { Exchange } from './exchange.js';
import { packBytes } from './item.js';
import { borrow, giveBack } from './parcel.js';
import { Queue } from './queue.js';
import { drain, failureOf, LIMIT, range } from './testing/queues.js';

/* What can be an item, how large, and what becomes of those that cannot be one. */
leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Bytes of which each stretch differs from any other. */
function bytes(length: number, seed = length): Uint8Array {
  const next = random(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = next() * 2 ** 32;
  return new Uint8Array(words.buffer, 0, length).slice();
}

function assertSame(actual: unknown, expected: Uint8Array): void {
  assert.ok(actual instanceof Uint8Array);
  assert.equal(Buffer.compare(actual, expected), 0, `${expected.length} bytes have changed`);
}

/** Puts an item whose encoded form is this. */
function putEncoded(queue: Queue, encoded: Uint8Array): void {
  const { exchange } = queue as unknown as { exchange: Exchange };
  const parcel = borrow();
  packBytes(encoded, parcel, exchange.space);
  assert.equal(exchange.offer(parcel, false), 0);
  giveBack(parcel, exchange.space);
}

function putUndecodable(queue: Queue): void {
  putEncoded(queue, Uint8Array.of(250, 251, 252));
}

describe('sizes', () => {
  test('bytes and texts of every length up to some KiB', LIMIT, () => {
    using queue = new Queue<unknown>();
    for (let length = 0; length <= 6000; length += length > 64 && (length & 127) === 8 ? 113 : 1)
      for (const item of [bytes(length), 'x'.repeat(length)]) {
        queue.putNowait(item);
        const got = queue.getNowait();
        if (typeof item === 'string') assert.equal(got, item);
        else assertSame(got, item);
      }
  });

  test('bytes about every boundary, one after the other and all at once', LIMIT, async () => {
    const lengths = new Set<number>();
    for (let size = 256; size <= 128 * KIB; size *= 2)
      for (const near of [
        -66, -64, -33, -20, -17, -16, -13, -12, -9, -8, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5,
      ])
        lengths.add(size + near);
    for (const near of range(40, -20))
      lengths
        .add(2048 + near)
        .add(8176 + near)
        .add(16 * KIB + near);
    const items = [...lengths].map(length => bytes(length));
    using queue = new Queue<Uint8Array>();
    for (const item of items) {
      await queue.put(item);
      assertSame(await queue.get(), item);
    }
    for (const item of items) await queue.put(item);
    for (const item of items) assertSame(await queue.get(), item);
    await queue.putMany(items);
    assert.equal(queue.qsize(), items.length);
    const got = await queue.getMany(items.length);
    for (const [i, item] of items.entries()) assertSame(got[i], item);
    const line: Uint8Array[] = [];
    for (const [i, item] of items.entries()) {
      line.push(item);
      await queue.put(item);
      if (i % 3 > 0) assertSame(await queue.get(), line.shift() as Uint8Array);
    }
    assert.equal(queue.qsize(), line.length);
    for (const item of line) assertSame(await queue.get(), item);
  });

  test('large ones, from 1 to 64 MiB', LIMIT, async () => {
    using queue = new Queue<unknown>();
    for (const size of [MIB, 4 * MIB + 1, 64 * MIB]) {
      const item = bytes(size);
      await queue.put(item);
      assert.equal(queue.qsize(), 1);
      assertSame(await queue.get(), item);
      queue.putSync({ item, again: item, text: 'x'.repeat(1000) });
      const got = queue.getSync() as { item: Uint8Array; again: Uint8Array };
      assertSame(got.item, item);
      assert.equal(got.item, got.again);
    }
    const text = 'ü€𝄞a'.repeat(2 * MIB);
    queue.putNowait(text);
    assert.ok(queue.getNowait() === text);
    const numbers = Float64Array.from({ length: MIB }, (_, i) => i / 3);
    queue.putNowait([numbers, new BigInt64Array(3).fill(-5n)]);
    assert.deepEqual(queue.getNowait(), [numbers, new BigInt64Array(3).fill(-5n)]);
  });

  // To touch so much memory for the first time takes seconds, on some machines many.
  const large = process.env.MANYHANDS_SOAK === undefined ? GIB / 4 : GIB;
  const hasRoom = freemem() > 5 * large && stats().limit > 3 * large;
  const skip = !hasRoom && `it takes ${(4 * large) / GIB} GiB of free memory`;
  test(`one of ${large / MIB} MiB`, { timeout: 60_000, skip }, async () => {
    using queue = new Queue<Uint8Array>();
    const item = new Uint8Array(large);
    const words = new Uint32Array(item.buffer);
    for (let i = 0; i < words.length; i += 1024) words[i] = i + 1;
    item[large - 1] = 77;
    await queue.put(item);
    const got = await queue.get();
    assert.equal(got.length, large);
    assert.ok(got.buffer !== item.buffer);
    assert.equal(Buffer.compare(got, item), 0);
  });

  test('100,000 of mixed size, and all memory comes back', LIMIT, async () => {
    using queue = new Queue<{ i: number; data: Uint8Array }>();
    const next = random(1);
    const sizes = range(100_000).map(() => Math.floor(3 ** (next() * 8) * 2 * next() ** 2));
    const source = bytes(32 * KIB);
    const before = stats().used;
    for (const [i, size] of sizes.entries()) await queue.put({ i, data: source.slice(0, size) });
    assert.equal(queue.qsize(), 100_000);
    const most = stats().used;
    for (const [i, size] of sizes.entries()) {
      const { i: index, data } = queue.getNowait();
      assert.equal(index, i);
      assertSame(data, source.subarray(0, size));
    }
    assert.equal(queue.qsize(), 0);
    assert.ok(
      stats().used - before < (most - before) / 20,
      `${stats().used - before} of ${most - before} bytes`,
    );
  });

  test('a thousand queues at once', LIMIT, async () => {
    const queues = range(1000).map(i => new Queue<unknown>(1 + (i % 5)));
    for (const [i, queue] of queues.entries()) await queue.put([i, 'x'.repeat(i * 3)]);
    const waits = queues.map(queue => queue.get().then(() => queue.get()));
    for (const [i, queue] of queues.entries()) queue.putNowait(i);
    assert.deepEqual(await Promise.all(waits), range(1000));
    for (const queue of queues) queue[Symbol.dispose]();
  });

  test('an item that takes more than its chunk has left goes whole into the next', LIMIT, () => {
    for (const first of range(1040).filter(i => i % 13 === 0 || i > 960)) {
      using queue = new Queue<Uint8Array>();
      const items = [bytes(first), bytes(2030), bytes(40), bytes(2040), bytes(0), bytes(700), bytes(3)];
      for (const item of items) queue.putNowait(item);
      for (const item of items) assertSame(queue.getNowait(), item);
      assert.equal(queue.qsize(), 0);
    }
  });
});

describe('values', () => {
  test('what an array, a map, an error or a cycle is it stays', async () => {
    using queue = new Queue<unknown>();
    const cycle: { self?: unknown; list: unknown[] } = { list: [] };
    cycle.self = cycle;
    cycle.list.push(cycle, [cycle]);
    const items = [
      undefined,
      null,
      0,
      -0,
      Number.NaN,
      10n ** 40n,
      '',
      new Date(5),
      /x/gi,
      new Map([[{ a: 1 }, new Set([1])]]),
      Object.assign(new Array(2), { 1: 1 }),
      new TypeError('oh', { cause: 1 }),
      new Uint16Array([1, 2, 3]).subarray(1),
      new Float64Array(0),
      new DataView(new ArrayBuffer(5), 1, 2),
      Object.create(null),
      cycle,
    ];
    await queue.putMany(items);
    for (const item of items) {
      const got = await queue.get();
      if (item instanceof Error) assert.equal((got as Error).message, item.message);
      else assert.deepEqual(got, item);
    }
  });

  test('a thenable comes out as it is', async () => {
    using queue = new Queue<{ x: unknown }>();
    const thenable = Object.fromEntries([['then', 5]]);
    await queue.put({ x: thenable });
    assert.deepEqual(await queue.get(), { x: thenable });
  });

  test('functions with what they capture, and classes', async () => {
    using queue = new Queue<any>();
    let calls = 0;
    const step = 3;
    class Counter {
      constructor(public n: number) {}
      next(): number {
        return this.n + step;
      }
    }
    await queue.put((x: number) => x * step + calls++);
    await queue.put(new Counter(4));
    await queue.put({ run: async () => [step, path.basename('a/b')] });
    assert.equal((await queue.get())(5), 15);
    assert.equal((await queue.get()).next(), 7);
    assert.deepEqual(await (await queue.get()).run(), [3, 'b']);
    assert.equal(calls, 0, 'what came out has a copy of its own');
  });

  test('locks, other queues, and a queue through itself', LIMIT, async () => {
    using queue = new Queue<any>();
    using lock = new Lock();
    using other = new Queue<number>(2);
    other.putNowait(1);
    await queue.put({ lock, other, queue, list: [queue, other] });
    const got = await queue.get();
    assert.ok(got.lock === lock && got.other === other && got.queue === queue && got.list[0] === queue);
    other.putNowait(2);
    assert.throws(() => other.putNowait(3), { code: 'ERR_QUEUE_FULL' });
    assert.deepEqual(drain(other), [1, 2], 'what it had before it crossed is still there');
    for (const size of [100, 3000, 100_000]) {
      other.putNowait(size);
      using third = new Queue<Uint8Array>();
      third.putNowait(bytes(size));
      third.putNowait(bytes(size + 1));
      queue.putNowait(third);
      assert.equal(queue.getNowait(), third);
      assertSame(third.getNowait(), bytes(size));
      third.putNowait(bytes(size + 2));
      assertSame(third.getNowait(), bytes(size + 1));
      assertSame(third.getNowait(), bytes(size + 2));
      other.getNowait();
    }
  });

  test('getters that use queues while they are encoded', LIMIT, async () => {
    using queue = new Queue<any>();
    using other = new Queue<any>();
    for (const size of [10, 1500, 2048, 5000, 70_000]) {
      const item = {
        before: bytes(size),
        get nested(): number {
          queue.putNowait({ inner: bytes(size + 1) });
          other.putNowait(bytes(size + 2));
          void other.putMany([bytes(size + 3), { more: bytes(size + 4) }]);
          return other.getNowait().length;
        },
        after: bytes(size + 5),
      };
      queue.putNowait(item);
      assertSame(queue.getNowait().inner, bytes(size + 1));
      const got = queue.getNowait();
      assertSame(got.before, bytes(size));
      assertSame(got.after, bytes(size + 5));
      assert.equal(got.nested, size + 2);
      assertSame(other.getNowait(), bytes(size + 3));
      assertSame(other.getNowait().more, bytes(size + 4));
    }
    assert.ok(queue.empty() && other.empty());
  });

  test('an array that grows while its items are encoded', async () => {
    using queue = new Queue<any>();
    const items: unknown[] = [1];
    items.push({
      get grow(): number {
        if (items.length < 5) items.push(items.length);
        return items.length;
      },
    });
    await queue.putMany(items);
    assert.deepEqual(drain(queue), [1, { grow: 3 }, 2]);
  });

  test('long ones after short ones and short after long, whatever is guessed', () => {
    using queue = new Queue<unknown>();
    const next = random(7);
    for (let i = 0; i < 2000; i++) {
      const size = Math.floor(2 ** (next() * 17));
      const item = next() < 0.5 ? 'é'.repeat(size) : [bytes(size), 'a'.repeat(next() * size)];
      queue.putNowait(item);
      assert.deepEqual(queue.getNowait(), item);
    }
  });
});

describe('what cannot cross', () => {
  const failing = {
    'a promise': () => ({ list: [1, Promise.resolve()] }),
    'a long one with a promise at its end': () => [bytes(100_000), Promise.resolve()],
    'a getter that throws': () => ({
      get name() {
        throw new Error('not now');
      },
    }),
  };
  for (const [name, make] of Object.entries(failing))
    test(`${name} throws in the caller, and leaves the queue as it was`, async () => {
      for (const maxsize of [0, 2, 3]) {
        using queue = new Queue<any>(maxsize);
        const used = stats().used;
        for (const before of [[], [1, 2]]) {
          await queue.putMany(before);
          const isFull = queue.full();
          for (const call of [
            () => queue.put(make()),
            () => queue.put(make(), { timeout: 0 }),
            () => queue.putSync(make()),
            () => queue.putNowait(make()),
            () => queue.putMany([3, make(), 4]),
            () => queue.putMany([3, bytes(5000), make()]),
            () => queue.putMany(new Set([make()])),
          ]) {
            const error = await failureOf(call);
            assert.ok(error instanceof SerializationError, String(error));
            assert.match(error.path, /^item/);
            assert.equal(queue.full(), isFull);
          }
          assert.deepEqual(drain(queue), before);
        }
        assert.ok(stats().used - used < 100_000);
        if (maxsize > 0) for (let i = 0; i < maxsize; i++) queue.putNowait(i);
        assert.equal(queue.full(), maxsize > 0, 'it has as much room as ever');
      }
    });

  test('a group that fails comes after those that are in, and the error tells how many', async () => {
    using queue = new Queue<any>();
    function* items() {
      yield* range(2000);
      yield Promise.resolve();
    }
    const error = await failureOf(() => queue.putMany(items()));
    assert.ok(error instanceof SerializationError);
    assert.equal((error as { put?: number }).put, 1024);
    assert.deepEqual(drain(queue), range(1024));
    assert.equal((await failureOf(() => queue.putMany([1, Promise.resolve()]))).put, 0);
  });
});

describe('what cannot be decoded', () => {
  test('fails that get only', async () => {
    using queue = new Queue<any>();
    for (const get of [
      () => queue.get(),
      () => queue.getSync(),
      () => queue.getNowait(),
      () => queue.get({ timeout: 10 }),
    ]) {
      queue.putNowait('before');
      putUndecodable(queue);
      queue.putNowait('after');
      assert.equal(queue.getNowait(), 'before');
      assert.ok((await failureOf(get)) instanceof SerializationError);
      assert.equal(await get(), 'after');
    }
    const waits = [queue.get(), queue.get()].map(wait => wait.catch(error => error.code));
    putUndecodable(queue);
    queue.putNowait(1);
    assert.deepEqual(await Promise.all(waits), ['ERR_SERIALIZATION', 1]);
  });

  test('leaves to getMany the others, in order', async () => {
    using queue = new Queue<any>();
    const long = bytes(5000);
    for (const item of [1, long]) queue.putNowait(item);
    putUndecodable(queue);
    queue.putNowait(3);
    putUndecodable(queue);
    queue.putNowait(long);
    queue.putNowait('later');
    const error = await failureOf(() => queue.getMany(6));
    assert.ok(error instanceof SerializationError);
    assert.deepEqual((error as { items?: unknown }).items, [1, long, 3, long]);
    assert.deepEqual(drain(queue), ['later']);
  });

  test('a function of a module that is gone', async () => {
    using queue = new Queue<any>();
    const require = createRequire(__filename);
    const gone = path.join(tmpdir(), 'gone.cjs');
    const broken = path.join(tmpdir(), 'broken.cjs');
    for (const file of [gone, broken]) {
      writeFileSync(file, 'exports.f = function f() { return 1; };');
      const { f } = require(file);
      for (const item of [f, 1, [f], 2, { f, long: bytes(5000) }, 3, 4, f, 5]) queue.putNowait(item);
      delete require.cache[file];
      if (file === gone) rmSync(file);
      else writeFileSync(file, 'throw "a module that throws";');
      assert.ok((await failureOf(() => queue.get())) instanceof SerializationError);
      assert.equal(await queue.get(), 1);
      assert.ok((await failureOf(() => queue.getSync())) instanceof SerializationError);
      assert.equal(queue.getSync(), 2);
      const error = await failureOf(() => queue.getMany(3));
      assert.ok(error instanceof SerializationError, String(error));
      assert.deepEqual((error as { items?: unknown }).items, [3, 4]);
      assert.ok((await failureOf(() => queue.get({ timeout: 10 }))) instanceof SerializationError);
      assert.deepEqual(drain(queue), [5]);
    }
    rmSync(broken);
  });

  test('a function of an ES module that is not loaded is got by the async forms only', LIMIT, async () => {
    using queue = new Queue<any>();
    const put = (module: string) => {
      const prefix = [TAG.prefix, FLAG.modules, 1, ...encode(module)];
      putEncoded(queue, Uint8Array.from([...prefix, TAG.imported, 0, 1, ...encode('twice')]));
    };
    const source = 'data:text/javascript,export const twice = x => 2 * x;//';
    put(`${source}1`);
    assert.match((await failureOf(() => queue.getSync())).message, /use the asynchronous form/);
    put(`${source}1`);
    assert.equal((await queue.get())(4), 8);
    put(`${source}2`);
    queue.putNowait(1);
    put(`${source}3`);
    const [two, one, three] = await queue.getMany(3);
    assert.deepEqual([two(1), one, three(2)], [2, 1, 4]);
    const wait = queue.get();
    put(`${source}4`);
    assert.equal((await wait)(5), 10);
    put('data:text/javascript,throw "never"');
    put(`${source}5`);
    const error = await failureOf(() => queue.get());
    assert.ok(error instanceof SerializationError);
    assert.equal(error.cause, 'never');
    const controller = new AbortController();
    const get = queue.get({ signal: controller.signal });
    controller.abort();
    assert.equal((await get)(6), 12, 'what is out of the queue comes');
  });
});
