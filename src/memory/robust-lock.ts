import { native } from '../native/native.js';
import { words } from './commons.js';
import { isAlive, self } from './participants.js';

/*
 * The lock inside the library's own structures: held for microseconds, never across anything that waits.
 *
 *   0                 free
 *   tag               held by that thread, nobody sleeps
 *   tag | CONTENDED   held, somebody may sleep: release wakes one
 *
 * A holder may die at any instruction. Whoever waits looks now and then whether the holder lives; if not, it takes
 * the lock over and calls `recover`, which must bring what the lock guards into order from any intermediate state.
 * Three-state futex lock after U. Drepper, "Futexes Are Tricky"; owner recovery as in Linux' robust futexes, in user space.
 */
const CONTENDED = 1 << 30;
const SPINS = 100;
/** How long a dead holder can go unnoticed, ms. */
const PATIENCE = 2;

/** Memory with locks in it, and those who take them. */
export interface Lockable {
  readonly words: Int32Array;
  self(): number;
  /** Asks the kernel. */
  isAlive(tag: number): boolean;
  futexWait(word: number, expected: number, timeout: number): 0 | 1 | 2;
  futexWake(word: number, count: number): number;
}

/* A class, as V8 is slow with an object literal that has a getter. */
class Commons implements Lockable {
  readonly self = self;
  readonly isAlive = isAlive;

  get words(): Int32Array {
    return words;
  }

  futexWait(word: number, expected: number, timeout: number): 0 | 1 | 2 {
    return native.futexWait(word, expected, timeout);
  }

  futexWake(word: number, count: number): number {
    return native.futexWake(word, count);
  }
}

const commons: Lockable = new Commons();

/** The thread that holds a lock whose word has this value; 0: nobody. */
export function holderIn(value: number): number {
  return value & ~CONTENDED;
}

/** Takes the lock at `word`. `recover` runs, with the lock held, when its last holder died with it. */
export function lock(word: number, recover: () => void, memory: Lockable = commons): void {
  const me = memory.self();
  const { words } = memory;
  if (Atomics.compareExchange(words, word, 0, me) === 0) return;
  for (let i = 0; i < SPINS; i++) {
    if (Atomics.load(words, word) === 0 && Atomics.compareExchange(words, word, 0, me) === 0) return;
  }
  for (;;) {
    const seen = Atomics.load(words, word);
    if (seen === 0) {
      // Others may sleep that we cannot see: claim it as contended.
      if (Atomics.compareExchange(words, word, 0, me | CONTENDED) === 0) return;
      continue;
    }
    const contended = seen | CONTENDED;
    if (seen !== contended && Atomics.compareExchange(words, word, seen, contended) !== seen) continue;
    if (memory.futexWait(word, contended, PATIENCE) !== 2 || memory.isAlive(seen & ~CONTENDED)) continue;
    if (Atomics.compareExchange(words, word, contended, me | CONTENDED) !== contended) continue;
    recover();
    return;
  }
}

/**
 * Takes the lock if it is free or its last holder is dead, without waiting. The caller must be able to go on from
 * wherever that one got to.
 */
export function tryLock(word: number): boolean {
  const me = self();
  const seen = Atomics.compareExchange(words, word, 0, me);
  if (seen === 0) return true;
  if (isAlive(seen & ~CONTENDED)) return false;
  return Atomics.compareExchange(words, word, seen, me | CONTENDED) === seen;
}

export function unlock(word: number, memory: Lockable = commons): void {
  if ((Atomics.exchange(memory.words, word, 0) & CONTENDED) !== 0) memory.futexWake(word, 1);
}
