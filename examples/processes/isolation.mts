/*
 * A child changes a variable, and the parent's stays what it was. Processes do not share memory: the child has a copy.
 */
import { Process } from 'manyhands';

let money = 999;

const spend = () => {
  money = 0;
  console.log(`child: money is ${money}`);
};

const child = new Process({ target: spend });
child.start();
await child.join(); // the child has spent it all by now

console.log(`parent: money is ${money}`);

// Output:
// child: money is 0
// parent: money is 999
