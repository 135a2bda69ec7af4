/*
 * A daemon beside an ordinary child, and which of them finishes. The program ends when its last line has run and its ordinary
 * children have ended; until then daemons run, too. Then they are ended, finished or not.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag, Process } from 'manyhands';

const lastLine = new EventFlag();
const seen = new EventFlag();

async function watch() {
  await lastLine.wait();
  console.log('daemon: still here');
  seen.set();
  await sleep(3_600_000);
  console.log('daemon: finished');
}

async function work() {
  await seen.wait();
  console.log('ordinary child: finished');
}

new Process({ target: watch, daemon: true }).start();
new Process({ target: work }).start();
console.log('parent: this is the last line');
lastLine.set();

// Output:
// parent: this is the last line
// daemon: still here
// ordinary child: finished
