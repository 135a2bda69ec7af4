import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommonsSpace } from '../channel/commons-space.js';
import { pack } from '../channel/item.js';
import { Parcel, release } from '../channel/parcel.js';
import { diesBefore, MortalSpace, mortal } from '../channel/testing/mortal.js';
import { OutOfMemoryError } from '../errors/errors.js';
import { checkConsistency } from '../memory/consistency.js';
import { Cell } from '../sync/cell.js';
import { SharedObject } from '../sync/shared-object.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { beAnother } from '../testing/deaths.js';
import { leavesNothing } from '../testing/leaks.js';
import { sweepDead } from '../wait/deaths.js';
import { openDoorbell } from '../wait/doorbell.js';
import { CORE } from './core.js';
import { borrowCopy, giveCopyBack } from './entry.js';
import { ListStore } from './list-store.js';
import { ScarceSpace } from './testing/scarce-space.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

/** All deaths of those who recover, too, or some. */
const IS_THOROUGH = process.env.MANYHANDS_KILLS !== undefined;
const LIMIT = { timeout: 120_000 };

const LONG = 'long '.repeat(600);

/** What one does who dies. */
interface Act {
  /** What is in the list before. */
  readonly before: readonly unknown[];
  /** How many there were besides, once. */
  readonly dropped?: number;
  /** Items that it has with it, packed. */
  readonly brings?: readonly unknown[];
  run(store: ListStore, parcels: readonly Parcel[]): void;
  readonly after: readonly unknown[];
}

function many(count: number, value: (n: number) => unknown = n => n): unknown[] {
  return Array.from({ length: count }, (_, n) => value(n));
}
const mixed = (count: number) => many(count, n => (n % 2 === 0 ? `${LONG}${n}` : n));

const append: Act['run'] = (store, parcels) => store.append(parcels);
const ACTS: Readonly<Record<string, Act>> = {
  'pushes a first item': { before: [], brings: [1], run: append, after: [1] },
  'pushes an item': { before: many(3), brings: ['a'], run: append, after: [...many(3), 'a'] },
  'pushes a long item': { before: many(3), brings: [LONG], run: append, after: [...many(3), LONG] },
  'pushes more than there is room for': {
    before: mixed(8),
    brings: [LONG, 1, `${LONG}!`],
    run: append,
    after: [...mixed(8), LONG, 1, `${LONG}!`],
  },
  'has the heap grow': {
    before: many(4, n => 'x'.repeat(900 + n)),
    brings: ['y'.repeat(1000)],
    run: append,
    after: [...many(4, n => 'x'.repeat(900 + n)), 'y'.repeat(1000)],
  },
  'unshifts two': {
    before: mixed(3),
    brings: [LONG, 'a'],
    run: (store, parcels) => store.prepend(parcels),
    after: [LONG, 'a', ...mixed(3)],
  },
  'pops a long item': { before: mixed(3), run: store => store.dropLast(), after: mixed(2) },
  'shifts a long item': { before: mixed(3), run: store => store.dropFirst(), after: mixed(3).slice(1) },
  'pops an item where there were many more': {
    dropped: 70,
    before: many(9),
    run: store => store.dropLast(),
    after: many(8),
  },
  'replaces a long item by a long one': {
    before: mixed(3),
    brings: [`${LONG}!`],
    run: (store, [parcel]) => store.put(2, parcel),
    after: [...mixed(2), `${LONG}!`],
  },
  'replaces a long item by a short one': {
    before: mixed(3),
    brings: [7],
    run: (store, [parcel]) => store.put(0, parcel),
    after: [7, ...mixed(3).slice(1)],
  },
  'puts items in the place of others': {
    before: mixed(6),
    brings: [LONG, 1, `${LONG}?`],
    run: (store, parcels) => store.splice(1, 5, parcels),
    after: [...mixed(1), LONG, 1, `${LONG}?`, 5],
  },
  'removes all': { before: mixed(5), run: store => store.splice(0, 5, []), after: [] },
  'turns it around': {
    before: mixed(5),
    run: store => store.arrange(store.entries().reverse()),
    after: mixed(5).reverse(),
  },
  'recovers it': {
    before: mixed(5),
    run(store) {
      store.begin();
      store.recover();
      store.end();
    },
    after: mixed(5),
  },
};

class Whole extends SharedObject {}

/** One list, over which somebody dies. */
class Case {
  readonly whole = new Whole(Cell.make(CORE.WORDS * 4));
  readonly cell = this.whole.cell;
  readonly space = new CommonsSpace(this.cell);
  readonly parcels: readonly Parcel[];

  constructor(readonly act: Act) {
    this.cell.passOn();
    const store = this.store();
    const { dropped = 0 } = act;
    for (const value of [...many(dropped), ...act.before]) store.append([this.packed(value)]);
    for (let i = 0; i < dropped; i++) store.dropFirst();
    this.parcels = (act.brings ?? []).map(value => this.packed(value));
  }

