import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SerializationError } from '../errors/errors.js';
import { stats } from '../memory/allocator.js';
import { SharedArray } from '../shared/shared-array.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { CARRIERS, warmUp } from './fixtures/carriers.js';
import type { TaskOptions } from './options.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const { Memory } = (
  globalThis as unknown as { WebAssembly: { Memory: new (size: object) => { buffer: ArrayBuffer } } }
).WebAssembly;
const sum = (...lists: Uint8Array[]) => lists.flatMap(list => [...list]).reduce((a, b) => a + b, 0);

for (const { carrier, options } of CARRIERS) {
  describe(`a pool of ${carrier}`, () => {
    test('buffers that are transferred are gone here at once, and their bytes arrive', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const short = new Uint8Array(10).fill(1);
      const long = new Uint8Array(100_000).fill(2);
      const other = new Uint8Array(10).fill(3);
      const empty = new ArrayBuffer(0);
      const given = { transfer: [short.buffer, long.buffer, other.buffer, empty] };
      const running = pool.run(sum, [short, long.subarray(5)], given);
      assert.deepEqual(
        [short, long, other].map(list => list.length),
        [0, 0, 0],
      );
      assert.throws(() => new Uint8Array(empty), TypeError);
      assert.equal(await running, 10 + 2 * 99_995);
    });

    test('what a task was given is there again when it runs again', LIMIT, async () => {
      await using pool = new Pool(1, options);
      using tries = new SharedArray('i32', 1);
      const bytes = new Uint8Array(100_000).fill(1);
      const dieOnce = (given: Uint8Array, count: SharedArray<'i32'>) => {
        if (count.view[0]++ === 0) process.exit(1);
        return given.length;
      };
      const running = pool.run(dieOnce, [bytes, tries], { transfer: [bytes.buffer], retries: 1 });
      assert.equal(bytes.length, 0);
      assert.equal(await running, 100_000);
    });
  });
}

describe('what cannot be transferred is refused, and nothing is given or lost', () => {
  const twice = new ArrayBuffer(8);
  const gone = new ArrayBuffer(8);
  structuredClone(gone, { transfer: [gone] });
  const refused: [string, unknown[], { name: string; message: RegExp }][] = [
    ['a buffer twice', [twice, twice], { name: 'SerializationError', message: /transfer\[2\] .* twice/ }],
    ['one given away before', [gone], { name: 'SerializationError', message: /transfer\[1\] .* before/ }],
    ['shared memory', [new SharedArrayBuffer(8)], { name: 'TypeError', message: /SharedArrayBuffer/ }],
    ['a view', [new Uint8Array(8)], { name: 'TypeError', message: /transfer\[1\] .* its "buffer"/ }],
    ['nothing', [undefined], { name: 'TypeError', message: /no ArrayBuffer/ }],
  ];
  test('at once', LIMIT, async () => {
    await using pool = new Pool(1, { kind: 'thread' });
    const bytes = new Uint8Array(100_000).fill(1);
    assert.equal(await pool.run(sum, [bytes]), 100_000);
    for (const [what, buffers, error] of refused) {
      const before = stats().used;
      const transfer = [bytes.buffer, ...buffers] as ArrayBuffer[];
      await assert.rejects(pool.run(sum, [bytes], { transfer }), error, what);
      assert.equal(bytes.length, 100_000, what);
      assert.equal(stats().used, before, `${what}: of the arguments nothing is left`);
    }
    const list = { transfer: new ArrayBuffer(8) } as unknown as TaskOptions;
    await assert.rejects(pool.run(sum, [bytes], list), TypeError);
    const own = Symbol('own') as unknown as Uint8Array;
    await assert.rejects(pool.run(sum, [bytes, own], { transfer: [bytes.buffer] }), SerializationError);
    assert.equal(bytes.length, 100_000);
    assert.deepEqual([pool.stats.pending, pool.stats.completed, pool.stats.failed], [0, 1, 0]);
  });

  test('what stays where it is: the memory of WebAssembly, of a shared array', LIMIT, async () => {
    await using pool = new Pool(1, { kind: 'thread' });
    using array = new SharedArray('u8', 100_000);
    for (const buffer of [new Memory({ initial: 2 }).buffer, array.view.buffer as ArrayBuffer]) {
      const bytes = new Uint8Array(buffer).fill(1);
      const { length } = bytes;
      await assert.rejects(
        pool.run(sum, [bytes], { transfer: [buffer] }),
        error => error instanceof SerializationError && error.path === 'transfer',
      );
      assert.equal(await pool.run(sum, [bytes]), length);
    }
  });
});
