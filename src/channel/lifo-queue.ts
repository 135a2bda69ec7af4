import { JoinableQueue } from './joinable-queue.js';
import { registerQueue } from './queue.js';
import type { Sort } from './queue-cell.js';

const SORT: Sort = { kind: 'LifoQueue', order: 'latest', joinable: true };

/**
 * Last in, first out: `get` takes the item that was put last of all that are there. Of `putMany` that is the last of the iterable.
 * Otherwise it is a `JoinableQueue`.
 *
 * Python: `queue.LifoQueue`, which is for threads only.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { LifoQueue } from 'manyhands';
 *
 * using stack = new LifoQueue<string>();
 * await stack.putMany(['first', 'second', 'third']);
 * assert.equal(await stack.get(), 'third');
 * assert.equal(await stack.get(), 'second');
 * ```
 */
export class LifoQueue<T = any> extends JoinableQueue<T> {
  /** @internal */
  protected override get sort(): Sort {
    return SORT;
  }
}

registerQueue(LifoQueue, 'LifoQueue');
