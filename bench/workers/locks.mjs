/** What contends for a lock of ours, in both its forms; also for what is taken and given back the same way. */
import { takePart } from '../harness/contention.mjs';

export const contend = (lock, { sync, ...options }) =>
  takePart(sync ? blocking(lock) : waiting(lock), options);

export function blocking(lock) {
  return {
    pairs(count) {
      for (let i = 0; i < count; i++) lock.acquireSync().release();
    },
    exclusively(work) {
      const guard = lock.acquireSync();
      work();
      guard.release();
    },
  };
}

export function waiting(lock) {
  return {
    async pairs(count) {
      for (let i = 0; i < count; i++) (await lock.acquire()).release();
    },
    async exclusively(work) {
      const guard = await lock.acquire();
      work();
      guard.release();
    },
  };
}
