import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OutOfMemoryError } from '../errors/errors.js';
import { getLimit, isAllocated, ownerOf, setLimit, stats } from '../memory/allocator.js';
import { self } from '../memory/participants.js';
import { Cell } from '../sync/cell.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { CommonsSpace } from './commons-space.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const SIZES = [1, 100, 5000, 100_000];

function make({ passedOn }: { passedOn: boolean }): { cell: Cell; space: CommonsSpace } {
  const cell = Cell.make(64);
  if (passedOn) cell.passOn();
  return { cell, space: new CommonsSpace(cell) };
}

for (const passedOn of [false, true]) {
  const when = passedOn ? 'once it was passed on' : 'before it is passed on';

  test(`a block is the thread's, then the channel's, then the thread's again: ${when}`, () => {
    const { cell, space } = make({ passedOn });
    for (const size of SIZES) {
      const handle = space.allocate(size);
      assert.ok(space.sizeOf(handle) >= size);
      assert.equal(ownerOf(handle), self());
      space.keep(handle);
      assert.equal(ownerOf(handle), cell.mark);
      space.take(handle);
      assert.equal(ownerOf(handle), self());
      space.free(handle);
      assert.ok(!isAllocated(handle));
    }
    cell.free();
  });

  test(`what is the channel's is reclaimed, and once only: ${when}`, () => {
    const { cell, space } = make({ passedOn });
    const other = make({ passedOn: true });
    for (const size of SIZES) {
      const handle = space.allocate(size);
      space.keep(handle);
      other.space.reclaim(handle);
      assert.equal(ownerOf(handle), cell.mark, 'another channel may not');
      space.reclaim(handle);
      assert.ok(!isAllocated(handle));
      space.reclaim(handle); // is not there any more
    }
    cell.free();
    other.cell.free();
  });
}

test('what has been taken from the channel is not reclaimed', () => {
  const { cell, space } = make({ passedOn: true });
  const handle = space.allocate(100);
  space.reclaim(handle);
  space.keep(handle);
  space.take(handle);
  space.reclaim(handle);
  assert.equal(ownerOf(handle), self());
  space.free(handle);
  cell.free();
});

test('blocks that the channel had before it was passed on are its own afterwards', () => {
  const { cell, space } = make({ passedOn: false });
  const handle = space.allocate(100);
  space.keep(handle);
  cell.attached = () => [handle];
  cell.passOn();
  assert.equal(ownerOf(handle), cell.mark);
  space.take(handle);
  assert.equal(ownerOf(handle), self());
  space.free(handle);
  cell.attached = () => [];
  cell.free();
});

test('bytes and words are the same memory', () => {
  const { cell, space } = make({ passedOn: false });
  for (const size of SIZES) {
    const handle = space.allocate(size);
    const { bytes, words } = space.at(handle, size);
    assert.equal(bytes.length, size);
    assert.equal(words.length, Math.ceil(size / 4));
    words[0] = 0x01020304;
    assert.equal(bytes[0], 4);
    space.at(handle, size).bytes[size - 1] = 77;
    assert.equal(bytes[size - 1], 77);
    space.free(handle);
  }
  cell.free();
});

test('the room left is what the limit leaves', () => {
  const { cell, space } = make({ passedOn: false });
  const limit = getLimit();
  try {
    setLimit(stats().used + 2 ** 20);
    assert.equal(space.room(), 2 ** 20);
    const handle = space.allocate(2 ** 19);
    assert.equal(space.room(), 2 ** 19);
    assert.throws(() => space.allocate(2 ** 20), OutOfMemoryError);
    setLimit(0);
    assert.equal(space.room(), 0);
    space.free(handle);
  } finally {
    setLimit(limit);
  }
  cell.free();
});
