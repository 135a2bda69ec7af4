/*
 * A hundred processes count down to 0 in three ways, timed side by side. One number is in a manager's dict, under the
 * manager's lock, one in a shared map, changed by update(), and one is a shared number, changed by add().
 */

import { Barrier, Manager, Process, SharedMap, Value } from 'manyhands';

const processes = process.argv.includes('--quick') ? 10 : 100;
const steps = 10; // of each, and one before to warm up
const count = processes * (steps + 1);

const manager = await Manager();
const dict = await manager.dict({ left: count });
const lock = await manager.lock();
const map = new SharedMap([['left', count]]);
const number = new Value('i', count);

const ways = [
  // to get and to set are two steps
  () => lock.runExclusive(async () => dict.set('left', ((await dict.get('left')) ?? 0) - 1)),
  // one step
  () => map.update('left', (left = 0) => left - 1),
  // one instruction of the processor
  () => number.add(-1),
];

const together = new Barrier(processes + 1); // and the parent, with the stop-watch

async function countDown() {
  for (const way of ways) {
    await way();
    await together.wait();
    for (let n = 0; n < steps; n++) await way();
    await together.wait();
  }
}

const children = Array.from({ length: processes }, () => new Process({ target: countDown }).start());
const times: string[] = [];
for (const _ of ways) {
  await together.wait();
  const start = performance.now();
  await together.wait();
  times.push(((performance.now() - start) / (processes * steps)).toFixed(4));
}
await Promise.all(children.map(child => child.result()));

console.log(`dict of a manager: ${await dict.get('left')} left, ${times[0]} ms a step`);
console.log(`SharedMap.update:  ${map.get('left')} left, ${times[1]} ms a step`);
console.log(`Value.add:         ${number.value} left, ${times[2]} ms a step`);
await manager.shutdown();

// Output of --quick:
// dict of a manager: 0 left, … ms a step
// SharedMap.update:  0 left, … ms a step
// Value.add:         0 left, … ms a step
