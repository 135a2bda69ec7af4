import { words } from '../memory/commons.js';
import { isKnownDead, self } from '../memory/participants.js';
import { lock, unlock } from '../memory/robust-lock.js';
import { someWait, type Waiter, type WakeOptions, waiting, wake } from '../wait/line.js';
import { park, parkSync, watch } from '../wait/park.js';
import type { LineWatch, LineWatcher, Parked, ParkOptions, ParkSyncOptions } from '../wait/parking.js';

/**
 * Where a synchronisation object lives, and how one waits there: the commons of the family, or the memory of one name
 * that unrelated programs share (named.ts). Words are named by their index in `words`; what the functions promise is said
 * where the commons' are defined.
 */
export interface Home {
  readonly words: Int32Array;
  /** Memory behind the words of a name that was opened with some. */
  readonly extent: Extent | undefined;
  /** What marks this thread as an owner here, 1 to 2³⁰ − 1; never that of another, also after its end. */
  self(): number;
  /** Is the thread with this mark known to have ended? Cheap. "Yes" is final, "no" may be late. */
  isKnownDead(tag: number): boolean;
  /** The lock for the inside of an object, held for a moment; `recover` runs when its last holder died with it. */
  lock(word: number, recover: () => void): void;
  unlock(word: number): void;
  park(word: number, expected: number, options: ParkOptions): Promise<Parked>;
  parkSync(word: number, expected: number, options: ParkSyncOptions): Parked;
  watch(word: number, expected: number, watcher: LineWatcher): LineWatch | undefined;
  wake(word: number, count: number, options?: WakeOptions): number;
  waiting(word: number): readonly Waiter[];
  someWait(word: number, matches: (waiter: Waiter) => boolean): boolean;
}

/** Memory that costs nothing until it is touched, and is seen through what is mapped of it. All of it is zero at first. */
export interface Extent {
  readonly bytes: number;
  /**
   * A part of it, seen until the buffer is collected. V8 takes the buffer's length for memory in use, and collects garbage
   * accordingly: let it be about what is needed, and keep it. `offset` is a multiple of 64 KiB.
   * @throws {OutOfMemoryError} The limits of this process forbid it.
   */
  map(offset: number, bytes: number): ArrayBuffer;
  /** Gives a part back to the kernel: it reads as zero from now on, for everyone. */
  punch(offset: number, bytes: number): void;
}

/* A class, as V8 is slow with an object literal that has a getter. */
class Commons implements Home {
  readonly extent = undefined;
  readonly self = self;
  readonly isKnownDead = isKnownDead;
  readonly lock = lock;
  readonly unlock = unlock;
  readonly park = park;
  readonly parkSync = parkSync;
  readonly watch = watch;
  readonly wake = wake;
  readonly waiting = waiting;
  readonly someWait = someWait;

  get words(): Int32Array {
    return words;
  }
}

/** The memory of this process's family. To be used once the family has one: see self(). */
export const commons: Home = new Commons();
