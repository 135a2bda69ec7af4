/*
 * How much memory a forked child has of its own, before and after it writes. Parent and child use the same pages of memory
 * until one of them writes to a page. Started by `manyhands run`.
 */
import { readFileSync } from 'node:fs';
import { fork, os } from 'manyhands';

const table = Buffer.alloc(64 * 1024 * 1024, 1); // written to once, so the pages are really there

/** Memory that this process shares with nobody, in MiB. */
function ownMemory() {
  const [, kib] = /^Private_Dirty: +(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? [];
  return Number(kib) / 1024;
}

function tell(when: string) {
  const own = ownMemory();
  console.log(`${when}: ${own.toFixed()} MiB of its own, 64 or more: ${own >= 64}`);
}

if (fork() === 0) {
  tell('after the fork');
  table.includes(2); // looks at every byte, in vain
  tell('after reading the table');
  table.fill(2);
  tell('after writing to it');
} else {
  await os.wait();
  console.log(`the parent's table begins with ${table[0]}`);
}

// Output:
// after the fork: … MiB of its own, 64 or more: false
// after reading the table: … MiB of its own, 64 or more: false
// after writing to it: … MiB of its own, 64 or more: true
// the parent's table begins with 1
