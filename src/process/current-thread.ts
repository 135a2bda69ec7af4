import { isMainThread } from 'node:worker_threads';
import { KnownThread } from './known.js';
import { ownThread, Thread, type ThreadOptions } from './thread.js';

const MAIN = 'MainThread';
const MAIN_IDENT = 1;
let main: Thread | undefined;

/**
 * The thread that this is called on: its name, ident, nativeId and daemon; in a subclass of Thread with a run() of its own,
 * the very `this` of that. It cannot be waited for from within.
 * On the main thread its name is `MainThread`; on a worker that is no Thread of this library, a pool's for one, `Worker-5`.
 */
export function currentThread(): Thread {
  return isMainThread ? mainThread() : ownThread();
}

/** The main thread of this process, seen from wherever this is called. */
export function mainThread(): Thread {
  const { pid } = process;
  if (main?.nativeId !== pid)
    main = new Thread(new KnownThread(MAIN, false, MAIN_IDENT, pid) as ThreadOptions<any, any>); // or it is a fork by now
  return main;
}
