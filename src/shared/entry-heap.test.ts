import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommonsSpace } from '../channel/commons-space.js';
import { Cell } from '../sync/cell.js';
import { random } from '../sync/testing/random.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { EntryHeap, UNIT, unitsFor } from './entry-heap.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

/** Entries and what they are filled with. */
class Filled {
  readonly cell = Cell.make(EntryHeap.WORDS * 4);
  readonly entries = new Map<number, { bytes: number; fill: number }>();
  readonly heap = new EntryHeap(this.cell.words, this.cell.at, new CommonsSpace(this.cell), {
    entries: () => Int32Array.from(this.entries.keys()),
    bytesOf: entry => this.entries.get(entry)?.bytes ?? 0,
  });

  add(bytes: number, fill: number): number {
    const entry = this.heap.allocate(bytes);
    assert.ok(!this.entries.has(entry), `entry ${entry} is given once`);
    this.bytesOf(entry, bytes).fill(fill);
    this.entries.set(entry, { bytes, fill });
    this.heap.settled();
    return entry;
  }

  remove(entry: number): void {
    const { bytes, fill } = this.entries.get(entry) as { bytes: number; fill: number };
    assert.ok(
      this.bytesOf(entry, bytes).every(byte => byte === fill),
      `entry ${entry} was its own`,
    );
    this.entries.delete(entry);
    this.heap.free(entry, bytes);
    this.heap.tidy();
  }

  bytesOf(entry: number, bytes: number): Uint8Array {
    const start = EntryHeap.wordOf(entry) * 4;
    const found = this.heap.at(entry).bytes.subarray(start, start + bytes);
    assert.equal(found.length, bytes);
    return found;
  }

  free(): void {
    for (const entry of [...this.entries.keys()]) this.remove(entry);
    this.cell.attached = () => this.heap.blocks();
    this.cell.free();
  }
}

test('an entry has room for what was asked for, and little more', () => {
  for (let bytes = 1; bytes <= EntryHeap.LONGEST; bytes += bytes < 3000 ? 1 : 97) {
    const room = unitsFor(bytes) * UNIT;
    assert.ok(room >= bytes && room < bytes * 1.25 + UNIT, `${room} for ${bytes}`);
    assert.equal(unitsFor(room), unitsFor(bytes));
  }
});

test('entries never overlap, whatever comes and goes', () => {
  const all = new Filled();
  const next = random(7);
  for (let i = 0; i < 30_000; i++) {
    const most = next() < 0.02 ? EntryHeap.LONGEST : next() < 0.2 ? 3000 : 200;
    if (all.entries.size < 300 || (next() < 0.5 && all.entries.size < 2000))
      all.add(1 + Math.floor(next() * most), i & 0xff);
    else all.remove([...all.entries.keys()][Math.floor(next() * 50)]);
    if (i % 5000 === 0) all.heap.rebuild();
  }
  all.free();
});

test('what was freed is used again, in other lengths too', () => {
  const all = new Filled();
  const fill = (bytes: number) => Array.from({ length: 4000 }, () => all.add(bytes, 1));
  const first = fill(40);
  const { bytes } = all.heap;
  for (const entry of first) all.remove(entry);
  const second = Array.from({ length: 1000 }, () => all.add(120, 2));
  assert.ok(all.heap.bytes <= bytes, `${all.heap.bytes} after ${bytes}`);
  for (const entry of second) all.remove(entry);
  all.free();
});

test('most segments are given back when few entries are left', () => {
  const all = new Filled();
  const many = Array.from({ length: 50_000 }, (_, i) => all.add(64, i & 0xff));
  assert.ok(all.heap.bytes >= 3_200_000);
  const kept = many.splice(0, 10);
  for (const entry of many) all.remove(entry);
  for (let i = 0; i < 100; i++) all.remove(all.add(64, i)); // it looks now and then
  assert.ok(all.heap.bytes < 200_000, `${all.heap.bytes} bytes are kept`);
  for (const entry of kept) all.remove(entry);
  all.free();
});

test('after a death what nobody names is freed', () => {
  const all = new Filled();
  const space = new CommonsSpace(all.cell);
  const entry = all.add(100, 5);
  for (let i = 0; i < 1000; i++) all.heap.allocate(1000); // the dead one's
  const lost = space.allocate(5000);
  all.heap.admit(lost);
  all.heap.recover(new Set());
  const named = space.allocate(5000);
  all.heap.admit(named);
  all.heap.recover(new Set([named]));
  space.free(named);
  const { bytes } = all.heap;
  for (let i = 0; i < 900 && bytes > 1_000_000; i++) all.add(1000, 6);
  assert.equal(all.heap.bytes, bytes);
  all.remove(entry);
  all.free();
});
