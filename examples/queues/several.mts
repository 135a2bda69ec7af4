/*
 * Several producers and several consumers at one queue. One null ends one consumer: there must be as many of them as there are
 * consumers, and they must come after the last item, so they are put by whoever has waited for all producers.
 */
import { Process, Queue } from 'manyhands';

using queue = new Queue<string | null>(4);

const produce = async (kind: string) => {
  for (let n = 1; n <= 3; n++) await queue.put(`${kind} ${n}`);
};
const consume = async () => {
  const got: string[] = [];
  for (let item = await queue.get(); item !== null; item = await queue.get()) got.push(item);
  return got;
};

const kinds = ['apple', 'pear', 'plum'];
const consumers = [1, 2].map(() => new Process({ target: consume }).start());
const producers = kinds.map(kind => new Process({ target: produce, args: [kind] }).start());
await Promise.all(producers.map(producer => producer.join()));
for (const _ of consumers) await queue.put(null);

const shares = await Promise.all(consumers.map(consumer => consumer.result()));
console.log(`${shares.length} consumers got ${shares.flat().length} items:`);
console.log(shares.flat().sort().join(', '));

// Items of different producers mix; those of one stay in order.
const inOrder = (items: string[]) => items.join() === items.toSorted().join();
const kept = shares.every(share => kinds.every(kind => inOrder(share.filter(item => item.startsWith(kind)))));
console.log('in order:', kept);

// Output:
// 2 consumers got 9 items:
// apple 1, apple 2, apple 3, pear 1, pear 2, pear 3, plum 1, plum 2, plum 3
// in order: true
