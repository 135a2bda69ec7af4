/*
 * After fork() there are two of everything in memory. The child changes its own. Started by `manyhands run`.
 */
import { fork, os } from 'manyhands';

let money = 999;

if (fork() === 0) {
  money = 0;
  console.log(`child: money is ${money}`); // nothing is left to do: the child ends here
} else {
  await os.wait(); // until the child has ended
  console.log(`parent: money is ${money}`);
}

// Output:
// child: money is 0
// parent: money is 999
