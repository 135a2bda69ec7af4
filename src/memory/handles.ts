import { LOW_BYTES, PAGE_BYTES } from './layout.js';
import { GRAIN } from './sizes.js';

/*
 * A handle names a block in 27 bits; 0 names none.
 *
 *   1 … 2²⁶ − 1     low zone: offset / 16
 *   2²⁶ …           high zone: 2²⁶ + the number of the block's first page, counted from the arena's start
 */
const HIGH = LOW_BYTES / GRAIN;

/** Where the block that `handle` names starts, in bytes from the start of the commons. */
export function offsetOf(handle: number): number {
  return handle < HIGH ? handle * GRAIN : (handle - HIGH) * PAGE_BYTES;
}

/** The handle of the block that starts at `offset`. */
export function handleAt(offset: number): number {
  return offset < LOW_BYTES ? offset / GRAIN : HIGH + offset / PAGE_BYTES;
}
