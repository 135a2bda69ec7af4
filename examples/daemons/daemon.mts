/*
 * A daemon that never gets to say "dead". It serves its parent and ends with it, in the middle of whatever it does.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag, Process } from 'manyhands';

const up = new EventFlag();

async function serve() {
  console.log('daemon: alive');
  up.set();
  await sleep(3_600_000);
  console.log('daemon: dead');
}

new Process({ target: serve, daemon: true }).start();
await up.wait();
console.log('parent: nothing left to do'); // it does not wait for daemons

// Output:
// daemon: alive
// parent: nothing left to do
