/*
 * A process that tidies up when it is asked to end. SIGTERM is a request: who listens for it is alive until it is done. kill()
 * sends SIGKILL, for which nobody can listen.
 */
import { once } from 'node:events';
import { EventFlag, Process } from 'manyhands';

const ready = new EventFlag();
const mayEnd = new EventFlag();

async function work() {
  const asked = once(process, 'SIGTERM');
  const alive = setInterval(() => {}, 1000); // to listen for a signal does not keep a process alive
  ready.set();
  await asked;
  await mayEnd.wait(); // here it would finish what it is at
  clearInterval(alive);
  return 'tidied up';
}

const child = new Process({ target: work });
child.start();
await ready.wait();

child.terminate();
console.log(`alive after terminate(): ${child.isAlive()}`);
mayEnd.set();
console.log(`result: ${await child.result()}`);
await child.join();
console.log(`alive after join(): ${child.isAlive()}, exit code ${child.exitCode}`);

// Output:
// alive after terminate(): true
// result: tidied up
// alive after join(): false, exit code 0
