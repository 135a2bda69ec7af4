import { self } from '../memory/participants.js';
import { onFork } from '../wait/forks.js';

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
    readonly name: string /** Its participant tag. */;
    readonly tag: number;
  };
}

let own: Identity | undefined;

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
}

// A fork is called as its parent is.
onFork(() => {
  if (!own) return undefined;
  const parent = { pid: process.pid, name: own.name, tag: self() };
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
