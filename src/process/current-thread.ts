import { isMainThread } from 'node:worker_threads';
import { isKnownDead } from '../memory/participants.js';
import { livingThreads } from './children.js';
import { KnownThread } from './known.js';
import { enrolled, nameOf } from './roster.js';
import { knownThread, ownThread, type Thread } from './thread.js';

const MAIN = 'MainThread';
const MAIN_IDENT = 1;
let main: Thread | undefined;
/** Threads of this process that others have started, by participant. */
const known = new Map<number, Thread>();

/**
 * The thread that this is called on: its name, ident, nativeId and daemon; in a subclass of Thread with a run() of its own,
 * the very `this` of that. It cannot be waited for from within.
 * On the main thread its name is `MainThread`; on a worker that is no thread of this library, `Worker-5`.
 */
export function currentThread(): Thread {
  if (isMainThread) return mainThread();
  const own = ownThread();
  own.getName();
  return own;
}

/** The main thread of this process, seen from wherever this is called. */
export function mainThread(): Thread {
  const { pid } = process;
  if (main?.nativeId !== pid) main = knownThread(new KnownThread(MAIN, false, MAIN_IDENT, pid, 0)); // or it is a fork by now
  return main;
}

/**
 * The threads of this process that are alive, in the order in which they were made: the main thread, this one, and all Threads and
 * workers of pools of threads, whoever started them. Those that this thread started are the Threads it has; of others it gets to know the
 * names (56 bytes of them), idents and so on, and cannot wait for them. One that another thread has just started is missing until it
 * has begun; so are Workers that the program made by other means. Old as soon as it is returned.
 *
 * Python: `threading.enumerate`.
 */
export function enumerateThreads(): Thread[] {
  const found = new Map<number, Thread>();
  for (const thread of [mainThread(), currentThread(), ...livingThreads()])
    found.set(thread.ident ?? 0, thread);
  const entries = enrolled();
  for (const { tag, ident, nativeId, daemon } of entries) {
    if (found.has(ident)) continue;
    const thread =
      known.get(tag) ?? knownThread(new KnownThread(nameOf(tag) ?? '', daemon, ident, nativeId, tag));
    known.set(tag, thread);
    found.set(ident, thread);
  }
  for (const tag of known.keys()) if (isKnownDead(tag)) known.delete(tag);
  const threads = [...found.values()].sort((a, b) => (a.ident ?? 0) - (b.ident ?? 0));
  for (const thread of threads) thread.getName();
  return threads;
}

/** How many threads of this process are alive: as many as enumerateThreads() finds. */
export function activeThreadCount(): number {
  return enumerateThreads().length;
}