  packed(value: unknown): Parcel {
    const parcel = new Parcel();
    pack(value, parcel, this.space, 0);
    return parcel;
  }

  store(): ListStore {
    return new ListStore(this.whole);
  }

  mortal(): ListStore {
    return new ListStore(this.whole, mortal(this.cell.words), new MortalSpace(this.space));
  }

  /** Somebody dies before his n-th write, if he has as many, and those after him as they recover. */
  watch(n: number, sweepFirst: boolean): boolean {
    const died = diesBefore(n, () => this.act.run(this.mortal(), this.parcels));
    this.succeed(sweepFirst);
    const { words, at } = this.cell;
    if (words[at + CORE.BUSY] !== 0) {
      for (let m = 1; diesBefore(m, () => this.mortal().recover()); m = IS_THOROUGH ? m + 1 : m * 3)
        this.succeed(sweepFirst);
      words[at + CORE.BUSY] = 0;
    }
    sweepDead();
    const found = this.look();
    const { before, after } = this.act;
    if (!died) assert.deepEqual(found, after);
    else if (!isSame(found, before)) assert.deepEqual(found, after, `after a death at step ${n}`);
    this.end(!died);
    return died;
  }

  /** There is no memory when it is asked for the n-th time. Was it? */
  starve(n: number): boolean {
    const space = new ScarceSpace(this.space);
    const store = new ListStore(this.whole, this.cell.words, space);
    space.left = n;
    let failed = false;
    try {
      this.act.run(store, this.parcels);
    } catch (error) {
      assert.ok(error instanceof OutOfMemoryError, `${error}`);
      failed = true;
    }
    assert.deepEqual(this.look(), failed ? this.act.before : this.act.after);
    this.end(true);
    return space.left <= 0;
  }

  succeed(sweepFirst: boolean): void {
    beAnother();
    if (sweepFirst) sweepDead();
  }

  look(): unknown[] {
    const store = this.store();
    const copy = borrowCopy();
    const found = many(store.length, i => {
      assert.ok(store.read(i as never, copy));
      return copy.decode();
    });
    assert.equal(store.read(found.length, copy), false);
    giveCopyBack(copy);
    return found;
  }

  /** All goes on as ever; then all is freed. `isMine`: the parcels are. */
  end(isMine: boolean): void {
    const store = this.store();
    for (let i = 0; i < 40; i++) store.append([this.packed(i % 7 === 0 ? LONG : i)]);
    const { length } = store;
    store.dropFirst();
    store.dropLast();
    assert.equal(this.look().length, length - 2);
    if (isMine) for (const parcel of this.parcels) release(parcel, this.space);
    this.store(); // the one whose blocks are freed
    this.cell.free();
  }
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function census(): object {
  const { blocks, runs } = checkConsistency({ quiet: false });
  return { blocks, runs };
}

for (const [name, act] of Object.entries(ACTS)) {
  test(`a list is as before or as after, whatever step one dies at who ${name}`, LIMIT, () => {
    for (let n = 1, died = true; died; n++) {
      assert.ok(n < 5000, 'it ends');
      for (const sweepFirst of IS_THOROUGH ? [true, false] : [n % 2 === 0]) {
        const before = census();
        died = new Case(act).watch(n, sweepFirst);
        assert.deepEqual(census(), before, `blocks in use after a death at step ${n}`);
      }
    }
  });

  test(`a list is as before when there is no memory for one who ${name}`, LIMIT, () => {
    for (let n = 1, asked = true; asked; n++) {
      const before = census();
      asked = new Case(act).starve(n);
      assert.deepEqual(census(), before, `blocks in use after there was none at request ${n}`);
    }
  });
}

test('who reads without the lock sees what was there or is, whatever is written between two of its steps', () => {
  const text = (letter: string) => letter.repeat(40);
  for (let n = 1, isWithin = true; isWithin; n++) {
    const one = new Case({ before: [text('a'), text('z')], run: () => {}, after: [] });
    const [reader, writer] = [one.store(), one.store()];
    const copy = borrowCopy();
    const { load } = Atomics;
    let left = n;
    Atomics.load = ((...args: Parameters<typeof load>) => {
      if (--left === 0) {
        Atomics.load = load;
        // The place of the first entry is free after one step, and another's after the next.
        writer.put(0, one.packed(text('b')));
        writer.put(1, one.packed(text('c')));
      }
      return load(...args);
    }) as typeof load;
    try {
      assert.ok(reader.read(0, copy));
    } finally {
      Atomics.load = load;
    }
    isWithin = left <= 0;
    const seen = copy.decode();
    assert.ok(seen === text('a') || seen === text('b'), `${seen} at step ${n}`);
    giveCopyBack(copy);
    one.end(true);
  }
});
