/**
 * Processes that use one store of values by key. A store here is `{ set(key, value), get(key), add(key) }`, each in the
 * contender's own quickest form; one of proxies also has `increment(x)`. All of them return promises or none does.
 * contenders/cpython_stores.py does the same for CPython.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { meet } from './contention.mjs';

/** What a store holds at first: a number under each of them, and 0 under COUNTER. */
export const KEYS = Array.from({ length: 1_000 }, (_, i) => `key ${i}`);
export const COUNTER = 'count';
export const first = () => [[COUNTER, 0], ...KEYS.map((key, i) => [key, i])];

/** So many steps are taken between two looks at the clock, and at once by those who can have several under way. */
const BATCH = 100;

/**
 * Runs `useStore` of a contender in a folder of its own: thousands of steps a second, of all processes together. It gives
 * the share of each process, and what is under COUNTER in the end.
 */
export async function storeRate({ useStore }, options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-bench-'));
  try {
    const { shares, counter } = await useStore({ ...options, folder });
    const sum = of => shares.reduce((total, share) => total + share[of], 0);
    if (options.op === 'add' && counter !== sum('done'))
      throw new Error(`${sum('done')} were added, ${counter} is what became of it`);
    return {
      rate: sum('counted') / options.ms,
      least: (Math.min(...shares.map(share => share.counted)) / (sum('counted') / shares.length)) * 100,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** CPU time of its own that each process takes to have its code compiled, µs: many that share a core get little in a second. */
const COMPILING = 300_000;

/**
 * What each process does: it takes steps until its code is compiled, waits for the others, warms up with them, and counts for `ms`,
 * all over the same stretch of time.
 */
export async function takeSteps(store, { folder, processes, op, form, warmUp, ms }) {
  const batch = (form === 'pipelined' ? atOnce : form === 'async' ? inTurn : inLoops)[op](store);
  let counted = 0;
  let done = 0;
  const step = async () => {
    const waiting = batch();
    if (waiting) await waiting;
    done += BATCH;
  };
  while (cpuTime() < COMPILING) await step();
  const start = await meet(path.join(folder, 'ready'), processes);
  const from = start + warmUp;
  const to = from + ms;
  while (Date.now() < to) {
    await step();
    const at = Date.now();
    if (at >= from && at < to) counted += BATCH;
  }
  return { counted, done };
}

function cpuTime() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The steps of one process, by what `op` names; those that read check what they get. */
const inLoops = {
  set(store) {
    const nextKey = keys();
    return () => {
      for (let i = 0; i < BATCH; i++) store.set(nextKey(), i);
    };
  },
  get(store) {
    const nextKey = keys();
    return () => {
      let sum = 0;
      for (let i = 0; i < BATCH; i++) sum += store.get(nextKey());
      check(sum);
    };
  },
  add: store => () => {
    for (let i = 0; i < BATCH; i++) store.add(COUNTER);
  },
};

const inTurn = {
  set(store) {
    const nextKey = keys();
    return async () => {
      for (let i = 0; i < BATCH; i++) await store.set(nextKey(), i);
    };
  },
  get(store) {
    const nextKey = keys();
    return async () => {
      let sum = 0;
      for (let i = 0; i < BATCH; i++) sum += await store.get(nextKey());
      check(sum);
    };
  },
  add: store => async () => {
    for (let i = 0; i < BATCH; i++) await store.add(COUNTER);
  },
  increment: store => async () => {
    let x = 0;
    for (let i = 0; i < BATCH; i++) x = await store.increment(x);
    if (x !== BATCH) throw new Error('a wrong result');
  },
};

const atOnce = {
  set(store) {
    const nextKey = keys();
    return () => all(i => store.set(nextKey(), i));
  },
  get(store) {
    const nextKey = keys();
    return async () => {
      const found = await all(() => store.get(nextKey()));
      check(found.reduce((sum, value) => sum + value, 0));
    };
  },
  add: store => () => all(() => store.add(COUNTER)),
  increment: store => async () => {
    const found = await all(i => store.increment(i));
    if (found.some((value, i) => value !== i + 1)) throw new Error('a wrong result');
  },
};

const all = step => Promise.all(Array.from({ length: BATCH }, (_, i) => step(i)));

/** One after the other, from the first again when there are no more. */
function keys() {
  let at = 0;
  return () => {
    if (at === KEYS.length) at = 0;
    return KEYS[at++];
  };
}

function check(sum) {
  if (!(sum >= 0)) throw new Error('a wrong value');
}
