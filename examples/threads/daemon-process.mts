/*
 * A daemon process is told to end, a daemon thread just stops. The process hears SIGTERM when the program ends and may say a
 * last word. And it may not start processes, while a daemon thread may start threads.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Process, Queue, Thread } from 'manyhands';

const begun = new Queue<string>();
const startThread = async () => new Thread({ target: () => {} }).start().join();
const startProcess = async () => new Process({ target: () => {} }).start().join();

const serve = async (who: string, startAnother: () => Promise<boolean>) => {
  process.once('SIGTERM', () => process.exit());
  process.once('exit', () => console.log(`${who}: told to end, and tidies up`));
  const outcome = await startAnother().then(
    () => 'has started another',
    error => `may not start another: ${error.name}`,
  );
  await begun.put(`${who}: ${outcome}`);
  await sleep(60_000);
};

new Thread({ target: serve, args: ['daemon thread', startThread], daemon: true }).start();
new Process({ target: serve, args: ['daemon process', startProcess], daemon: true }).start();
console.log(await begun.get());
console.log(await begun.get());
console.log('the program ends');

// Unordered output:
// daemon thread: has started another
// daemon process: may not start another: LifecycleError
// Output:
// the program ends
// daemon process: told to end, and tidies up
