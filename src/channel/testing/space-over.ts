import type { Block, Space } from '../space.js';

/** The same memory, for tests that have some of it differ. */
export class SpaceOver implements Space {
  readonly #space: Space;

  constructor(space: Space) {
    this.#space = space;
  }

  allocate(bytes: number): number {
    return this.#space.allocate(bytes);
  }

  sizeOf(handle: number): number {
    return this.#space.sizeOf(handle);
  }

  at(handle: number, bytes: number): Block {
    return this.#space.at(handle, bytes);
  }

  keep(handle: number): void {
    this.#space.keep(handle);
  }

  take(handle: number): void {
    this.#space.take(handle);
  }

  free(handle: number): void {
    this.#space.free(handle);
  }

  reclaim(handle: number): void {
    this.#space.reclaim(handle);
  }

  room(): number {
    return this.#space.room();
  }
}
