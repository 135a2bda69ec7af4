import type { Cell } from '../sync/cell.js';
import { Lock } from '../sync/lock.js';
import { RLock } from '../sync/rlock.js';
import { SharedObject } from '../sync/shared-object.js';

/** Which lock a {@link Value} or {@link SharedArray} comes with. */
export interface LockedOptions {
  /** True: an RLock of its own, the default. False: none. Or one that several objects have in common. */
  lock?: boolean | Lock;
}

/** The lock as an object is made with it. @throws {TypeError} It is none. */
export function lockingOf({ lock = true }: LockedOptions = {}): boolean | Lock {
  if (typeof lock === 'boolean' || lock instanceof Lock) return lock;
  throw new TypeError('The option "lock" must be true, false, or a Lock or RLock');
}

/** Something shared with a lock for what takes more than one step. Its cell begins with the words of that lock. */
export abstract class Locked extends SharedObject {
  /** True: its own. */
  protected readonly locking: boolean | Lock;
  #own: RLock | undefined;

  constructor(cell: Cell, locking: boolean | Lock) {
    super(cell);
    this.locking = locking;
  }

  /**
   * The lock that it was made with, always the same object: its own, which belongs to it and goes with it, or the one given as
   * `lock`, also if that is a plain Lock. Nothing here takes it by itself.
   *
   * Python: `get_lock()`; there, `value` takes the lock of itself.
   * @throws {TypeError} It was made with `lock: false`.
   * @throws {ClosedError} It has been disposed of.
   */
  getLock(): RLock {
    this.check();
    if (this.locking === true) return this.#ownLock;
    if (this.locking) return this.locking as RLock;
    throw new TypeError(
      `Cannot give a lock as this ${this.constructor.name} was made without: leave out "lock: false"`,
    );
  }

  /** @internal */
  override get inner(): RLock | undefined {
    return this.locking === true ? this.#ownLock : undefined;
  }

  /** Frees it and its own lock, for all who have it; who waits for that lock is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    if (this.locking === true) this.#ownLock.close();
    super[Symbol.dispose]();
  }

  get #ownLock(): RLock {
    this.#own ??= new RLock(this.cell, this);
    return this.#own;
  }
}
