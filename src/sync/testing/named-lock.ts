import type { Named } from '../named.js';

/** A lock as simple as can be, over a Home, and what is counted under it. Indices count from the object's first word. */
export interface TestLock {
  readonly lock: number;
  /** 1: somebody is inside. */
  readonly inside: number;
  /** How often somebody was, counted two ways: plainly and by Atomics. */
  readonly plain: number;
  readonly atomic: number;
  /** How often somebody found that he was not alone. */
  readonly faults: number;
  readonly takeovers: number;
}

/** Takes and gives it for ever, in both forms by turns. */
export async function hold(named: Named, lock: TestLock): Promise<void> {
  for (let i = 0; ; i++) {
    await enter(named, lock, i % 3 === 0);
    if (i % 5 === 0) await null;
    leave(named, lock);
    if (i % 16 === 0) await new Promise(setImmediate);
  }
}

export async function enter({ home, at }: Named, lock: TestLock, blocking: boolean): Promise<void> {
  const { words } = home;
  const word = at + lock.lock;
  const me = home.self();
  let takenOver = false;
  for (let i = 1; ; i++) {
    const seen = Atomics.compareExchange(words, word, 0, me);
    if (seen === 0) break;
    if (home.isKnownDead(seen)) {
      takenOver = Atomics.compareExchange(words, word, seen, me) === seen;
      if (takenOver) break;
      continue;
    }
    const recheck = () => Atomics.load(words, word) === seen && !home.isKnownDead(seen);
    const options = i % 4 === 0 ? { recheck, timeout: 1 } : { recheck }; // some give up, and come again
    if (blocking) home.parkSync(word, seen, options);
    else await home.park(word, seen, options);
  }
  if (takenOver) Atomics.add(words, at + lock.takeovers, 1);
  else if (words[at + lock.inside] !== 0) Atomics.add(words, at + lock.faults, 1);
  words[at + lock.inside] = 1;
  words[at + lock.plain]++;
  Atomics.add(words, at + lock.atomic, 1);
  home.wake(at + lock.atomic, Number.POSITIVE_INFINITY);
}

export function leave({ home, at }: Named, lock: TestLock): void {
  home.words[at + lock.inside] = 0;
  Atomics.store(home.words, at + lock.lock, 0);
  home.wake(at + lock.lock, 1);
}
