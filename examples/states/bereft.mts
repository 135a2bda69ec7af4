/**
 * A Process that is no daemon lives on when its parent ends. It can know its parent, learn of its end, and come to an end in
 * good order itself, rather than work for nobody.
 */
import { EventFlag, Process, parentProcess } from 'manyhands';

const [born, done] = [new EventFlag(), new EventFlag()];

const child = async () => {
  const parent = parentProcess();
  console.log(`child: my parent is "${parent?.name}", alive: ${parent?.isAlive()}`);
  born.set();
  await parent?.join();
  console.log(`child: alive: ${parent?.isAlive()}, so I have a new parent, ${process.ppid}, and tidy up`);
  done.set();
};
const parent = async () => {
  new Process({ target: child }).start();
  await born.wait();
  process.exit(); // does not wait for children; to return would
};

new Process({ target: parent, name: 'parent' }).start();
await done.wait();

// Output:
// child: my parent is "parent", alive: true
// child: alive: false, so I have a new parent, 1, and tidy up
