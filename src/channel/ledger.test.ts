import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OutOfMemoryError } from '../errors/errors.js';
import { checkConsistency } from '../memory/consistency.js';
import { Cell } from '../sync/cell.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { beAnother } from '../testing/deaths.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT } from '../testing/sharing.js';
import { sweepDead } from '../wait/deaths.js';
import { openDoorbell } from '../wait/doorbell.js';
import { Batch } from './batch.js';
import { CommonsSpace } from './commons-space.js';
import { EXCHANGE, Exchange, OUTCOME, STATE } from './exchange.js';
import { packBytes } from './item.js';
import { Ledger } from './ledger.js';
import { Log } from './log.js';
import { borrow, giveBack, Parcel, release } from './parcel.js';
import type { Space } from './space.js';
import { diesBefore, MortalSpace, mortal } from './testing/mortal.js';
import { SpaceOver } from './testing/space-over.js';

/* The account of who owes, over deaths at each write of whoever changes it. */
leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const STORE_AT = EXCHANGE.WORDS;
const LEDGER_AT = STORE_AT + Log.WORDS;
/** So that there is room for so many entries in the cell. */
const PLACES = 3;
const WORDS = LEDGER_AT + 8 + PLACES * 4;

interface Parts {
  readonly exchange: Exchange;
  readonly ledger: Ledger;
  readonly space: Space;
}

function partsOf(cell: Cell, space: Space): Parts {
  const { words, at } = cell;
  const ledger = new Ledger(cell, at + LEDGER_AT, at + WORDS, space);
  const exchange = new Exchange(cell, at, space, new Log(words, at + STORE_AT, space), { ledger });
  return { exchange, ledger, space };
}

class Trial implements Disposable {
  readonly cell: Cell;
  readonly parts: Parts;

  constructor() {
    this.cell = Cell.make(WORDS * 4);
    Exchange.prepare(this.cell.words, this.cell.at, 0, 2 ** 30);
    this.cell.passOn();
    this.parts = partsOf(this.cell, new CommonsSpace(this.cell));
  }

  /** The same as one sees it who may die at any write. */
  mortal(): Parts {
    const words = mortal(this.cell.words);
    const cell = new Proxy(this.cell, {
      get: (target, key) => (key === 'words' ? words : Reflect.get(target, key, target)),
    });
    return partsOf(cell, new MortalSpace(this.parts.space));
  }

  put(count: number): void {
    const { exchange, space } = this.parts;
    const parcel = borrow();
    for (let i = 0; i < count; i++) {
      packBytes(new Uint8Array(i % 2 === 0 ? 10 : 3000), parcel, space);
      assert.equal(exchange.offer(parcel, false), OUTCOME.DONE);
    }
    giveBack(parcel, space);
  }

  take(count: number): void {
    for (let i = 0; i < count; i++) take(this.parts);
  }

  /** From here on another thread goes on. */
  succeed(sweep = true): void {
    beAnother();
    if (sweep) sweepDead();
  }

  /** What is in the store by what the store says, what is owed by each, in order of their first debts. */
  state(): { count: number; debts: number[] } {
    const { exchange, ledger } = this.parts;
    exchange.lock();
    const { count } = exchange;
    const debts = ledger.debtors().map(({ owes }) => owes);
    assert.equal(
      ledger.owed,
      debts.reduce((sum, owes) => sum + owes, 0),
    );
    assert.equal(exchange.store.recover(), count);
    exchange.unlock();
    return { count, debts };
  }

  [Symbol.dispose](): void {
    const { exchange, ledger, space } = this.parts;
    for (const block of [...exchange.store.blocks(), ...ledger.blocks()]) space.reclaim(block);
    this.cell.free();
  }
}

function take({ exchange, space }: Parts): void {
  const parcel = new Parcel();
  assert.equal(exchange.take(parcel, true), OUTCOME.DONE);
  release(parcel, space);
}

function takeMany({ exchange, space }: Parts, most: number): void {
  const batch = new Batch();
  const parcel = new Parcel();
  assert.equal(exchange.takeMany(batch, most, parcel, true), OUTCOME.DONE);
  batch.drop(space);
}

function locked({ exchange }: Parts, act: () => void): void {
  exchange.lock();
  act();
  exchange.unlock();
}

/** Four items are in the store, one who died owes 2, and who acts owes 1, if it is not said otherwise. */
interface Act {
  readonly name: string;
  run(parts: Parts): void;
  /** May it leave this? */
  fits(state: { count: number; debts: number[] }): boolean;
  /** What it leaves if it comes to its end. */
  readonly done: { count: number; debts: number[] };
  /** Who acts owes nothing before; so many others owe, of whom the first owes 2, the others 1. */
  readonly others?: number;
}

const is = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

