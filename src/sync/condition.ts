import { ClosedError, LockError } from '../errors/errors.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Parked } from '../wait/parking.js';
import { Cell } from './cell.js';
import type { Guard } from './guard.js';
import { Lock } from './lock.js';
import { nameOf } from './naming.js';
import { RLock } from './rlock.js';
import { registerShared, SharedObject } from './shared-object.js';

const BYTES = 64;

/** Its word, as long as it is there, and when it is about to be freed. */
const THERE = 0;
const NO_MORE = 1;

const NOTIFIED = 1;
const CLOSED = 2;

interface Extra {
  readonly lock: Lock;
  readonly ownsLock: boolean;
}

/**
 * Waiting, with a lock given up meanwhile, for others to say that something has changed.
 *
 * notify(n) wakes the n that have waited longest of those that wait now, never one that comes later, and does not wait for them:
 * each goes on once it has the lock back. One that dies before it has seen its wake passes it on to the next in line.
 *
 * Python: `multiprocessing.Condition`, whose notify() waits for the woken, for ever if one has died.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Condition, Thread, Value } from 'manyhands';
 *
 * using condition = new Condition();
 * using temperature = new Value('i32', 20);
 * const watch = async () => {
 *   using _ = await condition.acquire();
 *   await condition.waitFor(() => temperature.value >= 100);
 *   return 'it boils';
 * };
 * const watcher = new Thread({ target: watch }).start();
 * while (temperature.value < 100) {
 *   using _ = await condition.acquire();
 *   temperature.value += 20;
 *   condition.notifyAll();
 * }
 * assert.equal(await watcher.result(), 'it boils');
 * ```
 */
export class Condition extends SharedObject {
  /** The lock that guards what is waited for. */
  readonly lock: Lock;
  /** Was the lock made for it? Then it goes with it. */
  readonly #ownsLock: boolean;

  /**
   * @param lock Default: a new {@link RLock} of its own.
   * @throws {TypeError} It is no lock.
   * @throws {OutOfMemoryError} The commons is full.
   */
  constructor(lock?: Lock | RLock);
  constructor(lock?: Lock | Cell, over?: Extra) {
    super(lock instanceof Cell ? lock : Cell.make(BYTES));
    const guarding = lock instanceof Cell ? over?.lock : lock === undefined ? new RLock() : lock;
    this.#ownsLock = lock instanceof Cell ? over?.ownsLock === true : lock === undefined;
    if (!(guarding instanceof Lock)) {
      super[Symbol.dispose]();
      throw new TypeError('Cannot make a Condition of that: give a Lock or an RLock');
    }
    this.lock = guarding;
  }

  protected override facts(): object {
    return { lock: this.lock };
  }

  /** Acquires the condition's {@link lock}: see {@link Lock.acquire}. */
  acquire(options?: WaitOptions): Promise<Guard> {
    return this.lock.acquire(options);
  }

  /** {@link acquire | acquire()}, blocking this thread: see {@link Lock.acquireSync}. */
  acquireSync(options?: { timeout?: number }): Guard {
    return this.lock.acquireSync(options);
  }

  /** Gives the condition's {@link lock} back: see {@link Lock.release}. */
  release(): void {
    this.lock.release();
  }

  /**
   * Gives the lock up, all levels of an RLock, waits to be notified, and takes it back, however long that takes. True: it was
   * notified; false: the time ran out first.
   * @throws {LockError} The caller does not hold the lock.
   */
  async wait(options: WaitOptions = {}): Promise<boolean> {
    const timeout = timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    this.#checkHeld('wait for');
    if (timeout === 0) return false;
    const { home, at } = this.cell;
    let standing: ReturnType<Lock['suspend']> | undefined;
    try {
      // At a word that does not change while it is there: so only a notify ends the wait.
      const parked = await home.park(at, THERE, {
        timeout,
        ...(signal ? { signal } : {}),
        queued: () => {
          standing = this.lock.suspend();
        },
      });
      return this.#wasNotified(parked);
    } finally {
      if (standing) await this.lock.restore(standing);
    }
  }

  /** {@link wait | wait()}, blocking this thread. */
  waitSync(options?: { timeout?: number }): boolean {
    const timeout = timeoutOf(options);
    this.#checkHeld('wait for');
    if (timeout === 0) return false;
    const { home, at } = this.cell;
    let standing: ReturnType<Lock['suspend']> | undefined;
    try {
      const parked = home.parkSync(at, THERE, {
        timeout,
        queued: () => {
          standing = this.lock.suspend();
        },
      });
      return this.#wasNotified(parked);
    } finally {
      if (standing) this.lock.restoreSync(standing);
    }
  }

  /** Waits until `predicate` holds; it is asked with the lock held. What it said last, when the time ran out. */
  async waitFor(predicate: () => boolean, options: WaitOptions = {}): Promise<boolean> {
    const deadline = performance.now() + timeoutOf(options);
    options.signal?.throwIfAborted();
    this.#checkHeld('wait for');
    while (!predicate()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      if (!(await this.wait(left === Number.POSITIVE_INFINITY ? options : { ...options, timeout: left })))
        return predicate();
    }
    return true;
  }

  /** {@link waitFor | waitFor()}, blocking this thread. */
  waitForSync(predicate: () => boolean, options?: { timeout?: number }): boolean {
    const deadline = performance.now() + timeoutOf(options);
    this.#checkHeld('wait for');
    while (!predicate()) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      if (!this.waitSync(left === Number.POSITIVE_INFINITY ? {} : { timeout: left })) return predicate();
    }
    return true;
  }

  /** Wakes `n` of those that wait now; fewer if there are not so many. @throws {LockError} The caller does not hold the lock. */
  notify(n = 1): void {
    if (!(n === Number.POSITIVE_INFINITY || (Number.isInteger(n) && n >= 0)))
      throw new RangeError(`Cannot notify ${n}: give a whole number from 0 on`);
    this.#checkHeld('notify');
    this.cell.home.wake(this.cell.at, n, { token: NOTIFIED });
  }

  /** Wakes all that wait now. @throws {LockError} The caller does not hold the lock. */
  notifyAll(): void {
    this.notify(Number.POSITIVE_INFINITY);
  }

  /** Frees it, and the lock if that was made for it, for all who have it; who waits is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    const { home, words, at } = this.cell;
    Atomics.store(words, at, NO_MORE); // first, so that nobody begins to wait
    home.wake(at, Number.POSITIVE_INFINITY, { token: CLOSED, passOn: false });
    super[Symbol.dispose]();
    if (this.#ownsLock) this.lock[Symbol.dispose]();
  }

  /** How a wait ended. */
  #wasNotified({ outcome, token }: Parked): boolean {
    if (outcome === 'changed' || token === CLOSED)
      throw new ClosedError(
        'Cannot wait for this Condition as it was disposed of meanwhile: keep it for as long as anyone uses it',
      );
    return outcome === 'woken';
  }

  /** @internal */
  get extra(): Extra {
    return { lock: this.lock, ownsLock: this.#ownsLock };
  }

  #checkHeld(act: string): void {
    this.check();
    if (this.lock.isMine) return;
    this.check(); // it may have been disposed of meanwhile, with the lock
    if (Atomics.load(this.cell.words, this.cell.at) === NO_MORE) throw this.closed(); // or be about to
    throw new LockError(
      `Cannot ${act} this Condition as its ${nameOf(this.lock.cell, this.lock)} is not held by the caller: acquire() it first`,
    );
  }
}

registerShared('Condition', Condition, { extra: ({ extra }) => extra });
