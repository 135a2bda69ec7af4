/*
 * The first way to make a thread is a function with its arguments.
 */
import { currentThread, Thread } from 'manyhands';

const sum = (from: number, to: number) => {
  let total = 0;
  for (let n = from; n <= to; n++) total += n;
  return `${currentThread().name}: ${from} to ${to} make ${total}`;
};

const threads = [
  new Thread({ target: sum, args: [1, 1_000] }),
  new Thread({ target: sum, args: [1_001, 2_000], name: 'second half' }),
];
for (const thread of threads) thread.start(); // both run from here on
for (const thread of threads) console.log(await thread.result());
for (const thread of threads) console.log(`joined ${thread.name}: ${await thread.join()}`);

// Output:
// Thread-1: 1 to 1000 make 500500
// second half: 1001 to 2000 make 1500500
// joined Thread-1: true
// joined second half: true
