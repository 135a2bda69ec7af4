/**
 * Looking processes up as one does in a terminal, by ps. A small machine may have none. Then the files under /proc tell the
 * same.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Process, type ProcessState, Semaphore } from 'manyhands';
import { stateOf, statusOf } from './kernel.mts';

const byPs = () =>
  execFileSync('ps', ['-A', '-o', 'pid,ppid,stat,comm'], { encoding: 'utf8' })
    .split('\n')
    .map(line => line.trim().split(/\s+/));

const byProc = () =>
  readdirSync('/proc')
    .map(name => statusOf(Number(name)))
    .map(status => [status?.Pid, status?.PPid, status?.State, status?.Name]);

function processes(): (string | undefined)[][] {
  try {
    return byPs();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return byProc();
  }
}

async function until(child: Process, state: ProcessState) {
  while (child.state !== state) await sleep(1);
}

const ready = new Semaphore(0);
const idle = () => {
  ready.release();
  return sleep(60_000);
};
const [sleeping, stopped] = ['anna', 'ben'].map(name =>
  new Process({ target: idle, name, daemon: true }).start(),
);
await ready.acquire();
await ready.acquire();
await until(sleeping, 'sleeping');
await until(stopped, 'sleeping');
stopped.suspend();
await until(stopped, 'stopped');
const zombie = spawn('true');
while (!stateOf(zombie.pid)?.startsWith('Z')); // from here on nothing is awaited, so that it stays one

const table = processes();
function show(who: string, pid: unknown) {
  const [, ppid, state, name] = table.find(([id]) => id === String(pid)) ?? [];
  console.log(`${who}: pid ${pid}, ppid ${ppid}, ${state?.[0]}, ${name}`);
  return ppid;
}
show('this program', process.pid);
const server = show('a child that sleeps', sleeping.pid);
show('a child that is suspended', stopped.pid);
show('a child that nobody has asked', zombie.pid);
show('the fork server', server);

// Output:
// this program: pid <program>, ppid …
// a child that sleeps: pid …, ppid <server>, S, anna
// a child that is suspended: pid …, ppid <server>, T, ben
// a child that nobody has asked: pid …, ppid <program>, Z, true
// the fork server: pid <server>, ppid …, S, mh-forkserver
