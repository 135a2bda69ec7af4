import assert from 'node:assert/strict';
import { OutOfMemoryError } from '../../errors/errors.js';
import { allocate, free, offsetOf, ownerOf, PROCESS_OWNER, sizeOf } from '../../memory/allocator.js';
import { view } from '../../memory/commons.js';
import { checkConsistency } from '../../memory/consistency.js';
import { Cell } from '../../sync/cell.js';
import { beAnother } from '../../testing/deaths.js';
import { sweepDead } from '../../wait/deaths.js';
import { Batch } from '../batch.js';
import { CommonsSpace } from '../commons-space.js';
import { Parcel, release } from '../parcel.js';
import type { Space } from '../space.js';
import type { Store } from '../store.js';
import { type Item, item, numberIn, pack } from './items.js';
import { diesBefore, MortalSpace, mortal } from './mortal.js';
import { SpaceOver } from './space-over.js';

/** Makes a store over words that it finds in the cell from `at` on. */
export type MakeStore<S extends Store> = (words: Int32Array, at: number, space: Space) => S;

/* Items are named by their numbers, and come in the order of these. */

export interface Trial<S extends Store> {
  /** How many words it has in the cell. */
  readonly words: number;
  /** Which of two items comes out first: less than 0 if `a` does. */
  readonly order: (a: Item, b: Item) => number;
  /** How many items were pushed before, and how many of them pulled again. */
  readonly pushed: number;
  readonly pulled?: number;
  readonly act: Act<S>;
}

/** What one does who dies. */
export interface Act<S extends Store> {
  /** How many items there must be. */
  readonly needs?: number;
  /** The items that it has with it, packed. */
  readonly brings?: readonly number[];
  /** Returns those that it took out. */
  run(store: S, parcels: readonly Parcel[], space: Space): readonly number[];
  /** What is in the store once it is done, in any order, if these were, in the order in which they would have come out. */
  after(before: readonly number[]): readonly number[];
  /** What may be in it, too, if it dies in the middle. */
  readonly between?: (left: readonly number[], before: readonly number[]) => boolean;
}

/** Short and long ones, of equal rank, as all of a batch are. */
const MANY: readonly number[] = [1001, 1003, 1005, 1007];

/** What any store can do. */
export const ACTS: Readonly<Record<string, Act<Store>>> = {
  'pushes a short item': pushing(1000),
  'pushes an item with a block': pushing(1001),
  'pulls an item': {
    needs: 1,
    run: (store, _, space) => {
      const parcel = new Parcel();
      store.pull(parcel);
      return [numberIn(parcel, space)];
    },
    after: before => before.slice(1),
  },
  'pushes many': {
    brings: MANY,
    run: (store, parcels) => {
      const batch = new Batch();
      for (const parcel of parcels) batch.add(parcel);
      store.pushMany(batch, parcels.length, new Parcel());
      return [];
    },
    after: before => [...before, ...MANY],
    between: (left, before) => isSame(left, [...before, ...MANY.slice(0, left.length - before.length)]),
  },
  'pulls many': {
    needs: 3,
    run: (store, _, space) => {
      const batch = new Batch();
      const parcel = new Parcel();
      store.pullMany(batch, 3, parcel);
      return Array.from({ length: 3 }, () => {
        batch.next(parcel);
        return numberIn(parcel, space);
      });
    },
    after: before => before.slice(3),
    between: (left, before) =>
      left.length >= before.length - 3 && isSame(left, before.slice(before.length - left.length)),
  },
  'clears it': {
    needs: 1,
    run: store => {
      store.clear();
      return [];
    },
    after: () => [],
    between: (left, before) => left.every(number => before.includes(number)),
  },
  'recovers it': {
    run: store => {
      store.recover();
      return [];
    },
    after: before => before,
  },
};

function pushing(number: number): Act<Store> {
  return {
    brings: [number],
    run: (store, [parcel]) => {
      store.push(parcel);
      return [];
    },
    after: before => [...before, number],
  };
}

/** What comes last, to see that the store goes on. */
const MORE: readonly number[] = [2000, 2001, 2002, 2003];

const IS_THOROUGH = process.env.MANYHANDS_KILLS !== undefined;

/** Marks blocks of others, who take what is free as soon as it is. */
const OTHERS = PROCESS_OWNER | 12345;
const SIZES = [16, 48, 100, 200, 300, 464, 928, 1024, 1800, 2200, 3600, 5000, 9000, 20_000];

