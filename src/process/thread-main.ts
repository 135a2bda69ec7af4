/* The main script of a Thread's Worker. */
import '../platform/quick-imports.js'; // first

import { type MessagePort, receiveMessageOnPort, threadId, workerData } from 'node:worker_threads';
import { setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';
import { REASON } from '../memory/layout.js';
import { indexOf, isAlive, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { endQuickImports } from '../platform/quick-imports.js';
import { watchDeaths } from '../wait/deaths.js';
import { onRing, ring } from '../wait/doorbell.js';
import { seeToTheEnd } from './children.js';
import { type Bedding, nameForKernel } from './cradle.js';
import { currentThread } from './current-thread.js';
import { endCustody, takeCustody } from './custody.js';
import { joinIdentity } from './identity.js';
import { enrol } from './roster.js';
import { inheritStartMethod } from './start-method.js';
import type { Birth } from './thread.js';
import { rehearseLife } from './thread-rehearsal.js';
import { ENDING, WORD } from './thread-words.js';
import { shareWords } from './timer-run.js';
import { carryOut, catchErrors, takeOn } from './work.js';

endQuickImports();
const { words, port, ahead } = workerData as Bedding;
const tid = native.threadId();
Atomics.store(words, WORD.TID, tid);
/** Participant tag of who started this thread. */
let starter: number;
let isPublished = false;
let done = false;
if (Atomics.load(words, WORD.BORN) !== 0) live();
else void rehearseLife(ahead).then(waitForBirth, waitForBirth); // it is of no consequence if it fails

/**
 * Not on the event loop: the thread finds its Worker at the beginning. SYNC POINT: its starter posts, then sets BORN, then wakes.
 */
function waitForBirth(): void {
  nameForKernel(tid);
  Atomics.store(words, WORD.READY, 1);
  Atomics.wait(words, WORD.BORN, 0);
  live();
}

function live(): void {
  const birth = (receiveMessageOnPort(port) as { message: Birth }).message;
  ({ starter } = birth);
  const { name } = birth;
  nameForKernel(tid, name);
  Atomics.store(words, WORD.TAG, self());
  process.argv = [...birth.argv];
  for (const [key, value] of Object.entries(birth.env ?? {})) {
    if (value === undefined) delete process.env[key];
    else process.env[key] = value;
  }
  hooksStayedBehind('thread');
  setEntry(birth.entry);
  joinIdentity(birth.identity);
  enrol({ ident: threadId + 1, name, daemon: birth.daemon });
  for (let later = receiveMessageOnPort(port); later; later = receiveMessageOnPort(port))
    currentThread().setName(later.message as string); // given to it before it had begun
  inheritStartMethod(birth.startMethod);
  catchErrors();
  seeToTheEnd();
  watchDeaths();
  tellOfTheEnd();
  shareWords(words);
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
  onRing(REASON.CHILD, letOutputGo);
  void carryOut(birth.task, () => endCustody(words, WORD.ARGS, starter)).then(() => {
    done = true;
    letOutputGo();
  });
}

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
