import type { WaitOptions } from '../wait/options.js';
import { JoinableQueue } from './joinable-queue.js';
import { registerQueue } from './queue.js';
import type { Sort } from './queue-cell.js';

const SORT: Sort = { kind: 'PriorityQueue', order: 'rank', joinable: true };

/** How urgent an item is. */
export interface Priority {
  /** Any number, infinities too; the lower, the sooner it comes out. Default: 0. */
  priority?: number;
}

/**
 * The item with the lowest `priority` comes out first, of equal ones that which was put first. Items that came by one `putMany`
 * have the same priority, and stay in their order. Otherwise it is a `JoinableQueue`.
 *
 * Room: a full queue has putters wait, however urgent what they bring: they are served in order of arrival.
 *
 * Python: `queue.PriorityQueue`, which is for threads only. It orders the items themselves, as pairs of a priority and what is
 * meant, and equal ones in any order; here the priority is an argument, and items need not be comparable.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { PriorityQueue } from 'manyhands';
 *
 * using calls = new PriorityQueue<string>();
 * await calls.put('somebody wants to chat');
 * await calls.put('the house is on fire', { priority: -1 });
 * assert.equal(await calls.get(), 'the house is on fire');
 * ```
 */
export class PriorityQueue<T = any> extends JoinableQueue<T> {
  /** @internal */
  protected override get sort(): Sort {
    return SORT;
  }

  /** As {@link Queue.put | a queue's}. @throws {TypeError | RangeError} The priority is no number; it is NaN. */
  override put(item: T, options?: WaitOptions & Priority): Promise<void> {
    return super.put(item, options);
  }

  /** {@link Queue.putSync | putSync()} as a Queue has it, with a priority. @throws {TypeError | RangeError} The priority is no number; it is NaN. */
  override putSync(item: T, options?: { timeout?: number } & Priority): void {
    super.putSync(item, options);
  }

  /** {@link Queue.putNowait | putNowait()} as a Queue has it, with a priority. @throws {TypeError | RangeError} The priority is no number; it is NaN. */
  override putNowait(item: T, options?: Priority): void {
    this.putSync(item, { priority: options?.priority, timeout: 0 });
  }

  /** {@link Queue.putMany | putMany()} as a Queue has it, all of the same priority. @throws {TypeError | RangeError} The priority is no number; it is NaN. */
  override putMany(items: Iterable<T>, options?: WaitOptions & Priority): Promise<void> {
    return super.putMany(items, options);
  }

  /** @internal */
  protected override rankOf(options?: Priority): number {
    const priority = options?.priority;
    if (priority === undefined) return 0;
    if (typeof priority !== 'number')
      throw new TypeError(
        `Cannot put an item as "priority" is ${typeof priority}: give a number, or nothing for 0`,
      );
    if (Number.isNaN(priority))
      throw new RangeError('Cannot put an item as "priority" is NaN: give a number that can be compared');
    return priority;
  }
}

registerQueue(PriorityQueue, 'PriorityQueue');
