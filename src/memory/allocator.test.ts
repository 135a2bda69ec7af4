import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import fc from 'fast-check';
import { OutOfMemoryError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { memoryLimit } from '../platform/platform.js';
import { leavesNothing } from '../testing/leaks.js';
import {
  allocate,
  FAMILY,
  free,
  freeAllOf,
  getLimit,
  givenTo,
  handleAt,
  isAllocated,
  offsetOf,
  ownerOf,
  PROCESS_OWNER,
  setLimit,
  sizeOf,
  stats,
  takeOver,
  transfer,
  trim,
} from './allocator.js';
import { attach, bytes, view } from './commons.js';
import { checkConsistency } from './consistency.js';
import { LOW_BYTES, PAGE_BYTES } from './layout.js';
import { self } from './participants.js';
import { SMALL_BYTES } from './sizes.js';

leavesNothing({ warm: attach });

const GIB = 2 ** 30;
const NOTHING = { blocks: 0, slabs: 0, held: 0, runs: 0 };
const nobody = PROCESS_OWNER | 7;

afterEach(() => {
  trim();
  assert.deepEqual(checkConsistency(), NOTHING);
  assert.equal(stats().used, 0);
  assert.equal(stats().cached, 0);
});

function block(handle: number): Uint8Array {
  return view(offsetOf(handle), sizeOf(handle));
}

test('a block has the size asked for, is aligned and zero, and is mine', () => {
  for (const size of [
    0,
    1,
    16,
    17,
    100,
    1000,
    4096,
    SMALL_BYTES,
    SMALL_BYTES + 1,
    PAGE_BYTES,
    PAGE_BYTES + 1,
    1e6,
  ]) {
    const handle = allocate(size);
    assert.ok(handle > 0);
    assert.ok(sizeOf(handle) >= Math.max(size, 16));
    assert.equal(offsetOf(handle) % (size > SMALL_BYTES ? PAGE_BYTES : 16), 0);
    assert.equal(handleAt(offsetOf(handle)), handle);
    assert.equal(offsetOf(handle) < LOW_BYTES, size <= SMALL_BYTES);
    assert.equal(ownerOf(handle), self());
    assert.equal(isAllocated(handle), true);
    assert.ok(block(handle).every(byte => byte === 0));
    free(handle);
    assert.equal(isAllocated(handle), false);
  }
});

test('memory is zero again when it comes back, unless that is not wanted', () => {
  for (const size of [16, 200, 5000, 20_000, 1_000_000]) {
    const seen = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const handle = allocate(size);
      assert.ok(block(handle).every(byte => byte === 0));
      seen.add(handle);
      block(handle).fill(255);
      free(handle);
      free(allocate(size, { zero: false }));
    }
    if (size > SMALL_BYTES) assert.ok(seen.size <= 2, 'the place of the block just freed is taken first');
  }
});

test('sizes that are none are refused', () => {
  for (const size of [-1, Number.NaN, 1.5, Number.POSITIVE_INFINITY, '16' as unknown as number])
    assert.throws(() => allocate(size), RangeError);
  assert.throws(() => setLimit(-1), RangeError);
  assert.throws(() => setLimit(Number.NaN), RangeError);
});

test('freeing twice, or what is no block, is an error', () => {
  for (const size of [16, 8000, 20_000]) {
    const handle = allocate(size);
    const neighbour = allocate(size);
    free(handle);
    for (const use of [free, sizeOf, ownerOf]) assert.throws(() => use(handle), /There is no block/);
    assert.equal(transfer(handle, self(), nobody), false);
    assert.equal(isAllocated(neighbour), true);
    free(neighbour);
  }
  const handle = allocate(160);
  for (const wrong of [0, 1, -1, handle + 1, handle + 1e6, 2 ** 26, 2 ** 26 + 5, 2 ** 31]) {
    assert.equal(isAllocated(wrong), false);
    assert.throws(() => free(wrong), /There is no block/);
  }
  free(handle);
});

test('a block passes from owner to owner, once', () => {
  for (const size of [16, 20_000]) {
    const handle = allocate(size);
    assert.equal(transfer(handle, self(), FAMILY), true);
    assert.equal(transfer(handle, self(), nobody), false);
    assert.equal(ownerOf(handle), FAMILY);
    free(handle);
  }
});

test('a block that may be gone is taken over if it is still there', () => {
  for (const size of [16, 20_000]) {
    const handle = allocate(size, { owner: nobody });
    assert.equal(takeOver(handle, self(), FAMILY), false);
    assert.equal(takeOver(handle, nobody, self()), true);
    free(handle);
    assert.equal(takeOver(handle, nobody, self()), false);
    assert.equal(takeOver(handle, self(), nobody), false);
  }
});

test('what was given to an owner is told from what it has allocated, and freed with it', () => {
  for (const size of [16, 20_000]) {
    const stranger = 2 ** 30 - 1;
    const own = allocate(size, { owner: stranger });
    const given = allocate(size);
    assert.equal(transfer(given, self(), givenTo(stranger)), true);
    assert.deepEqual([own, given].map(ownerOf), [stranger, givenTo(stranger)]);
    assert.equal(freeAllOf(stranger), 2);
  }
});

