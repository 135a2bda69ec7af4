/* A pipe goes both ways: each end sends what the other receives. The child answers until its parent hangs up. */
import { type Connection, Pipe, Process } from 'manyhands';

const answer = async (parent: Connection) => {
  for await (const word of parent) await parent.send(word.toUpperCase());
  console.log('child: the other end is closed');
};

const [ours, theirs] = Pipe<string>();
const child = new Process({ target: answer, args: [theirs] }).start();
theirs.close(); // the child has its own

for (const word of ['ready', 'steady', 'go']) {
  await ours.send(word);
  console.log('parent:', await ours.recv());
}
ours.close(); // ends the child's loop
await child.join();

// Output:
// parent: READY
// parent: STEADY
// parent: GO
// child: the other end is closed
