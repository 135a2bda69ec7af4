import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { unlock } from '../memory/robust-lock.js';
import { leavesNothing } from '../testing/leaks.js';
import { BUCKET, bucketOf, lockBucket } from './buckets.js';
import { wakeAll } from './line.js';
import { CELL, CELL_WORDS } from './testing/lockstep.js';
import { board, explore, lower, play, raise } from './testing/schedules.js';

/* The lines under random schedules of the real code: see testing/schedules.ts. */
leavesNothing();

const limit = { timeout: 120_000 };

before(raise);
after(lower);

/** Runs `check` for many seeds, each with a word of its own; nobody may be left in line, and no lock held. */
async function exploreWord(check: (word: number, seed: number) => Promise<void>): Promise<void> {
  await explore(async seed => {
    const handle = allocate(16, { owner: FAMILY, zero: true });
    const word = offsetOf(handle) / 4;
    await check(word, seed);
    const bucket = bucketOf(word);
    lockBucket(bucket); // takes it over, should a dead one still have it
    assert.equal(words[bucket + BUCKET.HEAD], 0, 'somebody is left in line');
    unlock(bucket + BUCKET.LOCK);
    free(handle);
  });
}

test('as many wakes as waits: each wait gets one, whatever the schedule', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['blocking', 'async', 'waker', 'waker'] as const;
    const outcome = await play(
      kinds.map(kind => ({ kind, word })),
      seed,
    );
    assert.deepEqual(outcome.unaided, ['woken', 'woken', 'woke', 'woke']);
  });
});

test('one that gives up and comes again costs nobody a wake', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['impatient', 'async', 'waker', 'impatient', 'waker'] as const;
    const { results, unaided } = await play([...kinds.map(kind => ({ kind, word }))], seed, {
      help: () => wakeAll(word),
    });
    const woken = results.filter(result => result === 'woken').length;
    assert.equal(woken, 3, results.join());
    assert.equal(unaided.filter(result => result === 'woken').length, 2, unaided.join());
  });
});

test('time that runs out while a wake comes: the wake counts', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['impatient', 'waker'] as const;
    const { unaided } = await play([...kinds.map(kind => ({ kind, word }))], seed, {
      help: () => wakeAll(word),
    });
    assert.deepEqual(unaided, ['woken', 'woke']);
  });
});

test('a flag that was set once is seen by one who comes at the same time', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['blocking', 'setter'] as const;
    const { unaided } = await play([...kinds.map(kind => ({ kind, word }))], seed, {
      help: () => wakeAll(word),
    });
    assert.match(String(unaided[0]), /^(woken|changed)$/);
  });
});

test('a flag that was set is seen by all who live, whoever dies', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['blocking', 'async', 'setter', 'impatient', 'setter'] as const;
    const help = () => {
      assert.equal(words[word], 0, 'somebody sleeps though the flag is set');
      Atomics.store(words, word, 1);
      wakeAll(word);
    };
    const { results } = await play([...kinds.map(kind => ({ kind, word }))], seed, { deaths: 3, help });
    for (const result of results) assert.match(result, /^(woken|changed|died|\d)$/);
  });
});

test('a wake that a dead one did not live to see is passed on', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['blocking', 'async', 'waker', 'blocking', 'waker'] as const;
    const { results, unaided } = await play([...kinds.map(kind => ({ kind, word }))], seed, {
      deaths: 2,
      wakersLast: true, // or a wake could be passed on while nobody is in line, and end there
      help: () => wakeAll(word),
    });
    for (const result of results) assert.match(result, /^(woken|woke|died|found nobody)$/);
    const count = (value: string) => unaided.filter(result => result === value).length;
    const consumed = unaided.filter(
      (result, i) => result === 'died' && board[i * CELL_WORDS + CELL.CONSUMED],
    ).length;
    const waiters = unaided.filter((result, i) => result !== 'died' && kinds[i] !== 'waker').length;
    assert.ok(count('woken') >= Math.min(waiters, count('woke') - consumed), unaided.join());
  });
});

test('whoever dies over a line, it is in order for those who come again', limit, async () => {
  await exploreWord(async (word, seed) => {
    const kinds = ['again', 'waker', 'again', 'waker', 'waker'] as const;
    const { results } = await play([...kinds.map(kind => ({ kind, word }))], seed, {
      deaths: 3,
      help: () => wakeAll(word),
      helps: 5, // each wait of a thread may need one
    });
    for (const result of results) assert.match(result, /^(woken|woke|died|found nobody)$/);
  });
});
