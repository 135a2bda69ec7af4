/*
 * A quick producer and a slow consumer. Without a bound the work piles up in memory; a bounded queue makes the producer
 * wait until there is room, so that it is never far ahead.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Process, Queue, Value } from 'manyhands';

const ITEMS = 20;
using made = new Value('i');

const produce = async (queue: Queue<number>) => {
  for (let n = 1; n <= ITEMS; n++) {
    made.value = n;
    await queue.put(n);
  }
  queue.shutdown(); // no more will come
};

using unbounded = new Queue<number>();
await new Process({ target: produce, args: [unbounded] }).start().join();
console.log(`unbounded: the producer has ended, and ${unbounded.qsize()} items wait`);

using bounded = new Queue<number>(3);
const producer = new Process({ target: produce, args: [bounded] }).start();
let ahead = 0;
for await (const n of bounded) {
  ahead = Math.max(ahead, made.value - n);
  await sleep(2); // slow work
}
await producer.join();
// Three lie in the queue, and one is in the producer's hand.
console.log('bounded: never more than 4 ahead:', ahead <= 4);

// Output:
// unbounded: the producer has ended, and 20 items wait
// bounded: never more than 4 ahead: true
