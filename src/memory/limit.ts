import { OutOfMemoryError } from '../errors/errors.js';
import { memoryLimit } from '../platform/platform.js';
import { attach, words } from './commons.js';
import { LIMIT, USED } from './guard.js';
import { PAGE_BYTES } from './layout.js';

/**
 * Bytes that the family may have in use, counted in pages. Half of the machine's memory, or of the least limit of the cgroups
 * of the process that came first, until setLimit() says otherwise.
 */
export function getLimit(): number {
  attach();
  if (words[LIMIT] === 0) Atomics.compareExchange(words, LIMIT, 0, toPages(memoryLimit() / 2));
  return words[LIMIT] * PAGE_BYTES;
}

/**
 * Sets the limit for all processes of the family. What is in use already stays, even above it.
 * @throws {RangeError} `bytes` is negative or no number.
 */
export function setLimit(bytes: number): void {
  if (typeof bytes !== 'number' || !(bytes >= 0))
    throw new RangeError(`The limit of shared memory must be a number of bytes from 0 on, not ${bytes}`);
  attach();
  Atomics.store(words, LIMIT, toPages(bytes));
}

/** Throws if `pages` more would be beyond the limit. Under the lock. */
export function checkLimit(pages: number): void {
  if (words[USED] + pages <= words[LIMIT]) return;
  throw new OutOfMemoryError(
    `Cannot allocate ${format(pages * PAGE_BYTES)} of shared memory as ${format(words[USED] * PAGE_BYTES)} of ` +
      `${format(words[LIMIT] * PAGE_BYTES)} are in use: let go of what is not needed, or raise the limit`,
  );
}

/** At least one, as 0 means that no limit is set yet; less than one fits nothing anyway. */
function toPages(bytes: number): number {
  return Math.max(1, Math.min(2 ** 31 - 1, Math.floor(bytes / PAGE_BYTES)));
}

/** `bytes` for people: '12.5 MiB'. */
export function format(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${Math.round(bytes * 10) / 10} ${units[unit]}`;
}
