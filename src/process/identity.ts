import { readFileSync } from 'node:fs';
import { givenAuthkey, inheritAuthkey } from '../memory/authkey.js';
import { native } from '../native/native.js';
import { startOfRunning } from '../native/running.js';
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
  readonly parent: Parent;
}

/** Who started a process. */
export interface Parent {
  readonly pid: number;
  /** When it began, in clock ticks of the kernel: tells it from a later process with its pid. */
  readonly start: number;
  readonly name: string;
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
  tellParent(given.parent);
}

/** Does that very process run? One that has ended and waits to be reaped does not. */
export function isRunning({ pid, start }: Parent): boolean {
  return startOfRunning(pid) === start;
}

/** What those are called that the kernel takes for the parents of forked processes. */
const SERVERS = new Set(['mh-forkserver\n', 'mh-guardian\n']);

/** Has process.ppid name who started this process, as long as that runs; then who has it now, as the kernel says. */
function tellParent(parent: Parent): void {
  Object.defineProperty(process, 'ppid', {
    configurable: true,
    enumerable: true,
    get: () => (isRunning(parent) ? parent.pid : adopterAfter(parent)),
  });
}

/** Whose child this process is now that its parent is gone. The fork server is none of the family: its orphans are init's, so to speak. */
function adopterAfter(parent: Parent): number {
  const pid = native.processStat(process.pid)?.[1] ?? 1;
  if (pid === parent.pid) return 1; // the last threads of that are about to end
  try {
    return SERVERS.has(readFileSync(`/proc/${pid}/comm`, 'latin1')) ? 1 : pid;
  } catch {
    return 1; // it has ended just now
  }
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
  readonly authkey: Uint8Array | undefined;
}

export function shareIdentity(): SharedIdentity {
  return { identity: own, counts, authkey: givenAuthkey() };
}

/** In a thread. */
export function joinIdentity(given: SharedIdentity): void {
  own = given.identity;
  counts = given.counts;
  inheritAuthkey(given.authkey);
  if (own) tellParent(own.parent); // a Worker's `process` asks the kernel
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
