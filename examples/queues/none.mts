/* Producer and consumer with null (Python's None) as the sign that nothing more will come: the oldest of conventions. */
import { Process, Queue } from 'manyhands';

const produce = async (queue: Queue<string | null>) => {
  for (const dish of ['soup', 'bread', 'cake']) await queue.put(dish);
  await queue.put(null);
};
const consume = async (queue: Queue<string | null>) => {
  for (;;) {
    const dish = await queue.get();
    if (dish === null) break;
    console.log('ate the', dish);
  }
  console.log('that was all');
};

using queue = new Queue<string | null>();
const consumer = new Process({ target: consume, args: [queue] }).start();
const producer = new Process({ target: produce, args: [queue] }).start();
await producer.join();
await consumer.join();

// Output:
// ate the soup
// ate the bread
// ate the cake
// that was all
