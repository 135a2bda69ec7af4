/*
 * A forked child has all that its parent had, yet copies nothing at first: both use the same pages of memory until one of them
 * writes to a page. The kernel tells how much memory is the child's alone. Started by `manyhands run`.
 */
import { readFileSync } from 'node:fs';
import { fork, os } from 'manyhands';

const MIB = 1024 * 1024;
const table = Buffer.alloc(64 * MIB, 1); // written to once, so the pages are really there

/** Memory that this process shares with nobody, in MiB. */
function ownMemory() {
  const [, kib] = /^Private_Dirty: +(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? [];
  return Number(kib) / 1024;
}

if (fork() === 0) {
  const before = ownMemory();
  let sum = 0;
  for (const byte of table) sum += byte;
  const read = ownMemory();
  table.fill(2);
  const written = ownMemory();
  const tell = (when: string, mib: number) =>
    console.log(`${when}: ${mib.toFixed()} MiB of its own, 64 or more: ${mib >= 64}`);
  tell('after the fork', before);
  tell(`after it has read ${sum / MIB} MiB`, read);
  tell('after it has written to them', written);
} else {
  await os.wait();
  console.log(`the parent's table begins with ${table[0]}`);
}

// Output:
// after the fork: … MiB of its own, 64 or more: false
// after it has read 64 MiB: … MiB of its own, 64 or more: false
// after it has written to them: … MiB of its own, 64 or more: true
// the parent's table begins with 1
