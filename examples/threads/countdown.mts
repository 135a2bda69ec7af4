/*
 * A hundred threads count one number down to 0. It lies in shared memory, and add() is one step, which nobody can come
 * between. So no count is lost: each number is seen by one thread.
 */
import { Thread, Value } from 'manyhands';

const THREADS = process.argv.includes('--quick') ? 20 : 100;
const WAVE = 20; // so many at a time: each has a heap of its own, some megabytes
using left = new Value('i', THREADS);
const countDown = () => left.add(-1); // returns what was there before

const seen = new Set<number>();
for (let started = 0; started < THREADS; started += WAVE) {
  const wave = Array.from({ length: WAVE }, () => new Thread({ target: countDown }).start());
  for (const thread of wave) {
    seen.add(await thread.result());
    await thread.join(); // its memory is free again
  }
  console.log(`${started + WAVE} threads, ${left.value} left`);
}
console.log(`different numbers seen: ${seen.size}, from ${Math.max(...seen)} to ${Math.min(...seen)}`);

// Output of --quick:
// 20 threads, 0 left
// different numbers seen: 20, from 20 to 1

// All hundred:
// 20 threads, 80 left
// 40 threads, 60 left
// 60 threads, 40 left
// 80 threads, 20 left
// 100 threads, 0 left
// different numbers seen: 100, from 100 to 1
