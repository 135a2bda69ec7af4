/*
 * Workers of 1, 2 and 3 seconds take 3 s together, 6 s one by one. Started together they are done when the slowest is. If each
 * is joined before the next is started, they might as well be one process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Process } from 'manyhands';

const times = [1000, 2000, 3000];
const makeWorkers = () => times.map(ms => new Process({ target: async () => void (await sleep(ms)) }));

async function together() {
  const workers = makeWorkers();
  for (const worker of workers) worker.start();
  for (const worker of workers) await worker.join(); // the others go on meanwhile
}

async function oneByOne() {
  for (const worker of makeWorkers()) {
    worker.start();
    await worker.join(); // nobody else is at work
  }
}

await new Process({ target: () => {} }).start().join(); // the very first one takes longer
for (const run of [together, oneByOne]) {
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1000;
  console.log(`${run.name}: ${seconds.toFixed(1)} s, less than 1 + 2 + 3: ${seconds < 6}`);
}

// Output:
// together: … s, less than 1 + 2 + 3: true
// oneByOne: … s, less than 1 + 2 + 3: false