/**
 * Has one after the other die at each step of an act, and those who recover after them at theirs, with the dead swept before or
 * after: with MANYHANDS_KILLS both at each step, else in turns, which of them at which step differs between the histories. Each
 * time the store must be as before or after the act, and nothing be lost or freed that should not be.
 */
export function diesAtEachStep<S extends Store>(make: MakeStore<S>, trial: Trial<S>): void {
  for (let n = 1, died = true; died; n++) {
    assert.ok(n < 5000, 'it ends');
    died = false;
    for (const sweepFirst of IS_THOROUGH ? [true, false] : [(n + trial.pushed) % 2 === 0]) {
      const before = census();
      died = new Case(make, trial).watch(n, sweepFirst) || died;
      assert.deepEqual(census(), before, `blocks in use after a death at step ${n}`);
    }
    if (!died) assert.ok(n > 1, 'it did something');
  }
}

/** Lets there be no memory each time that an act asks for some: then the store must be as before, or the act do without. */
export function lacksMemoryEachTime<S extends Store>(make: MakeStore<S>, trial: Trial<S>): void {
  for (let n = 1, lacked = true; lacked; n++) {
    const before = census();
    lacked = new Case(make, trial).starve(n);
    assert.deepEqual(census(), before, `blocks in use after there was no memory at request ${n}`);
  }
}

function census(): { blocks: number; runs: number } {
  const { blocks, runs } = checkConsistency({ quiet: false });
  return { blocks, runs };
}

/** Memory that was never cleared: what is allocated holds anything. */
class UnclearedSpace extends SpaceOver {
  override allocate(bytes: number): number {
    const handle = super.allocate(bytes);
    super.at(handle, bytes).bytes.fill(0xaa);
    return handle;
  }
}

/** Memory of which there is none when it is asked for the n-th time. */
class ScarceSpace extends SpaceOver {
  readonly #n: number;
  asked = 0;

  constructor(space: Space, n: number) {
    super(space);
    this.#n = n;
  }

  override allocate(bytes: number): number {
    if (++this.asked === this.#n) throw new OutOfMemoryError('Cannot allocate: this is a test');
    return super.allocate(bytes);
  }
}

/** One store, over which somebody dies. */
class Case<S extends Store> {
  readonly #make: MakeStore<S>;
  readonly #trial: Trial<S>;
  readonly #cell: Cell;
  readonly #at: number;
  readonly #space: Space;
  /** What is in the store before the act. */
  readonly #before: readonly number[];
  readonly #parcels: readonly Parcel[];

