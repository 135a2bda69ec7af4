/*
 * What threads share and what not. Variables and globals are each thread's own, as in processes; what lies in shared memory,
 * and what belongs to the process, is everybody's.
 */
import { SharedArray, Thread, Value } from 'manyhands';

let variable = 1;
process.env.COLOUR = 'red';
using number = new Value('i', 1);
using array = new SharedArray('i', [1, 1, 1]);

const change = () => {
  variable = 2;
  process.env.COLOUR = 'blue';
  number.value = 2;
  array.view.fill(2);
  return { variable, colour: process.env.COLOUR, folder: process.cwd() };
};

const there = await new Thread({ target: change }).start().result();
console.log(`variable: ${there.variable} there, ${variable} here`);
console.log(`environment: ${there.colour} there, ${process.env.COLOUR} here`);
console.log(`Value: ${number.value} here, SharedArray: ${[...array]} here`);
console.log(`current folder: ${there.folder === process.cwd() ? 'the same' : 'another'}`);

// Output:
// variable: 2 there, 1 here
// environment: blue there, red here
// Value: 2 here, SharedArray: 2,2,2 here
// current folder: the same
