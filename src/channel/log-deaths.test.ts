import { test } from 'node:test';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { Log } from './log.js';
import type { Space } from './space.js';
import { ACTS, diesAtEachStep, lacksMemoryEachTime } from './testing/store-deaths.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

/** How many went in, and out, before. */
const HISTORIES = [
  [0, 0],
  [1, 0],
  [9, 0],
  [9, 8],
  [17, 8],
  [40, 20], // in several chunks
  [40, 39],
];

for (const [name, act] of Object.entries(ACTS))
  test(`all others are there, in order, whatever step one dies at who ${name}`, { timeout: 60_000 }, () => {
    for (const [pushed, pulled] of HISTORIES) {
      if (pushed - pulled < (act.needs ?? 0)) continue;
      const trial = { words: Log.WORDS, order: byArrival, pushed, pulled, act };
      diesAtEachStep(make, trial);
      lacksMemoryEachTime(make, trial);
    }
  });

function make(words: Int32Array, at: number, space: Space): Log {
  return new Log(words, at, space);
}

function byArrival(a: { number: number }, b: { number: number }): number {
  return a.number - b.number;
}
