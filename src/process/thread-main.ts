/* The main script of a Thread. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';
import { REASON } from '../memory/layout.js';
import { indexOf, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { watchDeaths } from '../wait/deaths.js';
import { onRing, ring } from '../wait/doorbell.js';
import { seeToTheEnd } from './children.js';
import { adoptThreadIdentity, joinIdentity } from './identity.js';
import { inheritStartMethod } from './start-method.js';
import { type Birth, endCustody, takeCustody, WORD } from './thread.js';
import { carryOut, catchErrors, takeOn } from './work.js';

const birth = workerData as Birth;
const { words, port, starter } = birth;

Atomics.store(words, WORD.TID, native.threadId());
Atomics.store(words, WORD.TAG, self());
process.argv = [...birth.argv];
hooksStayedBehind(); // what compiles TypeScript may work on the main thread alone, as tsx does on Node 20
setEntry(birth.entry);
joinIdentity(birth.identity);
adoptThreadIdentity(birth.thread);
inheritStartMethod(birth.startMethod);
catchErrors();
seeToTheEnd();
watchDeaths();
tellOfTheEnd();
takeOn(birth.thread.name, (outcome, message, tickets) => {
  takeCustody(words, WORD.RESULT, tickets, starter);
  port.postMessage(message, [message.buffer as ArrayBuffer]);
  Atomics.store(words, WORD.OUTCOME, outcome); // last: from now on it counts, whatever becomes of this thread
  ring(indexOf(starter), REASON.CHILD);
});
let done = false;
onRing(REASON.CHILD, letOutputGo);
void carryOut(birth.task, () => endCustody(words, WORD.ARGS, starter)).then(() => {
  done = true;
  letOutputGo();
});

/**
 * Node keeps this thread alive until its starter's event loop has taken what it printed. One that waits for the thread in
 * joinSync() would wait for ever: it finds the output afterwards. SYNC POINT: first `done`, then BLOCKED; the starter sets
 * BLOCKED, then rings.
 */
function letOutputGo(): void {
  if (!done || Atomics.load(words, WORD.BLOCKED) === 0) return;
  for (const stream of [process.stdout, process.stderr] as object[]) {
    const name = Object.getOwnPropertySymbols(stream).find(({ description }) => description === 'kPort');
    const port = name && (stream as Record<symbol, MessagePort>)[name];
    if (!port) continue;
    port.unref();
    port.ref = () => {}; // as it is for each write
  }
}

/** Tells the exit code once all listeners of 'exit' have run, who may change it. */
function tellOfTheEnd(): void {
  const { emit } = process;
  process.emit = function (this: NodeJS.Process, event: string, ...rest: unknown[]): boolean {
    try {
      return Reflect.apply(emit, this, [event, ...rest]);
    } finally {
      if (event === 'exit') {
        words[WORD.CODE] = Number(process.exitCode ?? 0);
        Atomics.store(words, WORD.ENDING, 1);
        ring(indexOf(starter), REASON.CHILD);
      }
    }
  } as typeof process.emit;
}
