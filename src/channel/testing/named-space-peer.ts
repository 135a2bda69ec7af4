import assert from 'node:assert/strict';
import { OutOfMemoryError } from '../../errors/errors.js';
import { random } from '../../sync/testing/random.js';
import { exchange, fill, open, verify } from './named-space.js';

/*
 * An unrelated program that uses the memory of a name. Asked to hammer, it puts blocks into the slots and takes what it finds
 * there, until it is killed. Asked for blocks, it allocates them, gives the first to the channel, and answers with all handles.
 */
process.on('message', ({ act, name, seed, sizes }: Request) => {
  const named = open(name);
  if (act === 'hammer') hammer(named, seed);
  const handles = sizes.map(size => fill(named.space, size, seed));
  named.space.keep(handles[0]);
  process.send?.(handles);
});

export interface Request {
  readonly act: 'hammer' | 'allocate';
  readonly name: string;
  readonly seed: number;
  readonly sizes: readonly number[];
}

function hammer(named: ReturnType<typeof open>, seed: number): never {
  const { home, space } = named;
  const { words } = home;
  const next = random(seed);
  for (let turn = 1; ; turn++) {
    const slot = named.slots + Math.floor(next() * exchange.SLOTS);
    const handle = Atomics.load(words, slot);
    if (handle === 0) {
      try {
        const size =
          next() < 0.02 ? 2 ** 23 * (1 + next()) : next() < 0.2 ? next() * 2 ** 20 : next() * 20_000;
        const made = fill(space, Math.ceil(size), turn);
        space.keep(made);
        if (Atomics.compareExchange(words, slot, 0, made) !== 0) space.reclaim(made);
      } catch (error) {
        assert.ok(error instanceof OutOfMemoryError, String(error));
      }
    } else if (Atomics.compareExchange(words, slot, handle, 0) === handle) {
      space.take(handle);
      verify(space, handle);
      space.free(handle);
    }
    Atomics.add(words, named.turns, 1);
    if (turn % 16 === 0) home.wake(named.turns, 1);
  }
}
