import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { OutOfMemoryError } from '../errors/errors.js';
import { NOBODY, self } from '../memory/participants.js';
import { Cell } from '../sync/cell.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT } from '../testing/sharing.js';
import { openDoorbell } from '../wait/doorbell.js';
import { waiting } from '../wait/line.js';
import { Batch } from './batch.js';
import { CommonsSpace } from './commons-space.js';
import { EXCHANGE, Exchange, OUTCOME, type Outcome, STATE, type Terms } from './exchange.js';
import { Log } from './log.js';
import { borrow, giveBack, type Parcel } from './parcel.js';

/* Moments that other tests meet by chance only. See exchange.schedules.test.ts for all others. */
leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const { DONE, NOT_NOW, NEVER } = OUTCOME;
const FOREVER = {};

/** An exchange in this thread, and what happens to it. */
class Bench {
  readonly cell = Cell.make(256);
  readonly space = new CommonsSpace(this.cell);
  readonly log: Log;
  readonly exchange: Exchange;

  constructor(
    bound: number,
    terms: Terms = {},
    makeLog = (...args: ConstructorParameters<typeof Log>) => new Log(...args),
  ) {
    Exchange.prepare(this.cell.words, this.cell.at, bound, 2 ** 20);
    this.log = makeLog(this.cell.words, this.cell.at + EXCHANGE.WORDS, this.space);
    this.cell.attached = () => this.log.blocks();
    this.exchange = new Exchange(this.cell, this.cell.at, this.space, this.log, terms);
  }

  load(word: number): number {
    return Atomics.load(this.cell.words, this.cell.at + word);
  }

  store(word: number, value: number): void {
    Atomics.store(this.cell.words, this.cell.at + word, value);
  }

  parcel(item: number): Parcel {
    const parcel = borrow();
    parcel.words[0] = item;
    parcel.length = 4;
    return parcel;
  }

  offer(item: number): Outcome {
    const parcel = this.parcel(item);
    const outcome = this.exchange.offer(parcel, false);
    giveBack(parcel, this.space);
    return outcome;
  }

  /** Takes past everybody's turn. -1: there is nothing. */
  take(): number {
    const parcel = borrow();
    const outcome = this.exchange.take(parcel, true);
    const [item] = parcel.words;
    giveBack(parcel, this.space);
    return outcome === DONE ? item : -1;
  }

  /** Waits for an item. */
  async get(): Promise<number> {
    const parcel = borrow();
    const outcome = await this.exchange.get(called => this.exchange.take(parcel, called), FOREVER);
    const [item] = parcel.words;
    giveBack(parcel, this.space);
    return outcome === DONE ? item : -outcome;
  }

  async put(item: number): Promise<Outcome> {
    const parcel = this.parcel(item);
    const outcome = await this.exchange.put(called => this.exchange.offer(parcel, called), FOREVER);
    giveBack(parcel, this.space);
    return outcome;
  }

  inLine(word: number): number {
    return waiting(this.cell.at + word).length;
  }

  /** Somebody has died holding the lock, in the middle of what `act` does to the store. */
  dieOver(act: () => void): void {
    act();
    this.store(EXCHANGE.LOCK, NOBODY);
  }

  [Symbol.dispose](): void {
    for (const word of [EXCHANGE.PUTS, EXCHANGE.TAKES, EXCHANGE.WATCH]) assert.equal(this.inLine(word), 0);
    this.cell.free();
  }
}

/** Runs `act` after what the present code has set off, and before the code that awaits that goes on. */
function between(act: () => void): Promise<void> {
  return new Promise(resolve =>
    queueMicrotask(() => {
      act();
      resolve();
    }),
  );
}

beforeEach(() => void self());

describe('whoever has died holding the lock', () => {
  test('a taker: the room that it made is seen by who puts, only looks, or waits', LIMIT, async () => {
    using bench = new Bench(1);
    const parcel = borrow();
    const die = () => bench.dieOver(() => bench.log.pull(parcel));
    bench.offer(1);
    die();
    assert.equal(bench.exchange.count, 0);
    bench.offer(2);
    die();
    assert.equal(bench.offer(3), DONE);
    const put = bench.put(4);
    assert.equal(bench.inLine(EXCHANGE.TAKES), 1);
    die();
    assert.equal(bench.exchange.count, 0); // finds it, and tells who waits
    assert.equal(await put, DONE);
    assert.equal(bench.take(), 4);
    giveBack(parcel, bench.space);
  });

  test('a putter: what it put is seen by who gets, only looks, or waits', LIMIT, async () => {
    using bench = new Bench(0);
    const parcel = bench.parcel(7);
    const die = () => bench.dieOver(() => bench.log.push(parcel));
    die();
    assert.equal(bench.take(), 7);
    die();
    assert.equal(bench.exchange.isReadable(), true);
    assert.equal(bench.exchange.count, 1);
    assert.equal(bench.take(), 7);
    const get = bench.get();
    let seen = 0;
    const watch = bench.exchange.watch({ notify: () => seen++ });
    die();
    bench.exchange.lock();
    bench.exchange.unlock();
    assert.equal(await get, 7);
    assert.equal(seen, 1);
    watch.stop();
    giveBack(parcel, bench.space);
  });

  test('one who dropped all: it is dropped', LIMIT, () => {
    using bench = new Bench(0);
    for (const item of [1, 2, 3]) bench.offer(item);
    bench.dieOver(() => bench.store(EXCHANGE.STATE, STATE.SHUT));
    assert.equal(bench.take(), -1);
    assert.equal(bench.exchange.count, 0);
    assert.equal(bench.log.recover(), 0);
  });
});

