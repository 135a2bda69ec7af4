/**
 * The life of a process: what the kernel says of its state, by a letter, and what the library makes of it.
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

/** Waits until the kernel shows the child with this letter. There is no event for that: one has to look. */
async function show(what: string, letter?: string): Promise<void> {
  while (letter && !stateOf(child.pid)?.startsWith(letter)) await sleep(1);
  console.log(`${what}: ${stateOf(child.pid) ?? '-'}, Process.state ${child.state}`);
}

await show('made');
child.start();
await show('computes', 'R'); // 'running', or 'ready' if others have the CPUs
enough.set();
await show('waits', 'S');
child.suspend();
await show('suspended', 'T');
child.resume();
await show('resumed', 'S');
child.kill();
await child.join();
await show('ended');

// A Process that has ended is taken off the table too soon to be seen there. Of Node's own children this is done by the event loop.
const other = spawn('true');
while (!stateOf(other.pid)?.startsWith('Z')); // blocks it
console.log(`ended, and nobody has asked how: ${stateOf(other.pid)}`);

// Output:
// made: -, Process.state new
// computes: R (running), Process.state <either>
// waits: S (sleeping), Process.state sleeping
// suspended: T (stopped), Process.state stopped
// resumed: S (sleeping), Process.state sleeping
// ended: -, Process.state terminated
// ended, and nobody has asked how: Z (zombie)
