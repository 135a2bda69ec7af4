/*
 * A queue with room for two items: what it says when it is full and when it is empty, to those who will not wait, to those
 * who wait for a while, and to those who wait as long as it takes.
 */
import { Process, Queue, QueueEmptyError, QueueFullError } from 'manyhands';

using queue = new Queue<string>(2);
const look = () => console.log(`${queue.qsize()} items, empty: ${queue.empty()}, full: ${queue.full()}`);

look();
queue.putNowait('tea');
queue.putNowait('milk');
look();

try {
  queue.putNowait('sugar');
} catch (error) {
  if (error instanceof QueueFullError) console.log('no room now');
}
try {
  await queue.put('sugar', { timeout: 50 });
} catch (error) {
  if (error instanceof QueueFullError) console.log('no room within 50 ms, either');
}

const guest = new Process({ target: () => queue.getSync() }).start(); // takes one
await queue.put('sugar'); // waits until it has
console.log('the guest had', await guest.result());
look();

console.log(queue.getNowait(), 'and', await queue.get());
try {
  queue.getNowait();
} catch (error) {
  if (error instanceof QueueEmptyError) console.log('nothing left');
}

// Output:
// 0 items, empty: true, full: false
// 2 items, empty: false, full: true
// no room now
// no room within 50 ms, either
// the guest had tea
// 2 items, empty: false, full: true
// milk and sugar
// nothing left
