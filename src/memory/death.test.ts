import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beAnother, dieAt } from '../testing/deaths.js';
import { leavesNothing } from '../testing/leaks.js';
import { allocate, FAMILY, free, freeAllOf, setLimit, stats, trim } from './allocator.js';
import { attach, words } from './commons.js';
import { checkConsistency } from './consistency.js';
import { check, mark } from './fixtures/hammer.js';
import { enter, exit, LOCK } from './guard.js';
import { giveBack, indexOf, self } from './participants.js';

leavesNothing({ warm: attach });

/** A bit of everything, in an order that splits and merges on all sides. */
function act(): void {
  const small = Array.from({ length: 9 }, (_, i) => allocate(i % 2 ? 8000 : 2700));
  const large = [20_000, 50_000, 9000, 70_000, 33_000].map(size => allocate(size));
  for (const i of [1, 3, 2, 0, 4]) free(large[i]);
  for (const i of [1, 3, 5, 7, 0, 2]) free(small[i]);
  allocate(60_000);
  allocate(16);
  trim();
  free(allocate(40_000));
  free(small[4]);
  allocate(30_000);
  freeAllOf(self());
}

test('whoever dies before any step, and whoever puts things right dies too: nothing is lost or damaged', () => {
  setLimit(2 ** 30);
  const survivors = [16, 2700, 2700, 8000, 9000, 40_000, 100_000].map(size =>
    allocate(size, { owner: FAMILY }),
  );
  for (const handle of survivors) mark(handle);
  let inHand = 0;
  let step = 1;
  for (; ; step++) {
    const died = dieAt(step, act);
    const dead = [];
    if (died) {
      if (words[LOCK] !== 0) inHand++;
      dead.push(beAnother());
      // The next one takes the lock over, and dies in the midst of recovery or sweeping.
      const [first] = dead;
      if (dieAt(1 + (step % 13), () => freeAllOf(first))) dead.push(beAnother());
    }
    enter(); // a dead holder is found by whoever wants the lock
    exit();
    for (const tag of dead) {
      freeAllOf(tag);
      giveBack(indexOf(tag));
    }
    freeAllOf(self());
    const { blocks, runs, held } = checkConsistency();
    assert.equal(blocks + runs, survivors.length, `after death at step ${step}`);
    assert.equal(held, 0);
    for (const handle of survivors) check(handle);
    if (!died) break;
  }
  assert.ok(step > 150, `${step} steps`);
  assert.ok(inHand > 50, `the lock was in hand at ${inHand} of ${step} deaths`);
  for (const handle of survivors) free(handle);
  trim();
  assert.equal(stats().used, 0);
});
