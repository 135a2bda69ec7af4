import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
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
import { type Change, Cursor, MapStore } from './map-store.js';
import { ScarceSpace } from './testing/scarce-space.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

/** All deaths of those who recover, too, or some. */
const IS_THOROUGH = process.env.MANYHANDS_KILLS !== undefined;
const LIMIT = { timeout: 120_000 };

const LONG = 'long '.repeat(600);
type Entries = readonly (readonly [key: string | number, value: unknown])[];

/** What one does who dies. */
interface Act {
  /** What is in the map before. */
  readonly before: Entries;
  /** Values that it has with it, packed. */
  readonly brings?: readonly unknown[];
  run(store: MapStore, parcels: readonly Parcel[]): void;
  readonly after: Entries;
  /** What may be there, too. */
  readonly between?: Entries;
}

function many(count: number, value: (n: number) => unknown = n => n): Entries {
  return Array.from({ length: count }, (_, n) => [`key ${n}`, value(n)]);
}

function changes(store: MapStore, all: readonly [string, Parcel | undefined, boolean?][]): void {
  const made: Change[] = all.map(([key, parcel, isMoved = false]) => ({
    key,
    parcel,
    isMoved,
    version: store.newVersion(),
  }));
  store.change(made);
}

const ACTS: Readonly<Record<string, Act>> = {
  'sets a first key': { before: [], brings: [1], run: put('a'), after: [['a', 1]] },
  'sets a key': { before: many(3), brings: [LONG], run: put('a'), after: [...many(3), ['a', LONG]] },
  'replaces a value': {
    before: [
      ['a', 1],
      ['b', 2],
    ],
    brings: [3],
    run: put('a'),
    after: [
      ['a', 3],
      ['b', 2],
    ],
  },
  'replaces a long value': {
    before: [
      ['a', LONG],
      ['b', LONG],
    ],
    brings: [`${LONG}!`],
    run: put('a'),
    after: [
      ['a', `${LONG}!`],
      ['b', LONG],
    ],
  },
  'replaces a long value by a short one': {
    before: [
      ['a', LONG],
      ['b', LONG],
    ],
    brings: [1],
    run: put('a'),
    after: [
      ['a', 1],
      ['b', LONG],
    ],
  },
  'deletes a key': {
    before: many(3, n => (n === 1 ? LONG : n)),
    run: store => void store.remove('key 1'),
    after: [
      ['key 0', 0],
      ['key 2', 2],
    ],
  },
  'has the table grow': { before: many(10), brings: [1], run: put('a'), after: [...many(10), ['a', 1]] },
  'has the heap grow': {
    before: many(4, n => 'x'.repeat(900 + n)),
    brings: ['y'.repeat(1000)],
    run: put('a'),
    after: [...many(4, n => 'x'.repeat(900 + n)), ['a', 'y'.repeat(1000)]],
  },
  'clears it': { before: many(5, n => (n % 2 === 0 ? LONG : n)), run: store => store.clear(), after: [] },
  'changes much at once': {
    before: [
      ['a', LONG],
      ['b', 2],
      ['c', LONG],
      ['d', 4],
      ['e', 5],
    ],
    brings: [1, LONG, `${LONG}?`, 'moved', 6],
    run: (store, [one, two, three, four, five]) =>
      changes(store, [
        ['a', one],
        ['new', two],
        ['b', three],
        ['c', undefined],
        ['d', four, true],
        ['newer', five],
      ]),
    after: [
      ['a', 1],
      ['b', `${LONG}?`],
      ['e', 5],
      ['new', LONG],
      ['d', 'moved'],
      ['newer', 6],
    ],
  },
  'changes much at once, for the second time': {
    before: many(6),
    brings: [1, 2],
    run: (store, parcels) => {
      changes(store, [
        ['key 1', parcels[0]],
        ['key 3', undefined],
      ]);
      changes(store, [
        ['key 1', parcels[1]],
        ['key 3', undefined],
      ]);
    },
    between: [
      ['key 0', 0],
      ['key 1', 1],
      ['key 2', 2],
      ['key 4', 4],
      ['key 5', 5],
    ],
    after: [
      ['key 0', 0],
      ['key 1', 2],
      ['key 2', 2],
      ['key 4', 4],
      ['key 5', 5],
    ],
  },
  'recovers it': {
    before: many(5, n => (n % 2 === 0 ? LONG : n)),
    run: store => {
      store.begin();
      store.recover();
      store.end();
    },
    after: many(5, n => (n % 2 === 0 ? LONG : n)),
  },
};

