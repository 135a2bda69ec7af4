import { PAGE_BYTES } from './layout.js';

/*
 * Size classes of small blocks. A page of class k holds COUNTS[k] blocks of SIZES[k] bytes, from BLOCKS[k] bytes after its
 * start; before them a count and one owner word a block.
 *
 * Up to 512 bytes four classes a doubling, so that rounding up wastes 20 % at most; above that the sizes are those by which
 * a page is used up.
 */

/** Blocks start at multiples of this, so any typed array fits in one. */
export const GRAIN = 16;

const FINE = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512];
const PER_PAGE = [25, 21, 18, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2];

function up(bytes: number): number {
  return Math.ceil(bytes / GRAIN) * GRAIN;
}

/** How many blocks of `size` bytes fit a page, with their owner words and the count. */
function fit(size: number): number {
  let count = Math.floor((PAGE_BYTES - 4) / (size + 4));
  while (up(4 + 4 * count) + count * size > PAGE_BYTES) count--;
  return count;
}

function largest(count: number): number {
  return Math.floor((PAGE_BYTES - up(4 + 4 * count)) / count / GRAIN) * GRAIN;
}

export const SIZES: readonly number[] = [...FINE, ...PER_PAGE.map(largest)];
export const COUNTS: readonly number[] = SIZES.map(fit);
export const BLOCKS: readonly number[] = COUNTS.map(count => up(4 + 4 * count));

/** Blocks above this are runs of whole pages. */
export const SMALL_BYTES: number = SIZES[SIZES.length - 1];

const classes = Uint8Array.from({ length: SMALL_BYTES / GRAIN + 1 }, (_, grains) =>
  SIZES.findIndex(size => size >= grains * GRAIN),
);

/** The class for blocks of `size` bytes, 0 ≤ size ≤ SMALL_BYTES. */
export function classOf(size: number): number {
  return classes[(size + GRAIN - 1) >>> 4];
}
