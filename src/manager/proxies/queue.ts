import { QueueShutDownError } from '../../errors/errors.js';
import type { WaitOptions } from '../../wait/options.js';
import type { Parcel } from '../served/queue.js';
import { LingeringProxy } from './lingering.js';
import { cannotBlock, signalOf, timeOf } from './waits.js';

/**
 * A queue in a manager's server. Its items lie in the server's heap; they are in it when `put` resolves, and outlive their
 * producer.
 *
 * Order: first in, first out, and who waits, to put or to get, is served in order of arrival at the server.
 *
 * Each item that is got owes one `taskDone()`, for who cares to `join()`: by the thread that got it.
 *
 * Death: what was on its way to one whose connection ends goes back to the front, in order. What it had received it owes, and
 * `join()` says so, as that of a JoinableQueue does.
 *
 * Python: `SyncManager.Queue` and `JoinableQueue`, which are one there as well.
 */
export class QueueProxy<T = any> extends LingeringProxy implements AsyncIterable<T> {
  /**
   * Puts an item in, waiting while the queue is full.
   * @throws {QueueFullError} There was no room when `timeout` had passed.
   * @throws {QueueShutDownError} The queue was shut down, perhaps meanwhile.
   */
  put(item: T, options?: WaitOptions): Promise<void> {
    return this.call('put', [item, ...timeOf(options)], signalOf(options));
  }

  /** Puts an item in if there is room. @throws {QueueFullError} There is none. */
  putNowait(item: T): Promise<void> {
    return this.call('putNowait', [item]);
  }

  /**
   * Puts all items in, in order and with no others between, as room comes.
   * @throws {QueueFullError} Not all were put when `timeout` had passed: `put` tells how many.
   */
  putMany(items: Iterable<T>, options?: WaitOptions): Promise<void> {
    return this.call('putMany', [[...items], ...timeOf(options)], signalOf(options));
  }

  /**
   * Takes the next item out.
   * @throws {QueueEmptyError} There was none when `timeout` had passed.
   * @throws {QueueShutDownError} There is none, and never will be.
   */
  get(options?: WaitOptions): Promise<T> {
    return this.#received(this.call('send', timeOf(options), signalOf(options)));
  }

  /** Takes the next item out if there is one. @throws {QueueEmptyError} There is none. */
  getNowait(): Promise<T> {
    return this.#received(this.call('sendNowait'));
  }

  /** As many items as are there, at least one, at most `max`, in one step. */
  getMany(max: number, options?: WaitOptions): Promise<T[]> {
    return this.#received(this.call('sendMany', [max, ...timeOf(options)], signalOf(options)));
  }

  /** How many items are in it. Stale once read. */
  qsize(): Promise<number> {
    return this.call('qsize');
  }

  /** Has it no items? Stale once read. */
  empty(): Promise<boolean> {
    return this.call('empty');
  }

  /** Has it `maxsize` items? Stale once read. */
  full(): Promise<boolean> {
    return this.call('full');
  }

  /** An item that was got has been dealt with. @throws {LifecycleError} Nobody owes anything. */
  taskDone(): Promise<void> {
    return this.call('taskDone');
  }

  /**
   * Resolves once nothing is left unfinished.
   * @throws {TimeoutError} Something was left when `timeout` had passed.
   * @throws {WorkerDiedError} All that is left was got by threads whose connection has ended, or that have closed the queue. `unfinished`
   *   tells how many items that are.
   */
  join(options?: WaitOptions): Promise<void> {
    return this.call('join', timeOf(options), signalOf(options));
  }

  /**
   * Nothing goes in any more. What is in it can still be got; `immediate` drops that.
   */
  shutdown(options?: { immediate?: boolean }): Promise<void> {
    return this.call('shutdown', options ? [options] : []);
  }

  /** This thread is done with it: its waits end with ClosedError, and what it owes stays owed. */
  close(): Promise<void> {
    return this.call('close');
  }

  /** Each item as it comes, until the queue is shut down and has no more. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined, undefined> {
    for (;;) {
      let item: T;
      try {
        item = await this.get();
      } catch (error) {
        if (error instanceof QueueShutDownError) return;
        throw error;
      }
      yield item;
    }
  }

  /** What has come is this client's from the moment that it says so, which is before anyone here sees it. */
  async #received<R>(answer: Promise<Parcel<R>>): Promise<R> {
    this.begin();
    try {
      const [serial, given] = await answer;
      this.call('received', [serial]).catch(() => {}); // the server is gone, and its queue with it
      return given;
    } finally {
      this.end();
    }
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  putSync(_item: T, _options?: { timeout?: number }): Promise<never> {
    return cannotBlock('queue', 'putSync', 'put');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  getSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('queue', 'getSync', 'get');
  }

  /** @hidden Rejects with a TypeError that names the form to use: nothing here may block. */
  joinSync(_options?: { timeout?: number }): Promise<never> {
    return cannotBlock('queue', 'joinSync', 'join');
  }
}
