/**
 * An orphan, a process whose parent ends first. The kernel gives it another one at once: init, which is process 1, or the
 * nearest process above that has asked for orphans (a "subreaper", as systemd is for a user). Started by `manyhands run`, as it
 * forks.
 */
import { readFileSync } from 'node:fs';
import { EventFlag, fork, os } from 'manyhands';

const [born, alone, done] = [new EventFlag(), new EventFlag(), new EventFlag()];
const tell = (who: string) => console.log(`${who} ${process.pid}, whose parent is ${process.ppid}`);

tell('program');
if (fork() === 0) {
  tell('parent');
  if (fork() === 0) {
    tell('child');
    born.set();
    await alone.wait();
    tell('orphan');
    console.log(`adopted by ${readFileSync(`/proc/${process.ppid}/comm`, 'utf8').trim()}`);
    done.set();
  } else await born.wait(); // and that is all: it ends, without waiting for its child
} else {
  await os.wait();
  console.log('the parent has ended');
  alone.set();
  await done.wait(); // os.wait() does not: a grandchild is no child
}

// Output:
// program <program>, whose parent is …
// parent <parent>, whose parent is <program>
// child <child>, whose parent is <parent>
// the parent has ended
// orphan <child>, whose parent is <adopter>
// adopted by …
