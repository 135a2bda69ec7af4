import { native } from '../native/native.js';
import { type Bequest, prepareFork } from '../wait/forks.js';
import { becomeForked, rehearseFork } from './after-fork.js';

/** Node 20's number, as it counts versions of its binary interface. */
const NODE_20 = '115';

/** What was left to children that have not been seen to end. */
const left = new Map<number, readonly Bequest[]>();

/**
 * fork(2) of this process as it is, on its main thread, without asking whether that is safe: 0 in the child, its pid in the
 * parent. The child is a member of the family of its own, with the parent's event loop, timers and sockets, and what the parent
 * shares with others. It ends as any forked child: when its event loop is empty. Whoever calls this sees to it that errors nobody
 * catches end the child, waits for it, and calls forkedHasEnded().
 */
export function forkSelf(): number {
  rehearseFork();
  const bequests = prepareFork();
  const parent = native.processId();
  let pid: number;
  try {
    pid = native.fork(process.versions.modules === NODE_20 ? 1 : 0);
  } catch (error) {
    for (const bequest of bequests) bequest.takeBack?.();
    throw error;
  }
  if (pid !== 0) {
    left.set(pid, bequests);
    return pid;
  }
  left.clear();
  becomeForked(parent);
  for (const bequest of bequests) bequest.take();
  return 0;
}

/** What follows from the end of a child of forkSelf(). To be called while it is still on the process table. */
export function forkedHasEnded(pid: number): void {
  const bequests = left.get(pid) ?? [];
  left.delete(pid);
  for (const bequest of bequests) bequest.takeBack?.();
  if (native.arenaFd() >= 0) native.bury(pid);
}
