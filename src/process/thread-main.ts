/* The main script of a Thread's Worker. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';
import { REASON } from '../memory/layout.js';
import { indexOf, isAlive, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { watchDeaths } from '../wait/deaths.js';
import { onRing, ring } from '../wait/doorbell.js';
import { seeToTheEnd } from './children.js';
import { type Bedding, nameForKernel } from './cradle.js';
import { endCustody, takeCustody } from './custody.js';
import { adoptThreadIdentity, joinIdentity } from './identity.js';
import { inheritStartMethod } from './start-method.js';
import type { Birth } from './thread.js';
import { ENDING, WORD } from './thread-words.js';
import { carryOut, catchErrors, takeOn } from './work.js';

const { words, port } = workerData as Bedding;
const tid = native.threadId();
Atomics.store(words, WORD.TID, tid);
Atomics.store(words, WORD.READY, 1);
// Not on the event loop: what the thread finds is a Worker at its very beginning. SYNC POINT: its starter posts, then sets BORN.
if (Atomics.load(words, WORD.BORN) === 0) nameForKernel(tid);
Atomics.wait(words, WORD.BORN, 0);
const birth = (receiveMessageOnPort(port) as { message: Birth }).message;
const { starter } = birth;
const { name } = birth.thread;

nameForKernel(tid, name);
Atomics.store(words, WORD.TAG, self());
process.argv = [...birth.argv];
for (const [key, value] of Object.entries(birth.env ?? {})) {
  if (value === undefined) delete process.env[key];
  else process.env[key] = value;
}
hooksStayedBehind(); // what compiles TypeScript may work on the main thread alone, as tsx does on Node 20
setEntry(birth.entry);
joinIdentity(birth.identity);
adoptThreadIdentity(birth.thread);
inheritStartMethod(birth.startMethod);
catchErrors();
seeToTheEnd();
watchDeaths();
let isPublished = false;
tellOfTheEnd();
takeOn(
  name,
  (outcome, message, tickets) => {
    takeCustody(words, WORD.RESULT, tickets, starter);
    port.postMessage(message, [message.buffer as ArrayBuffer]);
    Atomics.store(words, WORD.OUTCOME, outcome); // last: from now on it counts, whatever becomes of this thread
    isPublished = true;
    ring(indexOf(starter), REASON.CHILD);
  },
  birth.isHooked ? tellStarter : undefined,
);
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

/** Has the starter's excepthook told of an error. */
function tellStarter(message: Uint8Array | null): boolean {
  if (!isAlive(starter)) return false;
  if (message === null) return true; // it has it
  port.postMessage(message, [message.buffer as ArrayBuffer]);
  Atomics.store(words, WORD.LATE, 1);
  return true; // it is rung at the end
}

/** Tells the exit code once all listeners of 'exit' have run, who may change it. */
function tellOfTheEnd(): void {
  const { emit } = process;
  process.emit = function (this: NodeJS.Process, event: string, ...rest: unknown[]): boolean {
    let threw = true;
    try {
      const heard: boolean = Reflect.apply(emit, this, [event, ...rest]);
      threw = false;
      return heard;
    } finally {
      if (event === 'exit') {
        words[WORD.CODE] = Number(process.exitCode ?? 0);
        const isDone = isPublished && !threw && !isPrinting();
        Atomics.store(words, WORD.ENDING, isDone ? ENDING.DONE : ENDING.BEGUN);
        ring(indexOf(starter), REASON.CHILD);
      }
    }
  } as typeof process.emit;
}

/** Has its starter's event loop not yet taken all that it printed? */
function isPrinting(): boolean {
  return process.stdout.writableLength > 0 || process.stderr.writableLength > 0;
}
