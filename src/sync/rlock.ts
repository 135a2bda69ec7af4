import { LockError } from '../errors/errors.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { currentFlow, type Flow, THREAD } from './flow.js';
import type { Guard, Held } from './guard.js';
import { LOCK, Lock } from './lock.js';
import { nameOf } from './naming.js';
import { registerShared } from './shared-object.js';

/**
 * A lock that its owner may acquire again, and must release as often.
 *
 * Its owner is an async flow: the code that goes on from `await lock.acquire()`, or `fn` of runExclusive(), with all that is
 * started from there. Two tasks of one thread that acquire it exclude each other. What code acquires that belongs to no
 * such flow, by the blocking forms, is the thread's: all its code may acquire it again.
 *
 * Order and death: as Lock's. Python: `multiprocessing.RLock`, whose owner is a thread.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { RLock } from 'manyhands';
 *
 * using lock = new RLock();
 * const inner = () => lock.runExclusiveSync(() => 'once more'); // where a Lock would wait for itself
 * const outer = () => lock.runExclusiveSync(inner);
 * assert.equal(outer(), 'once more');
 * assert.equal(lock.locked(), false);
 * ```
 */
export class RLock extends Lock {
  override acquire(options?: WaitOptions): Promise<Guard> {
    if (options?.signal?.aborted === true || !this.isMine) return super.acquire(options);
    try {
      timeoutOf(options);
      return Promise.resolve(this.#again());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  override acquireSync(options?: { timeout?: number }): Guard {
    if (!this.isMine) return super.acquireSync(options);
    timeoutOf(options);
    return this.#again();
  }

  override tryAcquire(): Guard | null {
    return this.isMine ? this.#again() : super.tryAcquire();
  }

  /** Gives one level back. @throws {LockError} The caller is not its owner. */
  override release(): void {
    this.check();
    if (!this.isMine) {
      if (!this.locked()) throw this.notHeld('release');
      throw new LockError(
        `Cannot release ${nameOf(this.cell, this)} as its owner is another: release it where it was acquired`,
      );
    }
    this.forget(this.latest);
    this.giveBack();
  }

  override runExclusive<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    if (options?.signal?.aborted === true || !this.isMine) return super.runExclusive(fn, options);
    return this.#runAgain(fn, options);
  }

  async #runAgain<T>(fn: () => T | PromiseLike<T>, options: WaitOptions | undefined): Promise<T> {
    timeoutOf(options);
    const guard = this.#again();
    try {
      return await fn();
    } finally {
      guard.release();
    }
  }

  /** @internal */
  override get isMine(): boolean {
    if (!this.isHeldHere || !this.cell.isThere) return false;
    const flow = this.cell.words[this.cell.at + LOCK.FLOW];
    return flow === THREAD || (currentFlow() as Flow | undefined)?.descendsFrom(flow) === true;
  }

  protected override giveBack(): void {
    const { words, at } = this.cell;
    if (words[at + LOCK.LEVELS] > 0) words[at + LOCK.LEVELS]--;
    else this.letGo();
  }

  /** One level more. */
  #again(): Held {
    this.cell.words[this.cell.at + LOCK.LEVELS]++;
    return this.guardFor(false);
  }
}

registerShared('RLock', RLock, { open: name => new RLock({ name }) });
