/*
 * Who is there, by names and idents. The current thread and the main one, all that are alive, and how many that is.
 */
import {
  activeThreadCount,
  Barrier,
  currentThread,
  EventFlag,
  enumerateThreads,
  mainThread,
  Thread,
} from 'manyhands';

using here = new Barrier(3);
using end = new EventFlag();
const stay = async () => {
  if (currentThread().name === 'cook') currentThread().setName('head cook'); // it may rename itself
  await here.wait();
  await end.wait();
  return currentThread().name;
};

console.log('current is main:', currentThread() === mainThread());
const threads = [new Thread({ target: stay }), new Thread({ target: stay, name: 'cook' })];
console.log('before:', activeThreadCount());
for (const thread of threads) thread.start();
await here.wait(); // until both are here
console.log('while they run:', activeThreadCount());
for (const { name, ident, nativeId } of enumerateThreads())
  console.log(`  ${name}: ident ${ident}, in the kernel ${nativeId}`);

end.set();
for (const thread of threads) console.log(`${await thread.result()} ends: ${await thread.join()}`);
console.log(
  'after:',
  enumerateThreads().map(thread => thread.name),
);

// Output:
// current is main: true
// before: 1
// while they run: 3
//   MainThread: ident 1, in the kernel …
//   Thread-1: ident …, in the kernel …
//   head cook: ident …, in the kernel …
// Thread-1 ends: true
// head cook ends: true
// after: [ 'MainThread' ]
