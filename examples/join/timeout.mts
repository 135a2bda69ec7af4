/*
 * join() with a timeout says whether the process has ended. If not, the process goes on as if nobody had asked, and can be
 * joined again.
 */
import { EventFlag, Process } from 'manyhands';

const enough = new EventFlag();
const child = new Process({ target: () => enough.wait(), name: 'patient' });
child.start();

console.log(`ended within 100 ms: ${await child.join({ timeout: 100 })}`); // it still waits for the flag
console.log(`alive: ${child.isAlive()}`);

enough.set();
console.log(`ended: ${await child.join()}`);
console.log(`alive: ${child.isAlive()}, exit code ${child.exitCode}`);

// Output:
// ended within 100 ms: false
// alive: true
// ended: true
// alive: false, exit code 0
