import { subscribe } from 'node:diagnostics_channel';
import { isMainThread, type Worker } from 'node:worker_threads';
import { ForkUnsafeError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { isSingleThreaded } from '../platform/single-threaded.js';
import { seeToTheEnd } from './children.js';
import { forkSelf } from './fork-self.js';
import { rememberForked } from './forked-children.js';
import { identity } from './identity.js';
import { hasLeft, releaseReserve } from './reserve.js';
import { goOnCatchingErrors } from './work.js';

/** Those of this process, whoever made them, until their 'exit'. */
const workers = new Set<Worker>();

if (isSingleThreaded)
  subscribe('worker_threads', message => {
    const { worker } = message as { worker: Worker };
    workers.add(worker);
    worker.once('exit', () => workers.delete(worker));
  });

/**
 * fork(2): returns twice. The parent gets the child's pid, the child gets 0. The child has a copy of all that is in memory, made
 * as either writes to it, and goes on from this line, with its event loop: timers, sockets, promises go on in both, also from
 * within a callback or an async function.
 *
 * Shared: queues, locks and all else of this library, files and sockets. A lock that the parent holds stays the parent's. What
 * the parent waits for, it alone waits for: waits for locks and queues, file operations under way, events of its child
 * processes. Its Processes and Pools are its own; the child may start others, and fork() again.
 * End: the child ends when its event loop is empty, with the 'exit' listeners that the parent had; an error that nobody catches
 * ends it with 1. The parent need not wait for it: no zombie is left. If the parent ends, it lives on.
 * Output still in the buffer of a socket is written by both.
 *
 * Python: `os.fork`. See [fork()](../../docs/fork.md).
 *
 * Only on the main thread, in a program started for it: by `manyhands run FILE`, or by node --single-threaded; and in processes
 * that the fork server started.
 * @throws {ForkUnsafeError} It is not possible in this process, or not while worker threads live.
 *
 * @example
 * ```js file=twice.mjs
 * import { fork, os } from 'manyhands';
 *
 * const pid = fork();
 * if (pid === 0) process.exit(7); // the child
 * const [ended, status] = await os.waitpid(pid); // the parent
 * console.log(ended === pid, os.WIFEXITED(status), os.WEXITSTATUS(status));
 * ```
 *
 * ```console
 * $ npx manyhands run twice.mjs
 * true true 7
 * ```
 */
export function fork(): number {
  const reason = whyUnsafe();
  if (reason) throw new ForkUnsafeError(`Cannot fork() ${reason}`);
  const parent = process.pid;
  const pid = forkSelf();
  if (pid === 0) beginAnew(parent);
  else rememberForked(pid);
  return pid;
}

/** Why this process cannot be forked, after "Cannot …"; undefined: it can. */
export function whyUnsafe(): string | undefined {
  if (process.platform !== 'linux') return `on ${process.platform}: use a Process of another start method`;
  if (!isMainThread)
    return 'in a worker thread, as a child would have that thread only: call it on the main thread';
  if (!isSingleThreaded)
    return 'as V8 has threads of its own here, which a child would lack: start the program by "manyhands run FILE", or by "node --single-threaded FILE"';
  const threads = countThreads();
  if (threads > 0)
    return `as ${threads} worker thread${threads > 1 ? 's live' : ' lives'}, which a child would lack: wait for their end, or end them, first`;
  return undefined;
}

/** Worker threads that live. Those of our own that have come to their end may do so now. */
function countThreads(): number {
  if (workers.size === 0) return 0;
  releaseReserve();
  let count = 0;
  for (const worker of workers) if (!hasLeft(worker)) count++;
  return count;
}

function beginAnew(parent: number): void {
  // The end of a daemon's parent is the end of all that comes from it.
  if (identity()?.bound) native.endWithParent(parent);
  goOnCatchingErrors();
  seeToTheEnd();
}
