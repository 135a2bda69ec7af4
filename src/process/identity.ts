import { native } from '../native/native.js';
import { onFork } from '../wait/forks.js';
import type { Process } from './process.js';
import type { Thread } from './thread.js';

/** Who a process is within its family. */
export interface Identity {
  readonly name: string;
  /** '1:2' for the second process that the program's first one started; '' for the program itself. */
  readonly path: string;
  readonly daemon: boolean;
  /** It is killed when its parent ends, and so are its children. */
  readonly bound: boolean;
  readonly parent: {
    readonly pid: number;
    /** When it began, in clock ticks of the kernel: tells it from a later process with its pid. */
    readonly start: number;
    readonly name: string;
  };
}

let own: Identity | undefined;

/** The objects that stand for this process and this thread, in this thread, once there is need of them. */
export const present: { process: Process | undefined; thread: Thread | undefined } = {
  process: undefined,
  thread: undefined,
};

const PROCESSES = 0;
const THREADS = 1;
/** How many processes and threads this process has named so far: one count for all of its threads. */
let counts: Int32Array = new Int32Array(new SharedArrayBuffer(8));

/** This process's; undefined in the program itself. */
export function identity(): Identity | undefined {
  return own;
}

/** In a child. */
export function adoptIdentity(given: Identity): void {
  own = given;
  counts.fill(0);
  present.process = present.thread = undefined;
}

/** The name of this process. */
export function processName(): string {
  return present.process?.name ?? own?.name ?? 'MainProcess';
}

let began: { readonly pid: number; readonly start: number } | undefined;

/** When this process began, as Identity tells it of a parent. */
export function startOfProcess(): number {
  const { pid } = process;
  if (began?.pid !== pid) began = { pid, start: native.processStat(pid)?.[2] ?? 0 };
  return began.start;
}

// A fork is called as its parent is.
onFork(() => {
  if (!own) return undefined;
  const parent = { pid: process.pid, start: startOfProcess(), name: processName() };
  return {
    take: () => {
      if (own) own = { ...own, parent };
    },
  };
});

/** What a thread of this process is told of it. */
export interface SharedIdentity {
  readonly identity: Identity | undefined;
  readonly counts: Int32Array;
}

export function shareIdentity(): SharedIdentity {
  return { identity: own, counts };
}

/** In a thread. */
export function joinIdentity(given: SharedIdentity): void {
  own = given.identity;
  counts = given.counts;
}

/** The path of the next process that this one creates. */
export function nextPath(): string {
  const number = Atomics.add(counts, PROCESSES, 1) + 1;
  return own?.path ? `${own.path}:${number}` : String(number);
}

/** The name of the next thread that is given none. */
export function nextThreadName(): string {
  return `Thread-${Atomics.add(counts, THREADS, 1) + 1}`;
}

/** What a Thread is told of itself. */
export interface ThreadIdentity {
  readonly name: string;
  readonly daemon: boolean;
}

let thread: ThreadIdentity | undefined;

/** This thread's; undefined if it is the main thread, or none that Thread started. */
export function threadIdentity(): ThreadIdentity | undefined {
  return thread;
}

/** In a Thread. */
export function adoptThreadIdentity(given: ThreadIdentity): void {
  thread = given;
}
