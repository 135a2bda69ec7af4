import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Queue } from './channel/queue.js';
import { getters, putters } from './channel/testing/queues.js';
import { getLimit, setLimit, stats } from './memory/allocator.js';
import { SharedArray } from './shared/shared-array.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { type Item, MOST_ITEMS, MOST_PRODUCERS, NUMBERS, storm } from './testing/queue-chaos.js';
import { crowds, warmCarriers } from './testing/sharing.js';

/*
 * What a Queue promises when those who put and get are killed at any moment. MANYHANDS_SOAK: for how many ms to kill, in each of
 * four; MANYHANDS_SEED: the seed of one to repeat, as far as the machine takes part.
 */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const DURATION = Number(process.env.MANYHANDS_SOAK ?? 1_200);
const SEED = Number(process.env.MANYHANDS_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** How long one storm lasts, ms: then comes one with other items. */
const ROUND = process.env.MANYHANDS_SOAK ? 4_000 : 500;
/** Bounds of the queue, and bytes of the longest item. */
const SORTS = [
  { maxsize: 0, most: 20 },
  { maxsize: 3, most: 3_000 },
  { maxsize: 0, most: 70_000 },
  { maxsize: 1, most: 20 },
  { maxsize: 0, most: 3_000 },
  { maxsize: 5, most: 70_000 },
];

for (const crowd of crowds)
  test(`${crowd.name} killed at random: no item is had twice, none lost that nobody had, none damaged, and nobody blocks`, {
    timeout: 120_000 + 3 * DURATION,
  }, async () => {
    const limit = getLimit();
    const all = { kills: 0, items: 0, lost: 0 };
    const deadline = performance.now() + DURATION;
    for (let round = 0; performance.now() < deadline; round++) {
      const { maxsize, most } = SORTS[round % SORTS.length];
      const seed = SEED + round * 1000;
      // By turns many kills, and many items.
      const pause = Math.floor(round / SORTS.length) % 2 === 0 ? 10 : 300;
      using numbers = new SharedArray('i32', NUMBERS);
      using received = new SharedArray('u8', MOST_PRODUCERS * MOST_ITEMS);
      setLimit(stats().used + 64 * 2 ** 20);
      try {
        using queue = new Queue<Item>(maxsize);
        const duration = Math.min(ROUND, deadline - performance.now() + 100);
        const story = await storm(crowd, queue, numbers, received, { most, duration, seed, pause });
        all.kills += story.kills;
        all.items += story.items;
        all.lost += story.lost;
        assert.deepEqual([queue.qsize(), getters(queue), putters(queue)], [0, 0, 0]);
      } catch (cause) {
        const sort = `${maxsize || 'any number of'} items up to ${most} bytes`;
        throw new Error(`of ${sort}, with MANYHANDS_SEED=${seed}: ${cause}`, { cause });
      } finally {
        setLimit(limit);
      }
    }
    assert.ok(all.kills > 0 && all.items > 0);
    const story = `${all.kills} kills, ${all.items} items, ${all.lost} lost with those who had got them`;
    if (process.env.MANYHANDS_SOAK) console.log(`${crowd.name}: ${story}`);
  });
