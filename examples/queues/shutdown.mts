/*
 * shutdown() ends all: no more items go in, also for a put that waits; what is in the queue still comes out; then every consumer's
 * loop ends, however many there are. With `immediate`, what is in the queue is dropped.
 */
import { Process, Queue, QueueShutDownError } from 'manyhands';

using queue = new Queue<number>();
const sum = async () => {
  let total = 0;
  for await (const n of queue) total += n; // ends once the queue is shut down and empty
  return total;
};
const consumers = [1, 2, 3].map(() => new Process({ target: sum }).start());
for (let n = 1; n <= 100; n++) await queue.put(n);
queue.shutdown();
const totals = await Promise.all(consumers.map(consumer => consumer.result()));
console.log('three consumers ended; together they got', totals[0] + totals[1] + totals[2]);

const ended = (error: unknown) => {
  if (!(error instanceof QueueShutDownError)) throw error;
  return `${error.name}: ${error.message.replace(/Queue \S+/, 'the queue')}`;
};
console.log(await queue.put(101).catch(ended));
console.log(await queue.get().catch(ended));

using full = new Queue<string>(1);
await full.put('in it');
const waiting = full.put('waits for room').catch(ended);
full.shutdown({ immediate: true });
console.log(await waiting);
console.log('left in the queue:', full.qsize());

// Output:
// three consumers ended; together they got 5050
// QueueShutDownError: Cannot put into …: nothing goes in any more
// QueueShutDownError: Cannot get from … nothing is left in it
// QueueShutDownError: Cannot put into …: nothing goes in any more
// left in the queue: 0
