/*
 * imap() gives results as they come, in order, from input without an end. It takes items only as fast as its reader takes
 * results.
 */
import { Pool } from 'manyhands';

let taken = 0;
function* numbers() {
  for (let n = 2; ; n++) {
    taken++;
    yield n;
  }
}

const withPrimality = (n: number) => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return { n, isPrime: false };
  return { n, isPrime: true };
};

await using pool = new Pool(2);
const primes: number[] = [];
for await (const { n, isPrime } of pool.imap(withPrimality, numbers(), { buffer: 8 })) {
  if (isPrime) primes.push(n);
  if (primes.length === 10) break; // ends the generator, too
}
console.log(primes.join(' '));
console.log(`read up to ${primes.at(-1)}, no more than 8 ahead: ${taken <= 28 + 8}`);

// Output:
// 2 3 5 7 11 13 17 19 23 29
// read up to 29, no more than 8 ahead: true
