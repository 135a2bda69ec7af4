import type { Space } from './space.js';

/** Items up to so many bytes lie in line with others; longer ones have a block each. */
export const INLINE_BYTES = 2048;

/**
 * An item on its way: one that is encoded and not yet in the channel, or out of it and not yet decoded. One object serves many
 * items.
 */
export class Parcel {
  /** Its bytes from 0 on, if it has no block. */
  readonly bytes: Uint8Array = new Uint8Array(INLINE_BYTES);
  readonly words: Int32Array = new Int32Array(this.bytes.buffer);
  length = 0;
  /** The block that has its bytes, which is this thread's; 0: none. */
  handle = 0;
  /** Is it bytes as they are, rather than an encoded value? */
  raw = false;
  /** The lower, the sooner it comes out, where that matters. */
  rank = 0;

  /** The item's bytes, good until the parcel is used again or let go of. */
  content(space: Space): Uint8Array {
    if (this.handle === 0) return this.bytes.subarray(0, this.length);
    return space.at(this.handle, this.length).bytes.subarray(0, this.length);
  }

  /** Frees its block, if it has one. */
  drop(space: Space): void {
    if (this.handle === 0) return;
    space.free(this.handle);
    this.handle = 0;
  }
}
