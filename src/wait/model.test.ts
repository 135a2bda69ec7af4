import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from './doorbell.js';
import { waiting, wake } from './line.js';
import { park } from './park.js';

leavesNothing({ warm: openDoorbell });

type Step =
  | { do: 'park'; word: number }
  | { do: 'abort'; which: number }
  | { do: 'wake'; word: number; count: number }
  | { do: 'turn' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('park' as const), word: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('wake' as const), word: fc.nat(2), count: fc.nat(4) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  ),
  { maxLength: 60 },
);

test('any run of waits, aborts and wakes goes as a list of waiters would', { timeout: 60_000 }, async () => {
  const handle = allocate(16, { owner: FAMILY, zero: true });
  const base = offsetOf(handle) / 4;
  await fc.assert(
    fc.asyncProperty(steps, async run => {
      const line: number[][] = [[], [], []];
      const controllers: AbortController[] = [];
      const expected: string[] = [];
      const found: string[] = [];
      const waits: Promise<unknown>[] = [];
      const wakeModel = (word: number, count: number) => {
        const woken = line[word].splice(0, count);
        for (const id of woken) expected[id] = 'woken';
        return woken.length;
      };
      for (const step of [...run, ...[0, 1, 2].map(word => ({ do: 'wake' as const, word, count: 100 }))]) {
        if (step.do === 'park') {
          const id = controllers.push(new AbortController()) - 1;
          line[step.word].push(id);
          const wait = park(base + step.word, 0, { signal: controllers[id].signal, timeout: 60_000 });
          waits.push(
            wait.then(
              ({ outcome }) => {
                found[id] = outcome;
              },
              () => {
                found[id] = 'aborted';
              },
            ),
          );
        } else if (step.do === 'abort') {
          controllers[step.which]?.abort();
          const word = line.findIndex(ids => ids.includes(step.which));
          if (word < 0) continue; // it never was, or is over
          line[word].splice(line[word].indexOf(step.which), 1);
          expected[step.which] = 'aborted';
        } else if (step.do === 'wake') {
          assert.equal(wake(base + step.word, step.count), wakeModel(step.word, step.count));
        } else {
          await new Promise(setImmediate);
        }
        for (const word of [0, 1, 2]) assert.equal(waiting(base + word).length, line[word].length);
      }
      await Promise.all(waits);
      assert.deepEqual(found, expected);
    }),
    { numRuns: 300 },
  );
  free(handle);
});
