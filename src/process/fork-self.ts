import { native } from '../native/native.js';
import { becomeForked } from './after-fork.js';

/** Node 20's number, as it counts versions of its binary interface. */
const NODE_20 = '115';

/**
 * fork(2) of this process as it is, on its main thread, without asking whether that is safe: 0 in the child, its pid in the
 * parent. The child is a member of the family of its own, with the parent's event loop, timers and sockets. It ends as any
 * forked child: when its event loop is empty. Whoever calls this reaps it, and sees to it that errors nobody catches end it.
 */
export function forkSelf(): number {
  const parent = native.processId();
  const pid = native.fork(process.versions.modules === NODE_20 ? 1 : 0);
  if (pid === 0) becomeForked(parent);
  return pid;
}
