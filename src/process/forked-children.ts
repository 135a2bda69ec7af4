import { LifecycleError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { onBlock } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import { forkedHasEnded } from './fork-self.js';

/*
 * The children that fork() has made. They are waited for as soon as they end, so that none stays a zombie; how each has ended is
 * kept for who asks. Only these are touched: others may be children of child_process, which waits for its own.
 */

/** Pid and raw wait status. */
export type Ended = [pid: number, status: number];

/** How many statuses are kept that nobody has asked for; the oldest go first. */
const KEPT = 4096;
/** How often to look, while this thread blocks, for those that have ended, ms. */
const LOOK_WHILE_BLOCKED = 20;
const ANY = -1;

interface Waiter {
  /** ANY, or the one that it waits for. */
  readonly pid: number;
  resolve(ended: Ended): void;
  reject(error: unknown): void;
}

const living = new Set<number>();
/** Those that are nobody's business but one's: whom to tell the status. */
const tended = new Map<number, (status: number) => void>();
/** Statuses of those that have ended, the oldest first. */
const kept = new Map<number, number>();
const waiters: Waiter[] = [];

export function rememberForked(pid: number): void {
  kept.delete(pid); // it is that of an earlier process of this number
  living.add(pid);
  native.onChild(reap);
}

/** Has `ended` called once this child of forkSelf() is off the process table. wait() and its kin do not know it. */
export function tendForked(pid: number, ended: (status: number) => void): void {
  tended.set(pid, ended);
  native.onChild(reap);
}

onFork(() => ({
  take: () => {
    living.clear();
    tended.clear();
    kept.clear();
    waiters.length = 0;
    native.holdChildren(0);
  },
}));

// The event loop does not run: others may wait for what one that has ended had.
onBlock(() => {
  reap();
  return living.size + tended.size > 0 ? LOOK_WHILE_BLOCKED : undefined;
});

/** Waits for all that have ended. */
function reap(): void {
  while (living.size + tended.size > 0) {
    const pid = native.endedChild();
    if (pid === 0) return;
    if (living.has(pid) || tended.has(pid)) buryForked(pid);
    else {
      // Somebody else's, which hides those behind it.
      for (const one of [...living, ...tended.keys()]) buryForked(one);
      return;
    }
  }
}

/** Takes it off the process table and notes how it has ended, if it has. */
export function buryForked(pid: number): void {
  if (native.awaitExit(pid, 0, 0) < 0) return;
  const tell = tended.get(pid);
  living.delete(pid);
  tended.delete(pid);
  forkedHasEnded(pid);
  const status = native.awaitExit(pid, 0, 1);
  if (tell) {
    tell(status);
    return;
  }
  kept.set(pid, status);
  const waiter = waiters.findIndex(one => one.pid === pid || one.pid === ANY);
  if (waiter >= 0) waiters.splice(waiter, 1)[0].resolve(take(pid) as Ended);
  else if (kept.size > KEPT) for (const oldest of kept.keys()) return void kept.delete(oldest);
  for (const one of waiters.filter(({ pid }) => !isKnown(pid))) {
    waiters.splice(waiters.indexOf(one), 1);
    one.reject(noChild(one.pid));
  }
  if (waiters.length === 0) native.holdChildren(0);
}

function isKnown(pid: number): boolean {
  return pid === ANY ? living.size + kept.size > 0 : living.has(pid) || kept.has(pid);
}

/** How `pid`, or whichever of them ended first, has ended; undefined: it has not. */
function take(pid: number): Ended | undefined {
  for (const one of pid === ANY ? kept.keys() : [pid]) {
    const status = kept.get(one);
    if (status === undefined) return undefined;
    kept.delete(one);
    return [one, status];
  }
  return undefined;
}

/** How `pid`, or any, has ended; undefined: it has not. @throws {LifecycleError} There is no such child. */
export function takeEnded(pid: number): Ended | undefined {
  reap();
  if (!isKnown(pid)) throw noChild(pid);
  return take(pid);
}

/** Waits for the end of `pid`, or of any. Keeps the event loop alive. */
export async function awaitEnded(pid: number): Promise<Ended> {
  const ended = takeEnded(pid);
  if (ended) return ended;
  native.holdChildren(1);
  return new Promise((resolve, reject) => waiters.push({ pid, resolve, reject }));
}

/** The same, blocking this thread. */
export function awaitEndedSync(pid: number): Ended {
  for (;;) {
    const ended = takeEnded(pid);
    if (ended) return ended;
    native.awaitAny(Int32Array.from(pid === ANY ? living : [pid]), -1);
  }
}

function noChild(pid: number): LifecycleError {
  return new LifecycleError(
    pid === ANY
      ? 'Cannot wait for a child as fork() has made none that has not been waited for: call fork() first'
      : `Cannot wait for process ${pid} as it is no child that fork() has made, or has been waited for: a Process is waited for by join()`,
  );
}
