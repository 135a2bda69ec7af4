/*
 * What a task comes to is a promise that can also be asked. Is it ready, did it succeed? And one may wait just a while.
 */
import { EventFlag, Pool, TimeoutError } from 'manyhands';

using gate = new EventFlag();
const slow = async (answer: number) => {
  await gate.wait();
  return answer;
};
const wrong = () => JSON.parse('{');

await using pool = new Pool(2);
const result = pool.applyAsync(slow, [42]);
console.log('ready:', result.ready());
try {
  await result.get({ timeout: 20 });
} catch (error) {
  console.log('in 20 ms:', error instanceof TimeoutError ? 'nothing yet' : error);
}

gate.set();
console.log('waited for:', await result.wait());
console.log('ready:', result.ready(), 'successful:', result.successful());
console.log('value:', await result.get(), await result); // as often as one likes

const failure = pool.applyAsync(wrong);
console.log('waited for:', await failure.wait(), 'successful:', failure.successful());
await failure.catch(error => console.log('error:', error.name)); // thrown there, rejected here

// Output:
// ready: false
// in 20 ms: nothing yet
// waited for: true
// ready: true successful: true
// value: 42 42
// waited for: true successful: false
// error: SyntaxError
