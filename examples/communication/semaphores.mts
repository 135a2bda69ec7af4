/*
 * A semaphore as a signal and as a counter. As a signal it begins at 0: one side releases when something is there, the other
 * acquires, and none is lost, as they are counted. As a counter it begins at the number of places: so many are inside at once.
 */
import { Barrier, Process, Semaphore, Value } from 'manyhands';

// A signal: the number itself lies in shared memory, the semaphore says when to look.
using there = new Semaphore(0);
using taken = new Semaphore(0);
using box = new Value('i');
const fill = async () => {
  for (const n of [1, 4, 9]) {
    box.value = n;
    there.release();
    await taken.acquire(); // not before it has been read
  }
};
const child = new Process({ target: fill }).start();
for (let i = 0; i < 3; i++) {
  await there.acquire();
  console.log('in the box:', box.value);
  taken.release();
}
await child.join();

// A counter: six want to cross, the bridge bears two.
using bridge = new Semaphore(2);
using pair = new Barrier(2);
using walkers = new Value('i');
const cross = async () => {
  using _place = await bridge.acquire(); // released at the end of the block
  const before = walkers.add(1);
  await pair.wait(); // only passed if there really are two
  walkers.add(-1);
  return before + 1;
};
const all = Array.from({ length: 6 }, () => new Process({ target: cross }).start());
const seen = await Promise.all(all.map(walker => walker.result()));
console.log(`${seen.length} have crossed, at most ${Math.max(...seen)} at once`);

// Output:
// in the box: 1
// in the box: 4
// in the box: 9
// 6 have crossed, at most 2 at once
