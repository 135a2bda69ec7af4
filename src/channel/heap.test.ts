import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OutOfMemoryError } from '../errors/errors.js';
import { getLimit, ownerOf, setLimit, stats } from '../memory/allocator.js';
import { PAGE_BYTES } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { Cell } from '../sync/cell.js';
import { random } from '../sync/testing/random.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { CommonsSpace } from './commons-space.js';
import { Heap, type HeapOrder } from './heap.js';
import { Parcel, release } from './parcel.js';
import type { Block, Space } from './space.js';
import { type Item, item, numberIn, pack } from './testing/items.js';
import { ACTS, diesAtEachStep, lacksMemoryEachTime } from './testing/store-deaths.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };

interface Made {
  readonly heap: Heap;
  readonly space: Space;
  readonly cell: Cell;
}

function make(order: HeapOrder, { passedOn = true } = {}): Made & Disposable {
  const cell = Cell.make(Heap.WORDS * 4);
  if (passedOn) cell.passOn();
  const space = new CommonsSpace(cell);
  const heap = new Heap(cell.words, cell.at, space, order);
  cell.attached = () => heap.blocks();
  return { heap, space, cell, [Symbol.dispose]: () => cell.free() };
}

/** Ranks are the numbers' own, by default those of item(). */
function push({ heap, space }: Made, number: number, rank = item(number).rank): void {
  const parcel = new Parcel();
  pack({ ...item(number), rank }, parcel, space);
  heap.push(parcel);
}

function pull({ heap, space }: Made): number {
  const parcel = new Parcel();
  heap.pull(parcel);
  const number = numberIn(parcel, space);
  release(parcel, space);
  return number;
}

/** Memory in which tables of all sizes have but two places. */
class Places implements Space {
  readonly #memory = new ArrayBuffer(2 ** 20);
  readonly #free = Array.from({ length: 125 }, (_, i) => 3 + i);
  readonly #forTables = [1, 2];

