import { LockError } from '../../errors/errors.js';
import type { Guard } from '../../sync/guard.js';
import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { Line } from './line.js';
import { type Grant, ServedLock, type Standing } from './lock.js';
import { caller, type Owner } from './owner.js';
import { ServedRLock } from './rlock.js';

/** The condition of a manager, over one of the manager's locks. */
export class ServedCondition {
  readonly #lock: ServedLock;
  readonly #line = new Line<void, boolean>();

  constructor(lock: ServedLock = new ServedRLock()) {
    if (!(lock instanceof ServedLock))
      throw new TypeError('Cannot make a Condition of that: give a lock or an rlock of the same manager');
    this.#lock = lock;
  }

  getLock(): ServedLock {
    return this.#lock;
  }

  acquire(options?: WaitOptions): Promise<Guard> {
    return this.#lock.acquire(options);
  }

  tryAcquire(): Guard | null {
    return this.#lock.tryAcquire();
  }

  grant(options?: WaitOptions): Grant | Promise<Grant> {
    return this.#lock.grant(options);
  }

  tryGrant(): Grant | null {
    return this.#lock.tryGrant();
  }

  release(): void {
    this.#lock.release();
  }

  giveBack(serial: number): void {
    this.#lock.giveBack(serial);
  }

  locked(): boolean {
    return this.#lock.locked();
  }

  wait(options?: WaitOptions): boolean | Promise<boolean> {
    const timeout = timeoutOf(options);
    const owner = caller();
    this.#checkHeld(owner, 'wait for');
    if (timeout === 0) return false;
    const notified = this.#line.wait(owner, undefined, {
      timeout,
      signal: options?.signal,
      tooLate: () => false,
    });
    return this.#after(notified, owner, this.#lock.suspend());
  }

  notify(n = 1): void {
    if (!(n === Number.POSITIVE_INFINITY || (Number.isInteger(n) && n >= 0)))
      throw new RangeError(`Cannot notify ${n}: give a whole number from 0 on`);
    this.#checkHeld(caller(), 'notify');
    for (const waiter of this.#line.all.slice(0, n)) waiter.resolve(true);
  }

  notifyAll(): void {
    this.notify(Number.POSITIVE_INFINITY);
  }

  /** However a wait ends, it has the lock back as it was. */
  async #after(notified: Promise<boolean>, owner: Owner, standing: Standing): Promise<boolean> {
    let result: boolean | undefined;
    try {
      result = await notified;
      return result;
    } finally {
      await this.#lock.restore(owner, standing).catch(error => {
        // It was killed before it could see that it was notified: so another is.
        if (result) this.#line.first?.resolve(true);
        throw error;
      });
    }
  }

  #checkHeld(owner: Owner, act: string): void {
    if (this.#lock.isHeldBy(owner)) return;
    throw new LockError(
      `Cannot ${act} this Condition as its lock is not held by the calling thread: acquire() it first`,
    );
  }
}
