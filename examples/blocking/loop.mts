/**
 * A heart that beats every 10 ms on the event loop. It stops while this thread computes, and goes on while a process does.
 */
import { Process } from 'manyhands';

let beats = 0;
setInterval(() => beats++, 10).unref();

const countPrimes = (limit: number) => {
  let count = 0;
  candidates: for (let n = 2; n < limit; n++) {
    for (let d = 2; d * d <= n; d++) if (n % d === 0) continue candidates;
    count++;
  }
  return count;
};

const found = countPrimes(500_000);
console.log(`computed here: ${found} primes, ${beats} beats meanwhile`);

beats = 0;
const child = new Process({ target: countPrimes, args: [500_000] }).start();
const same = await child.result();
console.log(`computed in a process: ${same} primes, ${beats > 0 ? 'the heart went on' : 'no beat'}`);

// Output:
// computed here: 41538 primes, 0 beats meanwhile
// computed in a process: 41538 primes, the heart went on