  constructor(make: MakeStore<S>, trial: Trial<S>) {
    this.#make = make;
    this.#trial = trial;
    this.#cell = Cell.make((trial.words + 8) * 4);
    this.#cell.passOn();
    this.#at = this.#cell.at + 5;
    this.#space = new UnclearedSpace(new CommonsSpace(this.#cell));
    const store = this.#store();
    const pushed = Array.from({ length: trial.pushed }, (_, i) => i);
    for (const number of pushed) this.#push(store, number);
    const pulled = Array.from({ length: trial.pulled ?? 0 }, () => this.#pull(store));
    this.#before = this.#inOrder(pushed).slice(pulled.length);
    assert.deepEqual([...pulled, ...this.#before], this.#inOrder(pushed));
    this.#parcels = (trial.act.brings ?? []).map(number => {
      const parcel = new Parcel();
      pack(item(number), parcel, this.#space);
      return parcel;
    });
  }

  /** Did somebody die? */
  watch(n: number, sweepFirst: boolean): boolean {
    let taken: readonly number[] = [];
    const died = this.#mortal(n, store => {
      taken = this.#trial.act.run(store, this.#parcels, this.#space);
    });
    this.#succeed(sweepFirst);
    const others = settle();
    let count = 0;
    // Each who recovers gets one step further.
    for (let m = 1; this.#mortal(m, store => (count = store.recover())); m++) this.#succeed(sweepFirst);
    sweepDead();
    for (const handle of others) assert.equal(ownerOf(handle), OTHERS, `a block of others after step ${n}`);
    others.push(...settle());
    const left = this.#look(count);
    this.#judge(left, died ? 'any' : 'done', `a death at step ${n}`);
    if (!died) assert.deepEqual([...taken], this.#before.slice(0, taken.length));
    this.#end(others);
    return died;
  }

  /** Was so much asked for? */
  starve(n: number): boolean {
    const { act } = this.#trial;
    const space = new ScarceSpace(this.#space, n);
    const store = this.#make(this.#cell.words, this.#at, space);
    const state = () => ({
      held: store.held,
      blocks: store.blocks().sort(),
      parcels: this.#parcels.map(({ handle }) => handle),
      census: census(),
    });
    const before = state();
    let failed = false;
    try {
      act.run(store, this.#parcels, this.#space);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      failed = true;
      if (!act.between) assert.deepEqual(state(), before);
    }
    this.#succeed(true); // so that what was taken out goes, and what could not be put in
    const left = this.#look(store.recover());
    this.#judge(left, !failed ? 'done' : act.between ? 'any' : 'undone', `no memory at request ${n}`);
    this.#end([]);
    return space.asked >= n;
  }

  #store(): S {
    return this.#make(this.#cell.words, this.#at, this.#space);
  }

  #mortal(n: number, action: (store: S) => void): boolean {
    return diesBefore(n, () =>
      action(this.#make(mortal(this.#cell.words), this.#at, new MortalSpace(this.#space))),
    );
  }

  /** From here on another thread goes on. */
  #succeed(sweep: boolean): void {
    beAnother();
    if (sweep) sweepDead();
  }

  #inOrder(numbers: readonly number[]): number[] {
    return [...numbers].sort((a, b) => this.#trial.order(item(a), item(b)));
  }

  #push(store: S, number: number): void {
    const parcel = new Parcel();
    pack(item(number), parcel, this.#space);
    store.push(parcel);
    assert.equal(parcel.handle, 0);
  }

  #pull(store: S): number {
    const parcel = new Parcel();
    store.pull(parcel);
    const number = numberIn(parcel, this.#space);
    release(parcel, this.#space);
    return number;
  }

  /** What is in the store, said to be `count` items, which goes on working meanwhile. */
  #look(count: number): readonly number[] {
    const store = this.#store();
    const blocks = store.blocks();
    assert.equal(new Set(blocks).size, blocks.length, 'no block is named twice');
    for (const handle of blocks) assert.equal(ownerOf(handle), this.#cell.mark, 'whose its blocks are');
    const { held } = store;
    const size = blocks.reduce((sum, handle) => sum + this.#space.sizeOf(handle), 0);
    assert.ok(held >= size / 3 - 64 && held <= size * 2 + 64, `${held} bytes held in blocks of ${size}`);
    assert.equal(store.recover(), count);
    assert.equal(store.held, held, 'what it holds, told anew');
    for (const number of MORE) this.#push(store, number);
    assert.equal(store.recover(), count + MORE.length);
    const out = Array.from({ length: count + MORE.length }, () => this.#pull(store));
    assert.deepEqual(out, this.#inOrder(out));
    const left = out.filter(number => !MORE.includes(number));
    assert.equal(new Set(out).size, out.length, 'nothing is there twice');
    assert.equal(left.length, count);
    return left;
  }

  #judge(left: readonly number[], verdict: 'done' | 'undone' | 'any', when: string): void {
    const { act } = this.#trial;
    const is = (wanted: readonly number[]) => JSON.stringify(this.#inOrder(wanted)) === JSON.stringify(left);
    assert.ok(
      (verdict !== 'done' && is(this.#before)) ||
        (verdict !== 'undone' && is(act.after(this.#before))) ||
        (verdict === 'any' && act.between?.(left, this.#before)),
      `${when} leaves ${left} of ${this.#before}`,
    );
  }

  #end(others: readonly number[]): void {
    const store = this.#store();
    this.#push(store, 3);
    this.#push(store, 5);
    store.clear();
    assert.equal(store.recover(), 0);
    for (const handle of store.blocks()) this.#space.reclaim(handle);
    for (const handle of others) free(handle);
    this.#cell.free();
  }
}

/** Are these the same items? */
function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every(number => b.includes(number));
}

/** Others take the places of what has been freed, and write to them. */
function settle(): number[] {
  const handles = [...SIZES, ...SIZES].map(size => allocate(size, { owner: OTHERS }));
  for (const handle of handles) view(offsetOf(handle), sizeOf(handle)).fill(0xaa);
  return handles;
}
