/*
 * Daemon threads do not keep the program alive. It ends when all others have ended, and takes them with it. There are three
 * ways to make one, all before start().
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Barrier, EventFlag, LifecycleError, Thread } from 'manyhands';

const begun = new Barrier(5);
const last = new EventFlag();
const serve = async () => {
  await begun.wait();
  await sleep(60_000);
  console.log('never printed');
};
const work = async () => {
  await begun.wait();
  await last.wait();
  console.log('the ordinary thread is done');
};

const option = new Thread({ target: serve, daemon: true, name: 'by option' });
const property = new Thread({ target: serve, name: 'by property' });
property.daemon = true;
const method = new Thread({ target: serve, name: 'by setDaemon' });
method.setDaemon(true);

const ordinary = new Thread({ target: work, name: 'ordinary' });
for (const thread of [option, property, method, ordinary]) {
  console.log(`${thread.name}: ${thread.daemon ? 'a daemon' : 'no daemon'}`);
  thread.start();
}
try {
  ordinary.setDaemon(true);
} catch (error) {
  console.log(error instanceof LifecycleError, (error as Error).message);
}
await begun.wait();
console.log('the main thread has nothing left to do');
last.set();

// Output:
// by option: a daemon
// by property: a daemon
// by setDaemon: a daemon
// ordinary: no daemon
// true Cannot set daemon of ordinary as it has started: set it before start()
// the main thread has nothing left to do
// the ordinary thread is done
