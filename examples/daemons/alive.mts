/*
 * isAlive() before and after terminate(). That only sends a signal, SIGTERM: the process is certainly dead after join(), not
 * before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Process } from 'manyhands';

const child = new Process({ target: async () => void (await sleep(3_600_000)) });
console.log(`made: alive ${child.isAlive()}`);

child.start();
console.log(`started: alive ${child.isAlive()}`);

child.terminate(); // at this moment it may be either: the signal is on its way
await child.join();
console.log(
  `terminated and joined: alive ${child.isAlive()}, exit code ${child.exitCode}, ${child.signalCode}`,
);

// Output:
// made: alive false
// started: alive true
// terminated and joined: alive false, exit code null, SIGTERM
