import { park } from '../wait/park.js';
import { Lock } from './lock.js';

/**
 * Goes through what a thread goes through that waits for a lock, in the blocking form, and that lets another go on: for the fork
 * server, so that its children need not compile it. Not acquire(), which would turn on what follows async flows.
 */
export async function rehearseWaits(): Promise<void> {
  using lock = new Lock();
  lock.acquireSync();
  try {
    lock.acquireSync({ timeout: 0.001 });
  } catch {} // time ran out
  const { home, at, words } = lock.cell;
  const waiting = park(at, words[at]);
  home.wake(at, 1);
  await waiting;
  lock.release();
}
