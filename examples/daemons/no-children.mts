/*
 * A daemon may not start processes. It is ended without being asked, and nobody would look after them. The attempt is an
 * error, in the daemon.
 */
import { LifecycleError, Process } from 'manyhands';

function haveChild() {
  try {
    new Process({ target: () => 'born' }).start();
  } catch (error) {
    if (!(error instanceof LifecycleError)) throw error;
    console.log(`${error.name}: ${error.message}`);
  }
}

for (const daemon of [true, false]) {
  const parent = new Process({ target: haveChild, name: daemon ? 'daemon' : 'ordinary', daemon });
  parent.start();
  await parent.join();
  console.log(`${parent.name}: exit code ${parent.exitCode}`);
}

// Output:
// LifecycleError: Cannot start Process-1:1 as daemon is a daemon: start it from a process that is none
// daemon: exit code 0
// ordinary: exit code 0