const ACTS: readonly Act[] = [
  {
    name: 'takes an item',
    run: parts => take(parts),
    fits: ({ count, debts: [dead, own, ...more] }) =>
      count >= 3 && dead === 2 && count + own === 5 && more.length === 0,
    done: { count: 3, debts: [2, 2] },
  },
  {
    name: 'takes several',
    run: parts => takeMany(parts, 3),
    fits: ({ count, debts: [dead, own, ...more] }) =>
      count >= 1 && dead === 2 && count + own === 5 && more.length === 0,
    done: { count: 1, debts: [2, 4] },
  },
  {
    name: 'takes its first item',
    run: parts => take(parts),
    fits: ({ count, debts }) => is(debts, count === 4 ? [2] : [2, 1]) && count >= 3,
    done: { count: 3, debts: [2, 1] },
    others: 1,
  },
  {
    name: 'takes its first items, and there is no place left for its debt',
    run: parts => takeMany(parts, 2),
    fits: ({ count, debts }) =>
      is(debts.slice(0, 3), [2, 1, 1]) && (debts[3] ?? 0) === 4 - count && debts.length <= 4,
    done: { count: 2, debts: [2, 1, 1, 2] },
    others: 3,
  },
  {
    name: 'pays',
    run: parts =>
      locked(parts, () => {
        assert.ok(parts.ledger.pay());
        parts.ledger.settle(parts.exchange.count);
      }),
    fits: ({ count, debts }) => count === 4 && (is(debts, [2, 1]) || is(debts, [2])),
    done: { count: 4, debts: [2] },
  },
  {
    name: 'pays for another',
    run: parts => locked(parts, () => assert.ok(parts.ledger.pay())),
    fits: ({ count, debts }) => count === 4 && (is(debts, [2]) || is(debts, [1])),
    done: { count: 4, debts: [1] },
    others: 1,
  },
  {
    name: 'will not pay',
    run: parts => locked(parts, () => parts.ledger.abandon()),
    fits: ({ count, debts }) => count === 4 && is(debts, [2, 1]),
    done: { count: 4, debts: [2, 1] },
  },
  {
    name: 'drops all that is in it',
    run: parts => parts.exchange.shutDown(true),
    fits: ({ debts }) => is(debts, [2, 1]),
    done: { count: 0, debts: [2, 1] },
  },
  {
    name: 'puts an item',
    run: parts => {
      const parcel = new Parcel();
      packBytes(new Uint8Array(10), parcel, parts.space);
      assert.equal(parts.exchange.offer(parcel, true), OUTCOME.DONE);
    },
    fits: ({ count, debts }) => (count === 4 || count === 5) && is(debts, [2, 1]),
    done: { count: 5, debts: [2, 1] },
  },
];

function prepared({ others = 0 }: Act): Trial {
  const trial = new Trial();
  trial.put(6 + Math.max(0, others - 1) + (others === 0 ? 1 : 0));
  trial.take(2);
  trial.succeed();
  for (let i = 1; i < others; i++) {
    trial.take(1);
    trial.succeed();
  }
  if (others === 0) trial.take(1);
  return trial;
}

describe('whatever write one dies before, no item is owed twice, or by nobody:', () => {
  for (const act of ACTS)
    for (const sweepFirst of [true, false])
      test(`one that ${act.name}; the dead are swept ${sweepFirst ? 'before' : 'after'} that`, LIMIT, () => {
        const before = checkConsistency({ quiet: false });
        let died = true;
        let n = 1;
        for (; died; n++) {
          using trial = prepared(act);
          assert.ok(n < 1000, 'it ends');
          died = diesBefore(n, () => act.run(trial.mortal()));
          trial.succeed(sweepFirst);
          // Each who recovers gets one step further.
          for (let m = 1; ; m++) {
            const again = diesBefore(m, () => {
              const parts = trial.mortal();
              locked(parts, () => {});
            });
            if (!again) break;
            trial.succeed(sweepFirst);
          }
          sweepDead();
          const state = trial.state();
          if (died) assert.ok(act.fits(state), `a death before write ${n} leaves ${JSON.stringify(state)}`);
          else assert.deepEqual(state, act.done);
          if (trial.parts.exchange.state !== STATE.OPEN) continue;
          trial.put(1);
          trial.take(1);
          locked(trial.parts, () => assert.ok(trial.parts.ledger.pay()));
          assert.deepEqual(trial.state(), state, 'and it goes on');
        }
        assert.ok(n > 4, 'it did something');
        const after = checkConsistency({ quiet: false });
        assert.deepEqual([after.blocks, after.runs], [before.blocks, before.runs]);
      });
});

test('without memory for its debt nobody takes anything, and the lock is free', () => {
  class Scarce extends SpaceOver {
    override allocate(): number {
      throw new OutOfMemoryError('Cannot allocate: this is a test');
    }
  }
  using trial = new Trial();
  trial.put(PLACES + 2);
  for (let i = 0; i < PLACES; i++) {
    trial.take(1);
    trial.succeed();
  }
  const parts = partsOf(trial.cell, new Scarce(trial.parts.space));
  assert.throws(() => take(parts), OutOfMemoryError);
  assert.throws(() => takeMany(parts, 2), OutOfMemoryError);
  assert.deepEqual(trial.state(), { count: 2, debts: [1, 1, 1] });
  assert.ok(parts.ledger.pay(), 'the place of one of the dead');
  take(parts);
  assert.deepEqual(trial.state(), { count: 1, debts: [1, 1, 1] });
});
