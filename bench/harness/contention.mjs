/**
 * Several processes that want one lock. A lock here is `{ pairs(count), exclusively(work) }`: so many empty pairs of
 * taking it and giving it back, in the contender's own quickest loop; and one with something done in between. Both may
 * return a promise. contenders/cpython.py does the same for CPython.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between the arrival of the last process and the start of all, ms: each must have seen that it is the last. */
const HEAD_START = 30;
/** How long the check keeps the lock, ms: long enough for another that does not wait to be seen. */
const CHECK = 0.02;

/** Runs `contend` of a contender in a folder of its own: what its processes got, each of their tasks on its own. */
export async function contentionOf({ contend }, options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-bench-'));
  try {
    const shares = (await contend({ ...options, folder })).flat();
    const pairs = shares.reduce((sum, share) => sum + share.pairs, 0);
    return {
      rate: pairs / options.ms,
      least: (Math.min(...shares.map(share => share.pairs)) / (pairs / shares.length)) * 100,
      longest: Math.max(...shares.map(share => share.longest)),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * For contenders that have no processes of their own: forks, which run a file of ../workers. By default they contend for the lock
 * that the module's openLock opens.
 */
export function inForks(module, options, worker = 'contend.mjs') {
  return Promise.all(
    Array.from({ length: options.processes }, async () => {
      const child = fork(path.join(import.meta.dirname, '../workers', worker), [
        module,
        JSON.stringify(options),
      ]);
      const ended = once(child, 'exit');
      const [shares] = await Promise.race([
        once(child, 'message'),
        ended.then(([code]) => {
          throw new Error(`a contending process ended with ${code}`);
        }),
      ]);
      await ended;
      return shares;
    }),
  );
}

/**
 * What each process does: it waits for the others, sees that the lock excludes them, warms up, and then counts for `ms`,
 * all over the same stretch of time. With `hold` it keeps the lock for that many µs, by `tasks` tasks, and notes who
 * waited longest; without, it takes and gives it back as fast as it can.
 */
export async function takePart(lock, { folder, processes, tasks = 1, warmUp, ms, hold, batch = 100 }) {
  const start = await meet(path.join(folder, 'ready'), processes);
  const from = start + warmUp;
  const to = from + ms;
  await checkExclusion(lock, path.join(folder, 'held'), start + warmUp / 2);
  return hold === undefined
    ? [await countPairs(lock, { from, to, batch })]
    : Promise.all(Array.from({ length: tasks }, () => waitInTurn(lock, { from, to, hold })));
}

/** When the last has arrived, which is what the time of the file says, all know when to start, and start. */
export async function meet(file, parties) {
  const start = await arrive(file, parties);
  while (Date.now() < start) await sleep(1);
  return start;
}

/** Goes on as soon as all have arrived, for those who prepare until the start. */
export async function arrive(file, parties) {
  appendFileSync(file, '.');
  while (statSync(file).size < parties) await sleep(1);
  return Math.ceil(statSync(file).mtimeMs) + HEAD_START;
}

/** While it has the lock, a file is its own: openSync throws if it is there already. */
async function checkExclusion(lock, file, until) {
  const work = () => {
    closeSync(openSync(file, 'wx'));
    spin(CHECK);
    unlinkSync(file);
  };
  do {
    const waiting = lock.exclusively(work);
    if (waiting) await waiting;
  } while (Date.now() < until);
}

async function countPairs(lock, { from, to, batch }) {
  let pairs = 0;
  let longest = 0;
  for (let now = performance.now(); Date.now() < to; ) {
    const waiting = lock.pairs(batch);
    if (waiting) await waiting;
    const after = performance.now();
    const at = Date.now();
    if (at >= from) longest = Math.max(longest, after - now);
    if (at >= from && at < to) pairs += batch;
    now = after;
  }
  return { pairs, longest };
}

/** A wait that began or ended outside the stretch counts as a wait, so that nobody's starving is overlooked. */
async function waitInTurn(lock, { from, to, hold }) {
  let pairs = 0;
  let longest = 0;
  let asked;
  const work = () => {
    const waited = performance.now() - asked;
    const at = Date.now();
    if (at >= from && waited > longest) longest = waited;
    if (at >= from && at < to) pairs++;
    spin(hold / 1e3);
  };
  while (Date.now() < to) {
    asked = performance.now();
    const waiting = lock.exclusively(work);
    if (waiting) await waiting;
  }
  return { pairs, longest };
}

function spin(ms) {
  for (const from = performance.now(); performance.now() - from < ms; );
}
