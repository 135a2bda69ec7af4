import { OutOfMemoryError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { view, words } from './commons.js';
import { enter, exit, HIGH_DIRTY_PAGES, HIGH_TOP, onRecovery, USED } from './guard.js';
import { PAGE, PAGE_BYTES } from './layout.js';
import { checkLimit, format, getLimit } from './limit.js';
import { BIN_BITS, CLEAN_BINS, DIRTY_BINS, emptyLists, link, listWord, unlink } from './lists.js';
import { isOf } from './owners.js';
import { COUNT_MASK, HIGH_FIRST, highEnd, KIND, kindOf, recordOf } from './pages.js';
import { self } from './participants.js';

/*
 * Large blocks: runs of whole pages of the high zone. Free runs stand in bins by their number of pages, clean and dirty ones
 * apart, and merge with free neighbours of the same kind; what was never used is the wilderness at the end and in no bin.
 * TLSF without its second level (M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems").
 *
 * Every step leaves a table that can be walked from HIGH_FIRST on:
 *   split    the rest's HEAD first, which nobody can reach yet, then the front's, which makes both at once
 *   free     one store; merging with either neighbour, one more
 */
const EXACT = 16;
/** How many runs of a bin to look at before a larger bin is tried: a bin holds runs up to a quarter apart in size. */
const TRIES = 8;
/** Dirty pages kept for reuse instead of being given back to the kernel: 32 MiB, less than 10 ms' filling. */
const MAX_DIRTY = 2 ** 25 / PAGE_BYTES;
/** Runs from this on (8 MiB) go back to the kernel at once: filling them costs more than the page faults. */
const LARGE = 2 ** 23 / PAGE_BYTES;

function binOf(pages: number): number {
  if (pages < EXACT) return pages;
  const log = 31 - Math.clz32(pages);
  return EXACT + (log - 4) * 4 + ((pages >>> (log - 2)) & 3);
}

/** Puts a free run where it is found again. */
function insert(kind: number, page: number, pages: number): void {
  const w = words;
  if (pages > 1) w[recordOf(page + pages - 1) + PAGE.HEAD] = KIND.TAIL | pages;
  const bin = (kind === KIND.CLEAN ? CLEAN_BINS : DIRTY_BINS) + binOf(pages);
  link(bin, page);
  w[listWord(BIN_BITS) + ((bin - CLEAN_BINS) >>> 5)] |= 1 << (bin & 31);
  if (kind === KIND.DIRTY) w[HIGH_DIRTY_PAGES] += pages;
}

function remove(kind: number, page: number, pages: number): void {
  const w = words;
  const bin = (kind === KIND.CLEAN ? CLEAN_BINS : DIRTY_BINS) + binOf(pages);
  unlink(bin, page);
  if (w[listWord(bin)] === 0) w[listWord(BIN_BITS) + ((bin - CLEAN_BINS) >>> 5)] &= ~(1 << (bin & 31));
  if (kind === KIND.DIRTY) w[HIGH_DIRTY_PAGES] -= pages;
}

/** A free run of at least so many pages; 0: there is none. */
function find(bins: number, pages: number): number {
  const w = words;
  const bin = binOf(pages);
  let page = w[listWord(bins + bin)];
  for (let tries = TRIES; page !== 0 && tries > 0; tries--) {
    const at = recordOf(page);
    if ((w[at + PAGE.HEAD] & COUNT_MASK) >= pages) return page;
    page = w[at + PAGE.NEXT];
  }
  const bits = listWord(BIN_BITS) + ((bins - CLEAN_BINS) >>> 5);
  let mask = -2 << (bin & 31);
  for (let i = bin >>> 5; i < 4; i++, mask = -1) {
    const set = w[bits + i] & mask;
    if (set !== 0) return w[listWord(bins + i * 32 + 31 - Math.clz32(set & -set))];
  }
  return 0;
}

/** Takes the first `pages` of a free run, under the lock. */
function take(page: number, pages: number, owner: number): void {
  const w = words;
  const at = recordOf(page);
  const head = w[at + PAGE.HEAD];
  const kind = kindOf(head);
  const rest = (head & COUNT_MASK) - pages;
  remove(kind, page, pages + rest);
  if (rest > 0) Atomics.store(w, recordOf(page + pages) + PAGE.HEAD, kind | rest);
  publish(page, pages, owner);
  if (rest > 0) insert(kind, page + pages, rest);
}

function takeFromWilderness(pages: number, owner: number): number {
  const w = words;
  const page = HIGH_FIRST + w[HIGH_TOP];
  if (page + pages > highEnd()) return 0;
  if (page + pages < highEnd()) Atomics.store(w, recordOf(page + pages) + PAGE.HEAD, 0);
  publish(page, pages, owner);
  w[HIGH_TOP] += pages;
  return page;
}

function publish(page: number, pages: number, owner: number): void {
  const w = words;
  const at = recordOf(page);
  if (pages > 1) w[recordOf(page + pages - 1) + PAGE.HEAD] = KIND.TAIL | pages;
  Atomics.store(w, at + PAGE.OWNER, owner);
  Atomics.store(w, at + PAGE.HEAD, KIND.USED | pages);
  w[USED] += pages;
}

/** Allocates a run for `owner`. Its first page. @throws {OutOfMemoryError} */
export function allocateRun(pages: number, owner: number, zero: boolean): number {
  let { page, dirty } = tryAllocate(pages, owner);
  if (page === 0) {
    punchRuns(); // dirty and clean neighbours become one by it
    ({ page, dirty } = tryAllocate(pages, owner));
  }
  if (page === 0)
    throw new OutOfMemoryError(
      `Cannot allocate ${format(pages * PAGE_BYTES)} of shared memory as no free piece of its ` +
        `${format((highEnd() - HIGH_FIRST) * PAGE_BYTES)} of address space is as long: let go of large blocks`,
    );
  if (dirty && zero) view(page * PAGE_BYTES, pages * PAGE_BYTES).fill(0);
  return page;
}

function tryAllocate(pages: number, owner: number): { page: number; dirty: boolean } {
  getLimit(); // sets it, the first time
  enter();
  try {
    checkLimit(pages);
    let page = find(DIRTY_BINS, pages);
    const dirty = page !== 0;
    if (!dirty) page = find(CLEAN_BINS, pages);
    if (page !== 0) take(page, pages, owner);
    else page = takeFromWilderness(pages, owner);
    return { page, dirty };
  } finally {
    exit();
  }
}

/** Frees the run that starts at `page`. False: none does. */
export function freeRun(page: number): boolean {
  const head = Atomics.load(words, recordOf(page) + PAGE.HEAD);
  if (kindOf(head) !== KIND.USED) return false;
  const pages = head & COUNT_MASK;
  // While it is still owned: a long system call under the lock would stop everybody, and if we die in it, the block is
  // found with its owner's others.
  if (pages >= LARGE) native.arenaPunch(page * PAGE_BYTES, pages * PAGE_BYTES);
  enter();
  const found = Atomics.load(words, recordOf(page) + PAGE.HEAD) === head;
  if (found) release(page, pages, pages >= LARGE ? KIND.CLEAN : KIND.DIRTY);
  exit();
  if (words[HIGH_DIRTY_PAGES] > MAX_DIRTY) punchRuns(MAX_DIRTY / 2); // many at once: neighbours go together
  return found;
}

/** Makes a used run a free one, under the lock. */
function release(page: number, pages: number, kind: number): void {
  const w = words;
  w[USED] -= pages;
  const end = highEnd();
  const next = page + pages < end ? w[recordOf(page + pages) + PAGE.HEAD] : -1;
  const wild = kind === KIND.CLEAN && (next === 0 || page + pages === end);
  let total = pages;
  if (!wild && next > 0 && kindOf(next) === kind) {
    remove(kind, page + pages, next & COUNT_MASK);
    total += next & COUNT_MASK;
  }
  Atomics.store(w, recordOf(page) + PAGE.HEAD, wild ? 0 : kind | total);
  let start = page;
  if (page > HIGH_FIRST) {
    const before = w[recordOf(page - 1) + PAGE.HEAD];
    const previous = kindOf(before) === KIND.TAIL ? page - (before & COUNT_MASK) : page - 1;
    const head = w[recordOf(previous) + PAGE.HEAD];
    if (kindOf(head) === kind) {
      remove(kind, previous, head & COUNT_MASK);
      start = previous;
      total += page - previous;
      Atomics.store(w, recordOf(start) + PAGE.HEAD, wild ? 0 : kind | total);
    }
  }
  if (wild) w[HIGH_TOP] = start - HIGH_FIRST;
  else insert(kind, start, total);
}

/**
 * Gives memory of dirty runs back to the kernel until no more than `keep` pages of them are left. The smallest go first: so
 * each costs one system call, once, and those that serve many sizes stay.
 */
export function punchRuns(keep = 0): void {
  while (words[HIGH_DIRTY_PAGES] > keep) {
    enter();
    const page = find(DIRTY_BINS, 1);
    const pages = page === 0 ? 0 : words[recordOf(page) + PAGE.HEAD] & COUNT_MASK;
    // Owned in the meantime, as in freeRun().
    if (page !== 0) take(page, pages, self());
    exit();
    if (page === 0) return;
    native.arenaPunch(page * PAGE_BYTES, pages * PAGE_BYTES);
    enter();
    release(page, pages, KIND.CLEAN);
    exit();
  }
}

/** Frees all runs of `owner`; how many they were. */
export function freeRunsOf(owner: number): number {
  const w = words;
  let freed = 0;
  enter();
  for (let page = HIGH_FIRST; page < HIGH_FIRST + w[HIGH_TOP]; ) {
    const at = recordOf(page);
    const head = w[at + PAGE.HEAD];
    const pages = head & COUNT_MASK;
    const mine = kindOf(head) === KIND.USED && isOf(w[at + PAGE.OWNER], owner);
    let next = page + pages;
    if (mine) {
      // A free run behind it may become one with it, and its head mean nothing any more.
      const behind = w[recordOf(next) + PAGE.HEAD];
      if (next < highEnd() && kindOf(behind) === KIND.DIRTY) next += behind & COUNT_MASK;
      release(page, pages, KIND.DIRTY);
      freed++;
    }
    page = next;
  }
  exit();
  if (words[HIGH_DIRTY_PAGES] > MAX_DIRTY) punchRuns(MAX_DIRTY / 2);
  return freed;
}

onRecovery(() => {
  const w = words;
  emptyLists(CLEAN_BINS);
  w[HIGH_DIRTY_PAGES] = 0;
  const end = highEnd();
  let page = HIGH_FIRST;
  let free = 0; // a free run that ends at `page`
  while (page < end) {
    const head = w[recordOf(page) + PAGE.HEAD];
    if (head === 0) break;
    const kind = kindOf(head);
    const pages = head & COUNT_MASK;
    if (free !== 0 && kindOf(w[recordOf(free) + PAGE.HEAD]) === kind) {
      Atomics.store(w, recordOf(free) + PAGE.HEAD, kind | (page + pages - free));
    } else {
      if (free !== 0) reinsert(free);
      free = kind === KIND.USED ? 0 : page;
    }
    if (kind === KIND.USED) {
      if (pages > 1) w[recordOf(page + pages - 1) + PAGE.HEAD] = KIND.TAIL | pages;
      w[USED] += pages;
    }
    page += pages;
  }
  if (free !== 0 && kindOf(w[recordOf(free) + PAGE.HEAD]) === KIND.CLEAN) {
    Atomics.store(w, recordOf(free) + PAGE.HEAD, 0);
    page = free;
  } else if (free !== 0) reinsert(free);
  w[HIGH_TOP] = page - HIGH_FIRST;
});

function reinsert(page: number): void {
  const head = words[recordOf(page) + PAGE.HEAD];
  insert(kindOf(head), page, head & COUNT_MASK);
}
