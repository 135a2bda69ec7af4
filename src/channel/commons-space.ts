import { allocate, free, offsetOf, sizeOf, takeOver, transfer } from '../memory/allocator.js';
import { view, words } from '../memory/commons.js';
import { USED } from '../memory/guard.js';
import { LOW_BYTES, PAGE_BYTES } from '../memory/layout.js';
import { getLimit } from '../memory/limit.js';
import { self } from '../memory/participants.js';
import type { Cell } from '../sync/cell.js';
import type { Block, Space } from './space.js';

/** The bytes are written by who asked for them, at once. */
const OLD_BYTES = { zero: false };

/**
 * The commons of the family, for the channel whose cell this is: its blocks have the cell's mark. Until the cell is passed on,
 * that is this thread's own, so its blocks go with the thread, as the cell does; what is the channel's and what is the thread's
 * is then told by the channel alone. Passing it on gives those that it names as attached their new mark, so it must not happen in
 * the middle of a step.
 */
export class CommonsSpace implements Space {
  readonly #cell: Cell;

  constructor(cell: Cell) {
    this.#cell = cell;
  }

  allocate(bytes: number): number {
    return allocate(bytes, OLD_BYTES);
  }

  sizeOf(handle: number): number {
    return sizeOf(handle);
  }

  at(handle: number, bytes: number): Block {
    return new CommonsBlock(offsetOf(handle), bytes);
  }

  keep(handle: number): void {
    const { mark } = this.#cell;
    const me = self();
    if (mark !== me) transfer(handle, me, mark);
  }

  take(handle: number): void {
    const { mark } = this.#cell;
    const me = self();
    if (mark !== me) transfer(handle, mark, me);
  }

  free(handle: number): void {
    free(handle);
  }

  reclaim(handle: number): void {
    // Whoever dies between the two leaves it with all that was theirs.
    if (takeOver(handle, this.#cell.mark, self())) free(handle);
  }

  room(): number {
    return commonsRoom();
  }
}

/** Bytes that the family has left. */
export function commonsRoom(): number {
  return Math.max(0, getLimit() - words[USED] * PAGE_BYTES);
}

/** Makes the views that are asked for: they cost more than all the rest of at(). */
class CommonsBlock implements Block {
  readonly #offset: number;
  readonly #length: number;
  #bytes: Uint8Array | undefined;
  #words: Int32Array | undefined;

  constructor(offset: number, length: number) {
    this.#offset = offset;
    this.#length = length;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= view(this.#offset, this.#length);
    return this.#bytes;
  }

  /** As many as the bytes touch: a block's size is a multiple of four. */
  get words(): Int32Array {
    this.#words ??= this.#viewWords(Math.ceil(this.#length / 4));
    return this.#words;
  }

  #viewWords(count: number): Int32Array {
    const first = this.#offset / 4;
    if (this.#offset < LOW_BYTES) return words.subarray(first, first + count);
    const { buffer, byteOffset } = this.bytes;
    return new Int32Array(buffer, byteOffset, count);
  }
}
