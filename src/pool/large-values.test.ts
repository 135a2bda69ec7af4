import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Pipe } from '../channel/pipe.js';
import { encode } from '../codec/encode.js';
import { EndOfFileError, OutOfMemoryError, SerializationError } from '../errors/errors.js';
import { free, getLimit, ownerOf, setLimit, sizeOf, stats } from '../memory/allocator.js';
import { PAGE_BYTES } from '../memory/layout.js';
import { messageAt } from '../memory/message.js';
import { self } from '../memory/participants.js';
import { SharedArray } from '../shared/shared-array.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { ROOM } from './board.js';
import { CARRIERS, warmUp } from './fixtures/carriers.js';
import { until } from './fixtures/tasks.js';
import { packArgs, packed, packResult } from './parcel.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const MIB = 2 ** 20;

test('what is packed has one block, this thread’s, hardly longer than the bytes', () => {
  const bytes = new Uint8Array(MIB).fill(5);
  const value = [{ deep: [new Map([['a', bytes]])] }, Buffer.from(bytes), bytes.buffer];
  for (const pack of [packArgs, packResult]) {
    const before = stats().used;
    pack(value, new Uint8Array(ROOM));
    const { handle } = packed;
    assert.equal(ownerOf(handle), self());
    assert.ok(stats().used - before <= 2 * MIB + PAGE_BYTES);
    assert.ok(sizeOf(handle) <= 2 * MIB + PAGE_BYTES);
    assert.deepEqual(Buffer.from(messageAt(handle)), Buffer.from(encode(value)));
    free(handle);
    assert.equal(stats().used, before);
  }
});

test('shared memory is packed as it is: a long array takes no more than a number', () => {
  using array = new SharedArray('i32', 4 * MIB);
  packArgs([array], new Uint8Array(ROOM));
  assert.equal(packed.handle, 0, 'it fits where short arguments go');
  packed.tickets?.release();
});

test('what is packed is copied into its block and nowhere else', () => {
  const value = [{ bytes: new Uint8Array(16 * MIB) }];
  for (const pack of [packArgs, packResult]) {
    pack([new Uint8Array(MIB)], new Uint8Array(ROOM));
    free(packed.handle);
    const before = process.memoryUsage().arrayBuffers;
    pack(value, new Uint8Array(ROOM));
    assert.ok(process.memoryUsage().arrayBuffers - before < MIB);
    free(packed.handle);
  }
});

test('what cannot be packed leaves no block, also where there is no memory for one', () => {
  const { parent, child } = open();
  const bytes = new Uint8Array(4 * MIB);
  const limit = getLimit();
  for (const pack of [packArgs, packResult]) {
    assert.throws(() => pack([bytes, child, Symbol('own')], new Uint8Array(ROOM)), SerializationError);
    setLimit(stats().used + MIB);
    try {
      assert.throws(() => pack([bytes, child], new Uint8Array(ROOM)), OutOfMemoryError);
    } finally {
      setLimit(limit);
    }
  }
  child.close();
  // Had an end on its way been left open, this would wait for what it sends.
  assert.throws(() => parent.recvSync({ timeout: 1000 }), EndOfFileError);
  parent.close();
});

function open() {
  const [parent, child] = Pipe();
  return { parent, child };
}

test('getters that pack meanwhile have a block of their own', () => {
  const inner = new Uint8Array(MIB).fill(1);
  const outer = new Uint8Array(MIB).fill(2);
  const handles: number[] = [];
  packArgs(
    {
      outer,
      get inner() {
        packArgs(inner, new Uint8Array(ROOM));
        handles.push(packed.handle);
        return 1;
      },
    },
    new Uint8Array(ROOM),
  );
  handles.push(packed.handle);
  assert.deepEqual(
    handles.map(handle => Buffer.from(messageAt(handle))),
    [inner, { outer, inner: 1 }].map(value => Buffer.from(encode(value))),
  );
  handles.forEach(free);
});

