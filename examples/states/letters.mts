/**
 * The life of a process, by the letters of the kernel and the words of the library.
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag, Process } from 'manyhands';
import { stateOf } from './kernel.mts';

const enough = new EventFlag();
const child = new Process({
  target: () => {
    while (!enough.isSet()); // computes: needs a CPU, and nothing else
    return sleep(60_000); // waits: needs no CPU
  },
});

const look = () => `${stateOf(child.pid) ?? 'not there'}, Process.state ${child.state}`;

/** Waits until that is to be seen. There is no event for it: one has to look. */
async function show(what: string, expected: RegExp): Promise<void> {
  let seen = look();
  while (!expected.test(seen)) {
    await sleep(1);
    seen = look();
  }
  console.log(`${what}: ${seen}`);
}

await show('made', /new/);
child.start();
await show('computes', /^R.* (running|ready)/); // 'ready' if others have the CPUs
enough.set();
await show('waits', /^S.* sleeping/);
child.suspend();
await show('suspended', /^T.* stopped/);
child.resume();
await show('resumed', /^S.* sleeping/);
child.kill();
await child.join();
await show('ended', /terminated/);

// A Process that has ended is taken off the table too soon to be seen there. Node's own children wait for the event loop.
const other = spawn('true');
while (!stateOf(other.pid)?.startsWith('Z')); // blocks it
console.log(`ended, and nobody has asked how: ${stateOf(other.pid)}`);

// Output:
// made: not there, Process.state new
// computes: R (running), Process.state <either>
// waits: S (sleeping), Process.state sleeping
// suspended: T (stopped), Process.state stopped
// resumed: S (sleeping), Process.state sleeping
// ended: not there, Process.state terminated
// ended, and nobody has asked how: Z (zombie)
