/*
 * A JoinableQueue knows what is unfinished: each item got owes a taskDone(). Consumers are daemons that work for ever; nobody tells
 * them that it is over. Once all is done they have nothing left to lose, and end with the program.
 */
import { JoinableQueue, Process } from 'manyhands';

using parcels = new JoinableQueue<string>();

const deliver = async () => {
  for (;;) {
    const parcel = await parcels.get();
    console.log('delivered the', parcel); // the work comes first
    parcels.taskDone();
  }
};
for (let n = 0; n < 2; n++) new Process({ target: deliver, daemon: true }).start();

const pack = async (...things: string[]) => {
  await parcels.putMany(things);
};
const packers = [
  new Process({ target: pack, args: ['book', 'lamp'] }).start(),
  new Process({ target: pack, args: ['chair', 'globe', 'kite'] }).start(),
];
await Promise.all(packers.map(packer => packer.join())); // all is in the queue
await parcels.join(); // and all of it is done
console.log('nothing is left to do');

// Unordered output:
// delivered the book
// delivered the lamp
// delivered the chair
// delivered the globe
// delivered the kite
// Output:
// nothing is left to do
