/* A message from a child to its parent. The queue lies in shared memory: the child has captured the very same one. */
import { Process, Queue } from 'manyhands';

using queue = new Queue<string>();

const child = new Process({
  target: () => queue.put(`hello from ${process.pid}, child of ${process.ppid}`),
}).start();

console.log(`${process.pid} got: ${await queue.get()}`);
await child.join();

// Output:
// <parent> got: hello from <child>, child of <parent>
