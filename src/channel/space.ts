import { OutOfMemoryError } from '../errors/errors.js';

/**
 * Memory for the items of one channel. A block is named by a handle, a number from 1 to 2³² − 1, and is at any time either this
 * thread's, from allocate() on, or the channel's, from keep() on. What a thread has goes with it when it dies; what the channel
 * has stays until it is reclaimed. Every change is one atomic step, so whoever dies leaves each block with one of the two.
 */
export interface Space {
  /** A block of at least so many bytes, not cleared. @throws {OutOfMemoryError} */
  allocate(bytes: number): number;
  /** How many bytes of it can be used. */
  sizeOf(handle: number): number;
  /** Where it lies. The views are good until the block is freed. */
  at(handle: number, bytes: number): Block;
  /** Gives what is this thread's to the channel. */
  keep(handle: number): void;
  /** Takes what is the channel's for this thread. */
  take(handle: number): void;
  /** Frees what is this thread's. */
  free(handle: number): void;
  /** Frees a block if it is the channel's, and not if it has been freed, or taken by somebody, before. */
  reclaim(handle: number): void;
  /** Bytes that the family, or the memory of the name, has left. Stale once read. */
  room(): number;
}

/** The bytes of a block, also as words. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/** A block; 0: there is no memory for it now. */
export function tryAllocate(space: Space, bytes: number): number {
  try {
    return space.allocate(bytes);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return 0;
    throw error;
  }
}