describe('one that is called', () => {
  test('and fails: the next one is called', LIMIT, async () => {
    using bench = new Bench(1);
    bench.offer(1);
    const fails = bench.exchange.put(called => {
      if (called) throw new OutOfMemoryError('nothing left');
      return NOT_NOW;
    }, FOREVER);
    const put = bench.put(2);
    assert.equal(bench.take(), 1);
    await assert.rejects(fails, OutOfMemoryError);
    assert.equal(await put, DONE);
    assert.equal(bench.take(), 2);
  });

  test('in vain, and again: has its turn only while it is in line', LIMIT, async () => {
    using bench = new Bench(0, { patience: 0 });
    const get = bench.get();
    const callInVain = async (turn: boolean) => {
      assert.equal(bench.load(EXCHANGE.GET_TURN) !== 0, turn);
      assert.equal(bench.offer(1), DONE);
      assert.equal(bench.take(), 1);
      await between(() => assert.equal(bench.load(EXCHANGE.GET_TURN), 0, 'this thread may block now'));
      while (bench.inLine(EXCHANGE.PUTS) === 0) await null;
    };
    await callInVain(false);
    await callInVain(true);
    assert.equal(bench.load(EXCHANGE.GET_TURN), self());
    const later = bench.get();
    assert.equal(bench.offer(5), DONE);
    assert.equal(await get, 5);
    assert.equal(bench.load(EXCHANGE.GET_TURN), 0);
    assert.equal(bench.offer(6), DONE);
    assert.equal(await later, 6);
  });

  test('in vain just as all waits of the thread are failed: it fails, too', LIMIT, async () => {
    using bench = new Bench(0);
    const get = bench.get();
    assert.equal(bench.offer(1), DONE);
    assert.equal(bench.take(), 1);
    const reason = new Error('closed');
    await between(() => bench.exchange.failWaits(() => reason));
    await assert.rejects(get, error => error === reason);
  });
});

test('another’s turn keeps nobody from what is left where nothing more comes', LIMIT, async () => {
  let isOver = false;
  using bench = new Bench(0, { noMorePuts: () => isOver });
  bench.offer(1);
  bench.store(EXCHANGE.GET_TURN, self());
  const parcel = borrow();
  assert.equal(bench.exchange.take(parcel, false), NOT_NOW);
  giveBack(parcel, bench.space);
  isOver = true;
  assert.equal(await bench.get(), 1);
  assert.equal(await bench.get(), -NEVER);
});

test('who never comes into line, so fast do things change, still ends in time', LIMIT, async () => {
  using bench = new Bench(0);
  const attempt = () => {
    bench.store(EXCHANGE.PUTS, bench.load(EXCHANGE.PUTS) + 1);
    return NOT_NOW;
  };
  assert.equal(bench.exchange.getSync(attempt, 20), NOT_NOW);
  assert.equal(await bench.exchange.get(attempt, { timeout: 20 }), NOT_NOW);
});

test('many that find no more memory after the first of them wait for it', LIMIT, () => {
  let rounds = 0;
  class Full extends Log {
    override pushMany(batch: Batch, count: number, parcel: Parcel): void {
      if (++rounds > 1) throw new OutOfMemoryError('nothing left');
      super.pushMany(batch, count, parcel);
    }
  }
  using bench = new Bench(0, {}, (...args) => new Full(...args));
  const batch = new Batch();
  for (let i = 0; i < 100; i++) {
    const parcel = bench.parcel(i);
    batch.add(parcel);
    giveBack(parcel, bench.space);
  }
  const parcel = borrow();
  assert.equal(bench.exchange.offerMany(batch, parcel, false), NOT_NOW);
  const put = bench.exchange.count;
  assert.ok(put > 0 && put + batch.count === 100);
  for (let i = 0; i < put; i++) assert.equal(bench.take(), i);
  assert.throws(() => bench.exchange.offerMany(batch, parcel, false), OutOfMemoryError);
  giveBack(parcel, bench.space);
});
