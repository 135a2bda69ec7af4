import { words } from './commons.js';
import { HEADER, PAGE, PAGE_BYTES } from './layout.js';
import { recordOf } from './pages.js';

/*
 * Lists of pages, linked through NEXT and PREVIOUS of their records. Their heads are words of the first low page:
 *
 *   0 … 63       slabs with room that no thread holds, by size class
 *   64 … 191     free clean runs, by bin
 *   192 … 319    free dirty runs, by bin
 *   320 … 327    one bit a bin: not empty
 *
 * All of it changes under the allocator's lock and can be rebuilt from the page records.
 */
export const SLAB_LISTS = 0;
export const CLEAN_BINS = 64;
export const DIRTY_BINS = 192;
export const BIN_BITS = 320;
const END = 328;

/** Word index of the head of a list, or of any word of that page. */
export function listWord(list: number): number {
  return (words[HEADER.FIRST_PAGE] * PAGE_BYTES) / 4 + list;
}

/** Puts a page in front of a list. */
export function link(list: number, page: number): void {
  const w = words;
  const head = listWord(list);
  const first = w[head];
  const at = recordOf(page);
  w[at + PAGE.NEXT] = first;
  w[at + PAGE.PREVIOUS] = 0;
  if (first !== 0) w[recordOf(first) + PAGE.PREVIOUS] = page;
  w[head] = page;
}

/** Takes a page out of the list it is in. */
export function unlink(list: number, page: number): void {
  const w = words;
  const at = recordOf(page);
  const next = w[at + PAGE.NEXT];
  const previous = w[at + PAGE.PREVIOUS];
  if (next !== 0) w[recordOf(next) + PAGE.PREVIOUS] = previous;
  if (previous !== 0) w[recordOf(previous) + PAGE.NEXT] = next;
  else w[listWord(list)] = next;
  w[at + PAGE.NEXT] = 0;
  w[at + PAGE.PREVIOUS] = 0;
}

/** Whether a page is in a list, given that it is in this one or in none. */
export function isLinked(list: number, page: number): boolean {
  return words[recordOf(page) + PAGE.PREVIOUS] !== 0 || words[listWord(list)] === page;
}

/** Empties a range of lists, for them to be rebuilt. */
export function emptyLists(from: number, to: number = END): void {
  words.fill(0, listWord(from), listWord(to));
}
