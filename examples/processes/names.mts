/*
 * The names of processes, given and by default. The name is for people, in messages and logs; the pid is for the kernel.
 */
import { currentProcess, Process } from 'manyhands';

const nameOfChild = () => {
  const grandchild = new Process({ target: () => currentProcess().name });
  grandchild.start();
  return grandchild.result();
};

const family = new Process({ target: nameOfChild });
const plain = new Process({ target: () => currentProcess().name });
const named = new Process({ target: () => currentProcess().name, name: 'cook' });

for (const child of [family, plain, named]) {
  child.start();
  console.log(`${child.name} says ${await child.result()}`);
}
console.log(currentProcess().name);

// Output:
// Process-1 says Process-1:1
// Process-2 says Process-2
// cook says cook
// MainProcess