  allocate(bytes: number): number {
    return (bytes < 400 ? this.#free : this.#forTables).pop() ?? assert.fail('there are enough');
  }

  sizeOf(): number {
    return 8192;
  }

  at(handle: number, bytes: number): Block {
    const at = (handle - 1) * 8192;
    return {
      bytes: new Uint8Array(this.#memory, at, bytes),
      words: new Int32Array(this.#memory, at, Math.ceil(bytes / 4)),
    };
  }

  keep(): void {}
  take(): void {}

  free(handle: number): void {
    (handle > 2 ? this.#free : this.#forTables).push(handle);
  }

  reclaim(): void {
    assert.fail('nobody died');
  }

  room(): number {
    return this.#free.length * 8192;
  }
}

const ORDERS: Record<HeapOrder, (a: Item, b: Item) => number> = {
  rank: (a, b) => (a.rank === b.rank ? a.number - b.number : a.rank < b.rank ? -1 : 1),
  latest: (a, b) => b.number - a.number,
};
const BOTH: HeapOrder[] = ['rank', 'latest'];

/** How many went in, and out, before. */
const HISTORIES = [
  [0, 0],
  [1, 0],
  [5, 2],
  [16, 0], // the next needs a larger table
  [17, 8], // one less fits a smaller one
];

for (const order of BOTH) {
  test(`any run of steps has the items come out as a sorted list does: ${order}`, LIMIT, () => {
    const ranks = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.double({ noNaN: true }));
    const steps = fc.array(
      fc.record({
        add: fc.integer({ min: -60, max: 80 }),
        ranks: fc.array(ranks, { minLength: 3 }),
        recover: fc.boolean(),
      }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(steps, run => {
        using made = make(order);
        let model: Item[] = [];
        let number = 0;
        for (const step of run) {
          for (let i = 0; i < step.add; i++, number++) {
            const rank = step.ranks[i % step.ranks.length];
            push(made, number, rank);
            model.push({ ...item(number), rank });
          }
          model = model.sort(ORDERS[order]);
          for (let i = step.add; i < 0 && model.length > 0; i++) {
            const parcel = new Parcel();
            made.heap.pull(parcel);
            const wanted = model.shift();
            assert.equal(numberIn(parcel, made.space), wanted?.number);
            assert.equal(parcel.rank, (wanted?.rank ?? 0) + 0);
            assert.equal(ownerOf(parcel.handle), self());
            release(parcel, made.space);
          }
          const { held } = made.heap;
          if (step.recover) assert.equal(made.heap.recover(), model.length);
          assert.equal(made.heap.held, held);
        }
        assert.deepEqual(
          model.map(() => pull(made)),
          model.map(wanted => wanted.number),
        );
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  test(`many thousands go in and out in order, and their memory goes back: ${order}`, LIMIT, () => {
    using made = make(order);
    const before = stats().used;
    const next = random(7);
    const count = 20_000;
    const items = Array.from({ length: count }, (_, i) => ({
      ...item(i * 3),
      rank: Math.floor(next() * 1000),
    }));
    for (const { number, rank } of items) push(made, number, rank);
    const { held } = made.heap;
    assert.ok(held > count * 32 && held <= stats().used, `${held} bytes held`);
    assert.equal(new Set(made.heap.blocks()).size, count + 1);
    assert.equal(made.heap.recover(), count);
    assert.deepEqual(
      items.map(() => pull(made)),
      items.sort(ORDERS[order]).map(({ number }) => number),
    );
    assert.equal(made.heap.blocks().length, 1, 'the table');
    assert.ok(made.heap.held < 1024, `${made.heap.held} bytes held`);
    assert.ok(stats().used <= before + 4 * PAGE_BYTES, `${stats().used - before} bytes more in use`);
  });

  test(`what is cleared is gone, with its memory: ${order}`, () => {
    using made = make(order);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100; i++) push(made, i);
      made.heap.clear();
      assert.deepEqual(made.heap.blocks(), []);
      assert.equal(made.heap.held, 0);
      assert.equal(made.heap.recover(), 0);
      made.heap.clear();
    }
    push(made, 5);
    assert.equal(pull(made), 5);
  });

  test(`it works as well before its cell is passed on, and after it: ${order}`, () => {
    using made = make(order, { passedOn: false });
    const items = Array.from({ length: 100 }, (_, i) => item(i));
    for (const { number } of items.slice(0, 50)) push(made, number);
    for (const handle of made.heap.blocks()) assert.equal(ownerOf(handle), self());
    assert.equal(made.heap.recover(), 50);
    made.cell.passOn();
    for (const handle of made.heap.blocks()) assert.equal(ownerOf(handle), made.cell.mark);
    for (const { number } of items.slice(50)) push(made, number);
    assert.deepEqual(
      items.map(() => pull(made)),
      items.sort(ORDERS[order]).map(({ number }) => number),
    );
  });

  for (const [name, act] of Object.entries(ACTS))
    test(`all others are there, in order, whatever step one dies at who ${name}: ${order}`, LIMIT, () => {
      for (const [pushed, pulled] of order === 'rank' ? HISTORIES : HISTORIES.slice(-2)) {
        if (pushed - pulled < (act.needs ?? 0)) continue;
        const trial = { words: Heap.WORDS, order: ORDERS[order], pushed, pulled, act };
        const at = (words: Int32Array, first: number, space: Space) => new Heap(words, first, space, order);
        diesAtEachStep(at, trial);
        lacksMemoryEachTime(at, trial);
      }
    });
}

test('equal ranks come out in order of arrival, across growth and recovery, as often as items may arrive', () => {
  for (const arrivals of [20, 2 ** 31, 2 ** 32, 2 ** 52]) {
    using made = make('rank');
    const { cell, heap } = made;
    // How many came is counted in the last two words, the upper half first.
    cell.words[cell.at + Heap.WORDS - 2] = Math.floor((arrivals - 20) / 2 ** 32);
    cell.words[cell.at + Heap.WORDS - 1] = arrivals - 20;
    const out: number[] = [];
    for (let i = 0; i < 100; i++) {
      push(made, i, i % 2 === 0 ? 0 : -0);
      if (i % 3 === 0) assert.equal(heap.recover(), i + 1 - out.length);
      if (i % 5 === 0) out.push(pull(made));
    }
    while (out.length < 100) out.push(pull(made));
    assert.deepEqual(
      out,
      Array.from({ length: 100 }, (_, i) => i),
    );
  }
});

test('ranks are any numbers', () => {
  using made = make('rank');
  const ranks = [
    Number.NEGATIVE_INFINITY,
    -Number.MAX_VALUE,
    -(2 ** 53),
    -(2 ** 32) - 1,
    -1.5,
    -1,
    -Number.MIN_VALUE,
    0,
    Number.MIN_VALUE,
    0.1,
    0.1 + Number.EPSILON,
    1,
    1 + (2 ** 31 - 1) * Number.EPSILON,
    1 + 2 ** 31 * Number.EPSILON,
    2 ** 31,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
    Number.MAX_VALUE,
    Number.POSITIVE_INFINITY,
  ];
  for (const i of ranks.keys()) push(made, (i * 7) % ranks.length, ranks[(i * 7) % ranks.length]);
  const parcel = new Parcel();
  for (const [i, rank] of ranks.entries()) {
    made.heap.pull(parcel);
    assert.equal(numberIn(parcel, made.space), i);
    assert.equal(parcel.rank, rank);
    release(parcel, made.space);
  }
});

test('each thread finds the table that there is, also where another one was', () => {
  const cell = Cell.make(Heap.WORDS * 4);
  const space = new Places();
  const first: Made = { cell, space, heap: new Heap(cell.words, cell.at, space, 'rank') };
  const second = { ...first, heap: new Heap(cell.words, cell.at, space, 'rank') };
  for (const count of [10, 40, 20, 100, 1]) {
    for (let i = 0; i < count; i++) push(first, i * 3, 0);
    for (let i = 0; i < count; i++) assert.equal(pull(second), i * 3);
  }
  second.heap.clear();
  cell.free();
});

test('where the limit of memory is reached, nothing changes', () => {
  using made = make('rank');
  const { heap, space } = made;
  const limit = getLimit();
  const parcel = new Parcel();
  let count = 0;
  const fill = () => {
    for (; ; count++) {
      pack({ ...item(count * 3), rank: 0 }, parcel, space);
      heap.push(parcel);
    }
  };
  const state = () => ({ used: stats().used, held: heap.held, blocks: heap.blocks() });
  try {
    setLimit(stats().used + 64 * PAGE_BYTES);
    assert.throws(fill, OutOfMemoryError);
    assert.ok(count > 1000, `${count} items`);
    const before = state();
    assert.throws(() => heap.push(parcel), OutOfMemoryError);
    assert.deepEqual(state(), before);
    assert.equal(heap.recover(), count);
    assert.deepEqual(state(), before);
    setLimit(0); // none, not even for a smaller table
    for (let i = 0; i < count; i++) assert.equal(pull(made), i * 3);
  } finally {
    setLimit(limit);
  }
});
