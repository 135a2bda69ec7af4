import { type Space, tryAllocate } from './space.js';

/** What an empty queue needs for its first items: a page of its own. */
const BYTES = 16 * 1024;

/**
 * Memory for the queue itself. The blocks of a batch may take all that there is, and then an empty queue could not have one of them,
 * for want of a little more.
 */
export class Reserve {
  readonly #space: Space;
  #block = 0;

  constructor(space: Space) {
    this.#space = space;
  }

  take(): void {
    if (this.#block === 0) this.#block = tryAllocate(this.#space, BYTES);
  }

  drop(): void {
    if (this.#block !== 0) this.#space.free(this.#block);
    this.#block = 0;
  }
}
