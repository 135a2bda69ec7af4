/*
 * Making a process from a function, with arguments. Options by name are an object among `args`, as in any TypeScript. Both
 * sides then say who they are.
 */
import { currentProcess, Process, parentProcess } from 'manyhands';

interface Options {
  greeting?: string;
  times?: number;
}

function greet(who: string, { greeting = 'Hello', times = 1 }: Options = {}) {
  for (let n = 0; n < times; n++) console.log(`${greeting}, ${who}!`);
  console.log(`I am ${currentProcess().name}, pid ${process.pid}`);
  console.log(`my parent is ${parentProcess()?.name}, pid ${process.ppid}`);
}

const child = new Process({ target: greet, args: ['Ada', { times: 2 }], name: 'greeter' });
child.start(); // from here on both run, side by side
await child.join(); // until it has ended: now it is our turn to print

console.log(`I am ${currentProcess().name}, pid ${process.pid}`);
console.log(`my child was ${child.name}, pid ${child.pid}`);

// Output:
// Hello, Ada!
// Hello, Ada!
// I am greeter, pid <child>
// my parent is MainProcess, pid <parent>
// I am MainProcess, pid <parent>
// my child was greeter, pid <child>
