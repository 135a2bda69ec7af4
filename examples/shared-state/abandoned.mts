/*
 * A process is killed in the middle of a transfer, with the lock held. The sum has left one account and is not on the
 * other. The lock goes to the next one, who is told, and mends what was left behind.
 */

import { Process, SharedArray } from 'manyhands';

const accounts = new SharedArray('i', [100, 100]);
const TOTAL = 200;

async function transfer(sum: number, killed: boolean) {
  using guard = await accounts.getLock().acquire();
  if (guard.abandoned) {
    const missing = TOTAL - accounts.get(0) - accounts.get(1);
    accounts.set(0, accounts.get(0) + missing); // back to who has paid
  }
  accounts.set(0, accounts.get(0) - sum);
  if (killed) process.kill(process.pid, 'SIGKILL');
  accounts.set(1, accounts.get(1) + sum);
  return guard.abandoned;
}

const victim = new Process({ target: transfer, args: [70, true] }).start();
await victim.join();
console.log(`${victim.signalCode}:`, ...accounts);

const next = new Process({ target: transfer, args: [10, false] }).start();
console.log('abandoned:', await next.result());
console.log('mended, and 10 transferred:', ...accounts);

// Output:
// SIGKILL: 30 100
// abandoned: true
// mended, and 10 transferred: 90 110
