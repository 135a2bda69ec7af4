import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { SharedMap } from './shared-map.js';

/*
 * Readers take no lock. Here changes come between any two of their loads, at up to two places of one read: by the second an entry
 * that the first has freed may be in use again, under the same key or under another.
 */

leavesNothing({ warm: () => open()[Symbol.dispose]() });
leavesNoBlocks();

const name = `map-readers-test-${process.pid}`;
/** The reader's and the writer's are two: in a thread of their own, they would have no variable in common. */
const open = () => new SharedMap<string, string>(null, { name });

/** Values whose entries are of one length, so that one is made where another was. */
const textOf = (n: number) => `value ${n}`;

/** Calls `act` with these of the loads of shared memory that `read` makes, by their numbers; returns how many it makes. */
function between(places: readonly number[], act: () => void, read: () => void): number {
  const { load } = Atomics;
  let count = 0;
  Atomics.load = ((array: Int32Array, index: number) => {
    if (places.includes(count++)) {
      Atomics.load = load;
      act();
      Atomics.load = hooked;
    }
    return load(array, index);
  }) as typeof Atomics.load;
  const hooked = Atomics.load;
  try {
    read();
  } finally {
    Atomics.load = load;
  }
  return count;
}

const changes: Record<string, (map: SharedMap<string, string>, value: string) => void> = {
  'sets the key': (map, value) => map.set('key', value),
  'sets the key twice': (map, value) => {
    map.set('key', 'no matter');
    map.set('key', value);
  },
  'sets the key and another': (map, value) => {
    map.set('key', value);
    map.set('odd', 'another');
  },
  'deletes the key and sets it': (map, value) => {
    map.delete('key');
    map.set('key', value);
  },
};
const reads: Record<string, (map: SharedMap<string, string>) => unknown> = {
  'get()': map => map.get('key'),
  'getEntry()': map => map.getEntry('key')?.value,
  'an iterator': map => [...map.values()].find(value => value.startsWith('value')),
};

for (const [what, change] of Object.entries(changes))
  for (const [how, read] of Object.entries(reads))
    test(`${how} gives a value that there was, when somebody ${what} between its steps`, {
      timeout: 60_000,
    }, () => {
      using map = open();
      using other = open();
      map.set('odd', 'nothing');
      map.set('key', textOf(0));
      let n = 0;
      const steps = between(
        [],
        () => {},
        () => read(map),
      );
      assert.ok(steps > 5);
      for (let first = 0; first < steps; first++)
        for (let second = first; second < steps + 10; second++) {
          const before = n;
          let seen: unknown;
          between(
            [first, second],
            () => change(other, textOf(++n)),
            () => {
              seen = read(map);
            },
          );
          const possible = Array.from({ length: n - before + 1 }, (_, i) => textOf(before + i));
          if (what.startsWith('deletes')) possible.push(undefined as never);
          assert.ok(
            possible.includes(seen as string),
            `${seen}, not of ${possible}, at ${first} and ${second}`,
          );
        }
    });

test('a version that is told without the lock is one that the key had', { timeout: 60_000 }, () => {
  using map = open();
  using other = open();
  map.set('key', textOf(0));
  for (let first = 0; first < 40; first++)
    for (let second = first; second < 40; second++) {
      const { version } = map.getEntry('key') as { version: number };
      let seen = 0;
      between(
        [first, second],
        () => other.set('key', textOf(second)),
        () => {
          seen = map.getEntry('key')?.version as number;
        },
      );
      assert.ok(seen >= version && seen <= (map.getEntry('key')?.version as number));
      assert.ok(map.compareAndSet('key', map.getEntry('key')?.version as number, textOf(0)));
    }
});