for (const { carrier, options } of CARRIERS) {
  describe(`a pool of ${carrier}`, () => {
    test('bytes, ends of pipes and shared arrays come and go together', LIMIT, async () => {
      const pool = new Pool(1, options);
      using array = new SharedArray('i32', [1, 2, 3, 4]);
      for (const length of [0, 100, 230, 8_000, 65_536, MIB]) {
        const bytes = new Uint8Array(length).fill(length % 251);
        const { parent, child } = open();
        const value = { list: [bytes, Buffer.from(bytes.subarray(0, 300))], array };
        const running = pool.run(
          (at: typeof child, given: typeof value) => {
            given.array.view[0]++;
            return [at, given.list] as const;
          },
          [child, value],
        );
        child.close();
        const [end, back] = await running;
        assert.deepEqual(back, value.list);
        end.sendSync(length);
        assert.equal(parent.recvSync(), length);
        end.close();
        parent.close();
      }
      assert.deepEqual([...array.view], [7, 2, 3, 4]);
      // Not killed: a worker that is about to free a pipe which all others have let go of would leave it.
      pool.close();
      await pool.join();
    });

    test('a view of a shared array crosses as a copy of what it shows', LIMIT, async () => {
      await using pool = new Pool(1, options);
      using array = new SharedArray('i32', [1, 2, 3, 4]);
      const change = (part: Int32Array) => part.fill(9);
      assert.deepEqual(await pool.run(change, [array.view.subarray(1, 3)]), Int32Array.of(9, 9));
      const back = await pool.run((there: SharedArray<'i32'>) => there.view.subarray(2), [array]);
      assert.deepEqual(back, Int32Array.of(3, 4));
      back.fill(9);
      assert.deepEqual([...array.view], [1, 2, 3, 4]);
    });

    test('much is freed as soon as the worker has it, if it is not needed to run again', LIMIT, async () => {
      await using pool = new Pool(1, options);
      const bytes = new Uint8Array(9 * MIB);
      const wait = async (given: Uint8Array, file: string) => until(file, given.length);
      await pool.run(wait, [bytes.subarray(0, 1), __filename]);
      const before = stats().used;
      const go = path.join(tmpdir(), 'go');

      const once = pool.run(wait, [bytes, go]);
      assert.ok(stats().used - before > bytes.length);
      await waitUntil(
        () => stats().used - before < MIB,
        () => `arguments of a task that runs to be freed: ${stats().used - before}`,
      );
      writeFileSync(go, '');
      assert.equal(await once, bytes.length);
      rmSync(go);

      const again = pool.run(wait, [bytes, go], { retries: 1 });
      await waitUntil(
        () => pool.stats.busy === 1,
        () => 'the task to run',
      );
      assert.ok(stats().used - before > bytes.length);
      await pool.workers[0].terminate();
      writeFileSync(go, '');
      assert.equal(await again, bytes.length);
      rmSync(go);
    });

    test(
      'a function crosses once to each worker, with what it captures, however often it runs',
      LIMIT,
      async () => {
        await using pool = new Pool(2, options);
        const table = new Float64Array(MIB / 8).fill(0.5);
        const seen: { count?: number } = {};
        const fn = (i: number) => {
          seen.count = (seen.count ?? 0) + 1; // of this copy of what it captures
          return [seen.count, table.length, i];
        };
        await pool.ready();
        const before = stats().used;
        const results = await Promise.all(Array.from({ length: 100 }, (_, i) => pool.run(fn, [i])));
        assert.ok(stats().used - before < 2 * MIB, 'there is one copy for all of them');
        assert.deepEqual(results.at(-1)?.slice(1), [MIB / 8, 99]);
        const runs = await pool.broadcast(fn, [0]);
        assert.equal(
          runs.reduce((sum, [count]) => sum + count, 0),
          102,
          'no copy was made anew',
        );
        assert.deepEqual(seen, {});
      },
    );
  });
}
