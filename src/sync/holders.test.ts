import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { leavesNoBlocks } from '../testing/commons.js';
import { beAnother, dieAt } from '../testing/deaths.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT } from '../testing/sharing.js';
import { sweepDead } from '../wait/deaths.js';
import { openDoorbell } from '../wait/doorbell.js';
import { Barrier } from './barrier.js';
import { Cell, type CellHandle } from './cell.js';
import { EventFlag } from './event-flag.js';
import { type Grant, Holders } from './holders.js';
import { RWLock } from './rw-lock.js';
import { BoundedSemaphore, Semaphore } from './semaphore.js';
import type { SharedObject } from './shared-object.js';
import { TableLock } from './table-lock.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const BYTES = 256;

interface Table extends Disposable {
  readonly cell: Cell;
  readonly holders: Holders;
}

function table(): Table {
  const cell = Cell.make(BYTES);
  Holders.prepare(cell.words, cell.at, BYTES);
  const holders = new Holders(cell.words, cell.at);
  cell.attached = () => holders.blocks;
  return { cell, holders, [Symbol.dispose]: () => cell.free() };
}

const grant = (n: number): Grant => ({ mode: 1 + (n % 3), low: (n * 0x9e3779b1) | 0, high: n % 2 ** 30 });

test('what is entered is found as it was, until it is taken out', () => {
  using made = table();
  const { cell, holders } = made;
  const entries = new Map<number, number>();
  for (let n = 1; n <= 1000; n++) {
    holders.reserve(1, cell);
    entries.set(n, holders.add(n, n * 7, grant(n)));
  }
  assert.equal(holders.held, 1000);
  assert.equal(new Set(entries.values()).size, 1000, 'each has a place of its own');
  for (const [n, entry] of entries) {
    assert.equal(
      holders.find(({ tag }) => tag === n),
      entry,
    );
    assert.ok(holders.isOf(entry, n, n * 7));
    assert.ok(!holders.isOf(entry, n, n * 7 + 1));
  }
  const sorted = holders.all().sort((a, b) => a.tag - b.tag);
  assert.deepEqual(
    sorted,
    [...entries.keys()].map(n => ({ tag: n, flow: n * 7, ...grant(n) })),
  );
  assert.ok(holders.blocks.length > 3);
  for (const [n, entry] of entries) if (n % 3 > 0) holders.remove(entry);
  assert.equal(holders.held, 333);
  assert.ok(holders.all().every(({ tag }) => tag % 3 === 0));
  const before = holders.blocks.length;
  for (let n = 1; n <= 667; n++) {
    holders.reserve(1, cell);
    holders.add(n, 1, grant(n));
  }
  assert.equal(holders.blocks.length, before, 'places are used again');
  assert.equal(
    holders.removeAll(() => true),
    1000,
  );
  assert.equal(holders.held, 0);
});

test('who is about to wait finds that what was taken out has changed the table', () => {
  using made = table();
  const { cell, holders } = made;
  const sequence = () => cell.words[holders.sequence];
  const entry = holders.add(1, 1, grant(1));
  const before = sequence();
  holders.remove(entry);
  assert.notEqual(sequence(), before);
});

test('a table that is empty keeps no blocks', () => {
  using made = table();
  const { cell, holders } = made;
  for (let round = 0; round < 3; round++) {
    const entries: number[] = [];
    for (let n = 1; n <= 600; n++) {
      holders.reserve(1, cell);
      entries.push(holders.add(n, 0, grant(n)));
    }
    assert.ok(holders.blocks.length > 1);
    for (const entry of round === 1 ? entries.reverse() : entries) holders.remove(entry);
    assert.equal(holders.blocks.length, 0);
  }
});

test('what the dead hold is taken back, and told once where it matters', () => {
  using made = table();
  const { holders } = made;
  for (let n = 1; n <= 6; n++) holders.add(n, 1, { mode: n % 2 === 0 ? 1 : 2, low: n, high: 0 });
  const isDead = (tag: number) => tag <= 4;
  assert.ok(holders.hasDead(isDead));
  assert.ok(holders.reclaim(isDead, ({ mode }) => mode === 1));
  assert.ok(!holders.reclaim(isDead, () => true));
  assert.equal(holders.held, 2);
  assert.ok(holders.hasEstates);
  assert.ok(!holders.settleEstates(({ low }) => low === 1, { onlyOne: false }), 'it did not matter');
  assert.ok(holders.settleEstates(({ low }) => low === 2, { onlyOne: false }));
  assert.ok(!holders.settleEstates(({ low }) => low === 2, { onlyOne: false }));
  assert.ok(holders.settleEstates(() => true, { onlyOne: true }));
  assert.ok(!holders.hasEstates);
});

test('any run of steps leaves a table in which each entry is where it belongs', () => {
  const steps = fc.array(fc.record({ add: fc.boolean(), which: fc.nat(1000) }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, run => {
      using made = table();
      const { cell, holders } = made;
      const model: [entry: number, tag: number][] = [];
      let tag = 0;
      for (const { add, which } of run) {
        if (add || model.length === 0) {
          holders.reserve(1, cell);
          model.push([holders.add(++tag, tag, grant(tag)), tag]);
        } else {
          const [[entry]] = model.splice(which % model.length, 1);
          holders.remove(entry);
        }
        if (which % 20 === 0) holders.recount();
        assert.equal(holders.held, model.length);
      }
      assert.deepEqual(
        holders
          .all()
          .map(holder => holder.tag)
          .sort((a, b) => a - b),
        model.map(([, of]) => of).sort((a, b) => a - b),
      );
      for (const [entry, of] of model) assert.ok(holders.isOf(entry, of, of));
    }),
    { seed: 1 },
  );
});

