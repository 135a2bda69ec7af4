/*
 * Four ways for a process to end, and what its parent sees. It returns, it chooses an exit code, it throws, or it is killed.
 */
import { Process } from 'manyhands';

const ways = {
  returns: () => 'done',
  exits: () => process.exit(3),
  throws: () => {
    throw new RangeError('too much');
  },
  'is killed': () => process.kill(process.pid, 'SIGKILL'),
};

for (const [way, target] of Object.entries(ways)) {
  const child = new Process({ target: target as () => unknown, stdio: 'ignore' }); // errors are printed there
  child.start();
  const outcome = await child.result().catch((error: Error) => error.name);
  await child.join();
  console.log(`${way}: exit code ${child.exitCode}, signal ${child.signalCode}, ${outcome}`);
}

// Output:
// returns: exit code 0, signal null, done
// exits: exit code 3, signal null, WorkerDiedError
// throws: exit code 1, signal null, RangeError
// is killed: exit code null, signal SIGKILL, WorkerDiedError
