import type { Batch } from './batch.js';
import type { Parcel } from './parcel.js';

/**
 * The items of a channel in their order. To be used under the channel's lock only, by one thread after another, each of which may
 * die at any instruction: then the next calls recover() first.
 */
export interface Store {
  /**
   * Puts an item in: its block, if it has one, is the channel's from now on (`parcel.handle` becomes 0). If this throws, nothing
   * has changed. @throws {OutOfMemoryError}
   */
  push(parcel: Parcel): void;
  /** Takes the next item out, into `parcel`: its block, if it has one, is this thread's from now on. There must be one. */
  pull(parcel: Parcel): void;
  /** Sets `raw` and `length` of `parcel` to those of the next item. There must be one. Only first in, first out has it. */
  peek?(parcel: Parcel): void;
  /** Puts in the first `count` of the batch. If this throws, those are in that are no longer in the batch. */
  pushMany(batch: Batch, count: number, parcel: Parcel): void;
  /** Takes out the next `count`, into `batch`. There must be so many. */
  pullMany(batch: Batch, count: number, parcel: Parcel): void;
  /** Bytes that it and its items take, about. */
  readonly held: number;
  /** Brings all into order from whatever step its last user died at; how many items there are. Can be interrupted and done again. */
  recover(): number;
  /** Drops all items. */
  clear(): void;
  /** All blocks that are the channel's. */
  blocks(): number[];
}
