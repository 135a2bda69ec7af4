import path from 'node:path';
import { open } from 'lmdb';
import { inForks } from '../harness/contention.mjs';
import { COUNTER, first } from '../harness/store.mjs';

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

/** Without a sync to the disk. `add` is a transaction, and what is read is the latest that anybody has written. */
export function openStore({ folder }) {
  const db = open({ path: path.join(folder, 'store'), noSync: true });
  return {
    set: (key, value) => db.putSync(key, value),
    get(key) {
      db.resetReadTxn();
      return db.get(key);
    },
    add: key => db.transactionSync(() => db.putSync(key, db.get(key) + 1)),
    close: () => db.close(),
  };
}

export async function useStore(options) {
  const store = openStore(options);
  for (const [key, value] of first()) store.set(key, value);
  const shares = await inForks(import.meta.url, options, 'store.mjs');
  const counter = store.get(COUNTER);
  await store.close();
  return { shares, counter };
}
