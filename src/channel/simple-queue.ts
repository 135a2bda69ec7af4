import { Queue, registerQueue } from './queue.js';
import type { Sort } from './queue-cell.js';

const SORT: Sort = { kind: 'SimpleQueue', order: 'first', joinable: false };

/**
 * A `Queue` by the name of Python's `multiprocessing.SimpleQueue`, and all that a `Queue` is: Python's has no feeder thread and
 * for that no time limits; here no queue has one, and all have the limits.
 */
export class SimpleQueue<T = any> extends Queue<T> {
  /** @internal */
  protected override get sort(): Sort {
    return SORT;
  }
}

registerQueue(SimpleQueue, 'SimpleQueue');