test('freeAllOf() frees what belongs to an owner and nothing else, and again does nothing', () => {
  const keep: number[] = [];
  for (let i = 0; i < 2000; i++) {
    allocate((i * 37) % 30_000, { owner: nobody });
    keep.push(allocate((i * 53) % 30_000));
  }
  for (const handle of keep) block(handle).fill(handle);
  assert.equal(freeAllOf(nobody), 2000);
  assert.equal(freeAllOf(nobody), 0);
  checkConsistency();
  for (const handle of keep) assert.ok(block(handle).every(byte => byte === (handle & 255)));
  assert.equal(freeAllOf(self()), 2000);
  assert.equal(stats().used, 0, 'slabs that were held are given back too');
});

test('a block of 3 GiB can be used from end to end, and leaves nothing behind', () => {
  const before = stats();
  setLimit(8 * GIB);
  const handle = allocate(3 * GIB);
  const all = block(handle);
  assert.equal(all.length, 3 * GIB);
  all[0] = 1;
  all[3 * GIB - 1] = 2;
  const end = view(offsetOf(handle) + 3 * GIB - 4, 4);
  assert.deepEqual([...end], [0, 0, 0, 2]);
  assert.equal(stats().used, before.used + 3 * GIB);
  free(handle);
  assert.equal(stats().used, before.used);
  const again = allocate(3 * GIB);
  assert.equal(block(again)[3 * GIB - 1], 0);
  free(again);
  assert.ok(stats().resident <= before.resident + 2 ** 20);
});

test('views of the high zone reach across the borders of their windows', () => {
  setLimit(64 * GIB);
  const handles = [allocate(GIB), allocate(GIB - PAGE_BYTES), allocate(2 * PAGE_BYTES), allocate(2 ** 20)];
  for (const handle of handles) {
    const all = block(handle);
    all[0] = handle;
    all[all.length - 1] = handle;
  }
  for (const handle of handles) {
    const { byteLength } = block(handle);
    assert.equal(view(offsetOf(handle), 1)[0], handle & 255);
    assert.equal(view(offsetOf(handle) + byteLength - 1, 1)[0], handle & 255);
    free(handle);
  }
});

test('memory that was filled and freed goes back to the kernel, but for a bounded rest', () => {
  setLimit(8 * GIB);
  trim();
  const start = stats().resident;
  for (const [size, count] of [
    [4000, 40_000],
    [100_000, 1600],
    [2 ** 25, 5],
  ]) {
    const handles = Array.from({ length: count }, () => allocate(size));
    for (const handle of handles) block(handle).fill(1);
    assert.ok(stats().resident > start + 150e6);
    for (const handle of handles) free(handle);
    assert.ok(stats().resident <= start + 50 * 2 ** 20, `${stats().resident} after ${size}`);
    assert.ok(stats().cached <= 48 * 2 ** 20);
    checkConsistency();
  }
  trim();
  assert.ok(stats().resident <= start + 2 ** 20);
});

test('the limit is half of the memory, can be set, and says what is wrong when it is met', () => {
  setLimit(memoryLimit() / 2);
  assert.ok(Math.abs(getLimit() - memoryLimit() / 2) < PAGE_BYTES);
  setLimit(10 * 2 ** 20);
  assert.equal(stats().limit, 10 * 2 ** 20);
  const handle = allocate(6 * 2 ** 20);
  assert.throws(
    () => allocate(5 * 2 ** 20),
    (error: unknown) => {
      assert.ok(error instanceof OutOfMemoryError);
      assert.equal(error.code, 'ERR_OUT_OF_MEMORY');
      assert.match(error.message, /Cannot allocate 5 MiB of shared memory as 6 MiB of 10 MiB are in use: /);
      return true;
    },
  );
  assert.throws(() => {
    for (;;) allocate(100, { owner: nobody });
  }, OutOfMemoryError);
  assert.equal(stats().used, 10 * 2 ** 20);
  assert.ok(freeAllOf(nobody) > 35_000);
  free(handle);
  setLimit(Number.POSITIVE_INFINITY);
  assert.ok(getLimit() > native.arenaBytes());
});

test('address space that is used up is an error of its own, and what is free is found to the last page', () => {
  setLimit(Number.POSITIVE_INFINITY);
  const rest = native.arenaBytes() - LOW_BYTES;
  assert.throws(() => allocate(rest + 1), /no free piece of its [\d.]+ GiB of address space is as long/);
  const all = allocate(rest, { zero: false });
  assert.throws(() => allocate(20_000), OutOfMemoryError);
  free(all);
  const half = allocate(rest - 2 * PAGE_BYTES, { zero: false });
  const other = allocate(2 * PAGE_BYTES);
  assert.throws(() => allocate(PAGE_BYTES), OutOfMemoryError);
  free(other);
  checkConsistency();
  const two = [allocate(PAGE_BYTES), allocate(PAGE_BYTES)];
  free(two[0]);
  trim();
  free(two[1]);
  assert.equal(stats().cached, PAGE_BYTES);
  // In two pieces, one clean and one dirty: they must be made one to fit.
  free(allocate(2 * PAGE_BYTES));
  free(half);
  setLimit(memoryLimit() / 2);
});

