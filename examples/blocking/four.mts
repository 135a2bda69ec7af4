/**
 * The four ways to come by an answer. By the call itself (synchronous) or later (asynchronous), while the thread stands still
 * (blocking) or not. Which of the two, a worker finds out: it answers at the next beat of our event loop, or after 0.3 s
 * without.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag, Process, Queue } from 'manyhands';

const answers = new Queue<string>();
const beat = new EventFlag();
setInterval(() => beat.set(), 10).unref();

const work = (question: string) => {
  const goesOn = beat.waitSync({ timeout: 300 });
  answers.putSync(`${question}: the event loop ${goesOn ? 'goes on' : 'stands still'}`);
};
function ask(question: string) {
  beat.clear();
  return new Process({ target: work, args: [question] }).start();
}

ask('synchronous, blocking');
console.log(answers.getSync());

ask('synchronous, non-blocking');
while (answers.empty()) await sleep(5); // looks again and again, and can do other things in between
console.log(answers.getNowait());

const worker = ask('asynchronous, blocking');
answers.get().then(console.log); // is to be told, and
worker.joinSync(); // could do other things by now, but does not

const last = ask('asynchronous, non-blocking');
answers.get().then(console.log);
await last.join();

// Output:
// synchronous, blocking: the event loop stands still
// synchronous, non-blocking: the event loop goes on
// asynchronous, blocking: the event loop stands still
// asynchronous, non-blocking: the event loop goes on
