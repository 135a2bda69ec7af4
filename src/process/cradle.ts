import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MessageChannel, type MessagePort, type ResourceLimits, Worker } from 'node:worker_threads';
import { threadIds } from '../memory/participants.js';
import { startOfRunning } from '../native/running.js';
import { WORD } from './thread-words.js';

/** A thread as the kernel knows it: its start tells one id from its next use. */
interface Kernel {
  readonly tid: number;
  readonly start: number | undefined;
}

/** A Worker of this library before a thread is born in it, and what the two sides share. */
export interface Cradle {
  readonly worker: Worker;
  /** See WORD. */
  readonly words: Int32Array;
  /** The starter's end: what the thread has to do goes in, what comes of it comes out. */
  readonly port: MessagePort;
  /** New threads of this process that it may be, until it says which. */
  readonly born: readonly Kernel[];
}

/** What its main script, thread-main.ts, is given. */
export interface Bedding {
  readonly words: Int32Array;
  readonly port: MessagePort;
  /** Files that it loads if it has to wait for a thread. */
  readonly ahead: readonly string[];
}

const ahead: string[] = [];

/** Has Workers that wait for a thread load this file of the library's, so that a thread which needs it need not. */
export function loadAhead(file: string): void {
  ahead.push(file);
}

const TASKS = '/proc/self/task';

/** Boots one. It does not keep the event loop alive. Throws what Node does if the system gives no thread. */
export function makeCradle(resourceLimits?: ResourceLimits): Cradle {
  const words = new Int32Array(new SharedArrayBuffer(4 * Object.keys(WORD).length));
  const { port1, port2 } = new MessageChannel();
  const before = new Set(readdirSync(TASKS));
  let worker: Worker;
  try {
    worker = new Worker(path.join(__dirname, 'thread-main.js'), {
      workerData: { words, port: port2, ahead } satisfies Bedding,
      transferList: [port2],
      resourceLimits,
    });
  } catch (error) {
    port1.close();
    throw error;
  }
  worker.unref();
  const born = readdirSync(TASKS)
    .filter(tid => !before.has(tid))
    .map(Number)
    .map(tid => ({ tid, start: startOfRunning(tid) }));
  return { worker, words, port: port1, born };
}

/** May it exist still? "No" is final. */
export function mayExist({ words, born }: Cradle): boolean {
  const tid = Atomics.load(words, WORD.TID);
  if (tid !== 0) return born.some(one => one.tid === tid && exists(one));
  if (!born.some(exists)) return false;
  // Others may have been born at the same moment: it is none of those that have told more than this one.
  const others = threadIds();
  if (Atomics.load(words, WORD.TID) !== 0) return true;
  return born.some(one => !others.has(one.tid) && !isIdle(one.tid) && exists(one));
}

/** What the kernel calls a Worker that waits for a thread. */
const IDLE = 'mh-reserve';

/** Has the kernel call thread `tid` of this process so, as far as it takes it: the first 15 bytes. */
export function nameForKernel(tid: number, name = IDLE): void {
  try {
    writeFileSync(`${TASKS}/${tid}/comm`, name);
  } catch {} // for people to read: nothing depends on it
}

function isIdle(tid: number): boolean {
  try {
    return readFileSync(`${TASKS}/${tid}/comm`, 'latin1') === `${IDLE}\n`;
  } catch {
    return false; // it is gone
  }
}

function exists({ tid, start }: Kernel): boolean {
  return start !== undefined && startOfRunning(tid) === start;
}