function put(key: string): Act['run'] {
  return (store, [parcel]) => store.put(key, parcel);
}

class Whole extends SharedObject {}

/** One map, over which somebody dies. */
class Case {
  readonly whole = new Whole(Cell.make(CORE.WORDS * 4));
  readonly cell = this.whole.cell;
  readonly space = new CommonsSpace(this.cell);
  readonly parcels: readonly Parcel[];

  constructor(readonly act: Act) {
    MapStore.prepare(this.cell.words, this.cell.at);
    this.cell.passOn();
    const store = this.store();
    for (const [key, value] of act.before) store.put(key, this.packed(value));
    this.parcels = (act.brings ?? []).map(value => this.packed(value));
  }

  packed(value: unknown): Parcel {
    const parcel = new Parcel();
    pack(value, parcel, this.space, 0);
    return parcel;
  }

  store(): MapStore {
    return new MapStore(this.whole);
  }

  mortal(): MapStore {
    return new MapStore(this.whole, mortal(this.cell.words), new MortalSpace(this.space));
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
    const { before, after, between } = this.act;
    this.judge(found, died ? [before, after, between] : [after], `after a death at step ${n}`);
    this.end(!died);
    return died;
  }

  /** There is no memory when it is asked for the n-th time. Was it? */
  starve(n: number): boolean {
    const space = new ScarceSpace(this.space);
    const store = new MapStore(this.whole, this.cell.words, space);
    space.left = n;
    let failed = false;
    try {
      this.act.run(store, this.parcels);
    } catch (error) {
      assert.ok(error instanceof OutOfMemoryError, `${error}`);
      failed = true;
    }
    const { before, after, between } = this.act;
    this.judge(this.look(), failed ? [before, between] : [after], `with no memory at request ${n}`);
    this.end(true);
    return space.left <= 0;
  }

  succeed(sweepFirst: boolean): void {
    beAnother();
    if (sweepFirst) sweepDead();
  }

  look(): [string | number, unknown][] {
    const store = this.store();
    assert.equal(this.cell.words[this.cell.at + CORE.SEQUENCE] & 1, 0);
    const cursor = new Cursor();
    const copy = borrowCopy();
    const found: [string | number, unknown][] = [];
    while (store.next(cursor, copy)) found.push([cursor.key, copy.decode()]);
    assert.equal(store.count(), found.length);
    for (const [key, value] of found) {
      assert.ok(store.read(key, copy), `${key} is found`);
      assert.deepEqual(copy.decode(), value);
    }
    giveCopyBack(copy);
    return found;
  }

  judge(found: unknown, allowed: readonly (Entries | undefined)[], when: string): void {
    if (!allowed.some(one => isDeepStrictEqual(one, found))) assert.deepEqual(found, allowed[0], when);
  }

  /** All goes on as ever; then all is freed. `isMine`: the parcels are. */
  end(isMine: boolean): void {
    const store = this.store();
    for (let i = 0; i < 40; i++) store.put(`more ${i}`, this.packed(i % 7 === 0 ? LONG : i));
    const count = store.count();
    assert.ok(store.remove('more 7') && store.remove('more 8'));
    assert.equal(this.look().length, count - 2);
    if (isMine) for (const parcel of this.parcels) release(parcel, this.space);
    this.store(); // the one whose blocks are freed
    this.cell.free();
  }
}

function census(): object {
  const { blocks, runs } = checkConsistency({ quiet: false });
  return { blocks, runs };
}

for (const [name, act] of Object.entries(ACTS)) {
  test(`a map is as before or as after, whatever step one dies at who ${name}`, LIMIT, () => {
    for (let n = 1, died = true; died; n++) {
      assert.ok(n < 5000, 'it ends');
      for (const sweepFirst of IS_THOROUGH ? [true, false] : [n % 2 === 0]) {
        const before = census();
        died = new Case(act).watch(n, sweepFirst);
        assert.deepEqual(census(), before, `blocks in use after a death at step ${n}`);
      }
    }
  });

  test(`a map is as before when there is no memory for one who ${name}`, LIMIT, () => {
    for (let n = 1, asked = true; asked; n++) {
      const before = census();
      asked = new Case(act).starve(n);
      assert.deepEqual(census(), before, `blocks in use after there was none at request ${n}`);
    }
  });
}