/** The same object to one who has just got it. */
function anew<T extends SharedObject>(type: new (...args: never) => T, handle: CellHandle): T {
  return new (type as unknown as new (cell: Cell, extra: object) => T)(Cell.at(handle), {});
}

/** Has one after the other die at each of its steps, and each time another look at what is left. */
function dieAtEachStep<T extends SharedObject>(
  type: new (...args: never) => T,
  make: () => T,
  act: (object: T) => void,
  look: (object: T, step: number) => void,
): void {
  for (let step = 1; ; step++) {
    const made = make();
    const handle = made.passOn();
    const victim = anew(type, handle);
    const died = dieAt(step, () => act(victim));
    beAnother();
    sweepDead();
    const heir = anew(type, handle);
    look(heir, step);
    heir[Symbol.dispose]();
    assert.ok(step < 1000);
    if (!died) {
      assert.ok(step > 2, 'it did something');
      return;
    }
  }
}

test('a semaphore has all its permits, whatever step one dies at who takes or gives one', LIMIT, () => {
  for (const act of [
    (semaphore: Semaphore) => void semaphore.acquireSync(),
    (semaphore: Semaphore) => semaphore.acquireSync().release(),
    (semaphore: Semaphore) => {
      semaphore.acquireSync();
      semaphore.acquireSync();
      semaphore.release(2);
    },
    (semaphore: Semaphore) => void semaphore.getValue(),
  ])
    dieAtEachStep(
      BoundedSemaphore,
      () => new BoundedSemaphore(2),
      act,
      (semaphore, step) => {
        assert.equal(semaphore.getValue(), 2, `step ${step}`);
        const guards = [semaphore.acquireSync({ timeout: 0 }), semaphore.acquireSync({ timeout: 0 })];
        assert.equal(semaphore.tryAcquire(), null);
        for (const guard of guards) guard.release();
        assert.equal(semaphore.getValue(), 2);
        assert.throws(() => semaphore.release(), { code: 'ERR_LOCK' });
      },
    );
});

test('a signal is given or not, whatever step one dies at who gives it', LIMIT, () => {
  const values = new Set<number>();
  dieAtEachStep(
    Semaphore,
    () => new Semaphore(0),
    semaphore => semaphore.release(3),
    semaphore => {
      const value = semaphore.getValue();
      values.add(value);
      for (let i = 0; i < value; i++) semaphore.acquireSync({ timeout: 0 });
      assert.equal(semaphore.tryAcquire(), null);
    },
  );
  assert.deepEqual([...values], [0, 3]);
});

test(
  'an RWLock and a TableLock are free, whatever step one dies at who has or had something of them',
  LIMIT,
  () => {
    for (const act of [
      (lock: RWLock) => lock.readSync().release(),
      (lock: RWLock) => lock.writeSync().release(),
      (lock: RWLock) => {
        lock.readSync();
        lock.readSync();
      },
    ])
      dieAtEachStep(
        RWLock,
        () => new RWLock(),
        act,
        lock => {
          lock.writeSync({ timeout: 0 }).release();
          const guard = lock.writeSync({ timeout: 0 });
          assert.equal(guard.abandoned, false);
          guard.release();
        },
      );
    dieAtEachStep(
      TableLock,
      () => new TableLock(),
      lock => {
        lock.rowSync('a');
        lock.rowSync('b').release();
      },
      lock => {
        const row = lock.rowSync('b', { timeout: 0 });
        lock.rowSync('a', { timeout: 0 }).release();
        assert.equal(lock.rowSync('a', { timeout: 0 }).abandoned, false);
        row.release();
      },
    );
  },
);

test('a table that grows as one dies has room for the next', LIMIT, () => {
  dieAtEachStep(
    Semaphore,
    () => {
      const semaphore = new Semaphore(1000);
      for (let i = 0; i < 12; i++) semaphore.acquireSync();
      return semaphore;
    },
    semaphore => void semaphore.acquireSync(),
    semaphore => {
      for (let i = 0; i < 1000; i++) semaphore.acquireSync({ timeout: 0 });
      assert.equal(semaphore.tryAcquire(), null);
    },
  );
});

test(
  'a barrier can be passed again after reset(), whatever step one dies at who passes, breaks or resets it',
  LIMIT,
  () => {
    for (const act of [
      (barrier: Barrier) => void barrier.waitSync(),
      (barrier: Barrier) => barrier.abort(),
      (barrier: Barrier) => barrier.reset(),
      (barrier: Barrier) => barrier.part(),
    ])
      dieAtEachStep(
        Barrier,
        () => new Barrier(1, { action: () => {} }),
        act,
        barrier => {
          try {
            barrier.waitSync();
          } catch (error) {
            assert.equal((error as NodeJS.ErrnoException).code, 'ERR_BROKEN_BARRIER');
          }
          barrier.reset();
          assert.equal(barrier.waitSync(), 0);
          assert.equal(barrier.waiting, 0);
          assert.equal(barrier.broken, false);
        },
      );
  },
);

test('a flag is set or clear, whatever step one dies at', LIMIT, () => {
  let step = 0;
  for (let died = true; died; ) {
    const flag = new EventFlag();
    const handle = flag.passOn();
    died = dieAt(++step, () => {
      flag.set();
      flag.clear();
      flag.set();
    });
    beAnother();
    sweepDead();
    const heir = anew(EventFlag, handle);
    assert.equal(heir.waitSync({ timeout: 0 }), heir.isSet());
    heir.set();
    assert.equal(heir.waitSync(), true);
    heir[Symbol.dispose]();
  }
});
