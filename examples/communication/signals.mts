/*
 * A signal says that something has happened, and nothing else: it has a number, but no contents, and it is not counted. Parent and
 * child greet each other by SIGUSR2; then five signals are sent to a child that cannot hear for a moment, and one arrives.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag, Process } from 'manyhands';

using ready = new EventFlag();
using heard = new EventFlag();

const listen = async () => {
  let count = 0;
  const stay = setInterval(() => {}, 60_000); // a handler alone does not keep a process
  process.on('SIGUSR2', () => {
    count++;
    heard.set();
  });
  ready.set(); // before this, the signal would have killed us
  await heard.wait();
  process.kill(process.ppid, 'SIGUSR2'); // hello yourself
  await once(process, 'SIGTERM');
  clearInterval(stay);
  return count;
};

const child = new Process({ target: listen }).start();
const signal = (name: NodeJS.Signals) => process.kill(child.pid as number, name);

const greeted = once(process, 'SIGUSR2');
await ready.wait();
signal('SIGUSR2');
console.log('the child answered with', (await greeted)[0]);

heard.clear();
child.suspend(); // SIGSTOP, which nobody can refuse
while (child.state !== 'stopped') await sleep(1);
for (let n = 0; n < 5; n++) signal('SIGUSR2'); // pending is pending: there is one bit for it
child.resume(); // SIGCONT
await heard.wait();
child.terminate(); // SIGTERM: please end
console.log('sent 1 + 5, heard', await child.result());
await child.join();
console.log('exit code', child.exitCode); // it ended by itself

// Output:
// the child answered with SIGUSR2
// sent 1 + 5, heard 2
// exit code 0
