/**
 * Children that have ended are zombies until somebody has asked how. Those of this library are asked for at once, joined or
 * not, even while their parent's event loop is blocked. Node's own wait for it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Process } from 'manyhands';
import { stateOf } from './kernel.mts';

const zombie = spawn('true');
while (!stateOf(zombie.pid)?.startsWith('Z')); // blocks the event loop, so Node cannot ask
console.log(`a child of node:child_process has ended: ${stateOf(zombie.pid)}`);

const child = new Process({ target: () => process.exit(7) }).start();
while (stateOf(child.pid)); // blocks it, too
console.log(`a Process has ended: ${stateOf(child.pid) ?? 'gone'}, exit code ${child.exitCode}`);
console.log(`the other one is still there: ${stateOf(zombie.pid)}`);

await once(zombie, 'exit'); // the event loop runs, and asks
console.log(`now it is not: ${stateOf(zombie.pid) ?? 'gone'}`);

// Output:
// a child of node:child_process has ended: Z (zombie)
// a Process has ended: gone, exit code 7
// the other one is still there: Z (zombie)
// now it is not: gone
