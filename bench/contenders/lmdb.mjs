import path from 'node:path';
import { open } from 'lmdb';
import { inForks } from '../harness/contention.mjs';

export const contend = options => inForks(import.meta.url, options);

/** A write transaction is its lock: it has one writer among all processes. `written`: with a number written in it. */
export function openLock({ folder, written }) {
  const db = open({ path: path.join(folder, 'db'), noSync: true });
  let i = 0;
  const step = written ? () => db.putSync('number', ++i) : () => {};
  return {
    pairs(count) {
      for (let i = 0; i < count; i++) db.transactionSync(step);
    },
    exclusively(work) {
      db.transactionSync(work);
    },
  };
}