test('a hundred thousand live blocks of mixed sizes', () => {
  setLimit(16 * GIB);
  const handles = new Int32Array(100_000);
  const size = (i: number) => (i % 4 === 0 ? 8200 + ((i * 7919) % 60_000) : (i * 7919) % 4000);
  for (let i = 0; i < handles.length; i++) handles[i] = allocate(size(i), { zero: false });
  assert.equal(new Set(handles).size, handles.length);
  for (let i = 0; i < handles.length; i += 2) free(handles[i]);
  checkConsistency();
  const before = stats().used;
  for (let i = 0; i < handles.length; i += 2) handles[i] = allocate(size(i), { zero: false });
  assert.ok(stats().used > before);
  const { blocks, runs } = checkConsistency();
  assert.equal(blocks + runs, handles.length);
  for (let i = 0; i < handles.length; i++) free(handles[(i * 7919) % handles.length]);
  setLimit(memoryLimit() / 2);
});

interface Live {
  handle: number;
  owner: number;
}

test('any sequence of steps keeps blocks apart and intact, and gives all back', () => {
  const size = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 700 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 3 * SMALL_BYTES }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 2_000_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 9_000_000, max: 12_000_000 }) },
  );
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(fc.constant('allocate' as const), size, fc.integer({ min: 1, max: 3 })),
    },
    { weight: 6, arbitrary: fc.tuple(fc.constant('free' as const), fc.nat(), fc.constant(0)) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('many' as const), fc.integer({ min: 1, max: 9000 }), fc.nat(300)),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('transfer' as const), fc.nat(), fc.integer({ min: 1, max: 3 })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constant('sweep' as const), fc.integer({ min: 1, max: 3 }), fc.constant(0)),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constant('trim' as const), fc.constant(0), fc.constant(0)) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      let live: Live[] = [];
      const add = (size: number, owner: number) => {
        const handle = allocate(size, { owner });
        const all = block(handle);
        assert.ok(all.length >= size);
        const probe = all.length > 4096 ? [...all.subarray(0, 2048), ...all.subarray(-2048)] : all;
        assert.ok(
          probe.every(byte => byte === 0),
          'not zero',
        );
        all.fill(handle % 251);
        live.push({ handle, owner });
      };
      const verify = ({ handle, owner }: Live) => {
        assert.equal(ownerOf(handle), owner);
        const all = block(handle);
        const probe = all.length > 4096 ? [...all.subarray(0, 2048), ...all.subarray(-2048)] : all;
        assert.ok(
          probe.every(byte => byte === handle % 251),
          `block ${handle} was damaged`,
        );
      };
      for (const [kind, a, b] of steps) {
        const owner = (n: number) => PROCESS_OWNER | n;
        const at = live.length > 0 ? a % live.length : -1;
        if (kind === 'allocate') add(a, owner(b));
        if (kind === 'many') for (let i = 0; i < b; i++) add(a, owner(1 + (i % 3)));
        if (kind === 'free' && at >= 0) {
          const [one] = live.splice(at, 1);
          verify(one);
          free(one.handle);
          assert.equal(isAllocated(one.handle), false);
        }
        if (kind === 'transfer' && at >= 0) {
          assert.ok(transfer(live[at].handle, live[at].owner, owner(b)));
          live[at].owner = owner(b);
        }
        if (kind === 'sweep') {
          const theirs = live.filter(one => one.owner === owner(a));
          assert.equal(freeAllOf(owner(a)), theirs.length);
          live = live.filter(one => one.owner !== owner(a));
        }
        if (kind === 'trim') trim();
        const { blocks, runs } = checkConsistency();
        assert.equal(blocks + runs, live.length);
      }
      const places = live.map(({ handle }) => [offsetOf(handle), offsetOf(handle) + sizeOf(handle)]);
      places.sort((one, other) => one[0] - other[0]);
      for (let i = 1; i < places.length; i++) assert.ok(places[i - 1][1] <= places[i][0], 'blocks overlap');
      for (const one of live) verify(one);
      for (const one of live) free(one.handle);
      trim();
      assert.deepEqual(checkConsistency(), NOTHING);
    }),
    { numRuns: 60 },
  );
});

test('the low zone can be used up: an error that says so, and nothing else is hurt', () => {
  setLimit(Number.POSITIVE_INFINITY);
  const blocks: number[] = [];
  assert.throws(() => {
    for (;;) blocks.push(allocate(SMALL_BYTES, { zero: false }));
  }, /small blocks are full/);
  assert.ok(blocks.length * SMALL_BYTES > 0.7 * LOW_BYTES);
  assert.ok(offsetOf(blocks[blocks.length - 1]) + SMALL_BYTES <= bytes.length);
  const large = allocate(20_000);
  free(blocks[0]);
  blocks[0] = allocate(SMALL_BYTES);
  free(large);
  for (const handle of blocks) free(handle);
  setLimit(memoryLimit() / 2);
});
