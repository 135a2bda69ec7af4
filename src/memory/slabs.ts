import { OutOfMemoryError } from '../errors/errors.js';
import { bytes, words } from './commons.js';
import { enter, exit, onRecovery } from './guard.js';
import { PAGE, PAGE_BYTES } from './layout.js';
import { checkLimit, format, getLimit } from './limit.js';
import { CLEAN_BINS, emptyLists, isLinked, link, listWord, SLAB_LISTS, unlink } from './lists.js';
import { isOf } from './owners.js';
import {
  COUNT_MASK,
  giveLowPage,
  HIGH_FIRST,
  KIND,
  kindOf,
  lowEnd,
  lowFirst,
  PAGE_WORDS,
  punchLowPage,
  recordOf,
  releaseHeldPage,
  takeLowPage,
} from './pages.js';
import { self } from './participants.js';
import { BLOCKS, COUNTS, SIZES } from './sizes.js';

/*
 * Small blocks: pages ("slabs") of blocks of one size.
 *
 *   word 0          how many blocks are taken, about: see below
 *   words 1 … n     whose each block is; 0: free. This is the truth, and allocating and freeing are one store each
 *   BLOCKS[k]       the blocks
 *
 * A thread allocates without a lock from slabs that it holds, one a size class: the OWNER of their page record. It goes
 * through such a slab once, then lets go of it and takes another: one from the list of those with room, or a new page.
 * Freeing needs no lock either, but where it makes a slab worth listing, or empty. Why all this is safe: README.md.
 * The idea of slabs of a thread's own is mimalloc's (D. Leijen et al., "Mimalloc: Free List Sharding in Action").
 */

/** A slab is listed when at most so many of its blocks are taken, so that who takes it finds a good number free. */
const LISTED_AT: readonly number[] = COUNTS.map(count => count - Math.max(1, count >>> 3));

/** Up to here a loop over words clears faster than a call. */
const LOOP_BYTES = 128;

/** The slabs that this thread holds, by class; 0: none. */
const slabs = new Int32Array(SIZES.length);
/** Blocks of each that it has gone through. */
const cursors = new Int32Array(SIZES.length);
/** Whether the blocks from the cursor on were never used, and so are zero. */
const fresh = new Uint8Array(SIZES.length);
/** Who "this thread" is in the above: a forked child is another. */
let holder = 0;

/** Allocates a block of size class `k`. Its offset. @throws {OutOfMemoryError} */
export function allocateBlock(k: number, owner: number, zero: boolean): number {
  const w = words;
  const me = self();
  if (me !== holder) startAnew(me);
  const count = COUNTS[k];
  for (;;) {
    const page = slabs[k];
    if (page !== 0) {
      const owners = page * PAGE_WORDS + 1;
      for (let i = cursors[k]; i < count; i++) {
        // Only the holder makes a free block a taken one, so nobody can come between.
        if (w[owners + i] !== 0) continue;
        Atomics.store(w, owners + i, owner);
        cursors[k] = i + 1;
        const size = SIZES[k];
        const offset = page * PAGE_BYTES + BLOCKS[k] + i * size;
        if (zero && fresh[k] === 0) clear(offset, size);
        return offset;
      }
      cursors[k] = count;
    }
    takeSlab(k);
  }
}

function clear(offset: number, size: number): void {
  if (size > LOOP_BYTES) {
    bytes.fill(0, offset, offset + size);
    return;
  }
  const w = words;
  for (let i = offset >>> 2, end = (offset + size) >>> 2; i < end; i++) w[i] = 0;
}

/** Word index of the owner of the block at `offset`; −1: no block starts there. */
export function ownerWordOf(offset: number): number {
  const page = Math.floor(offset / PAGE_BYTES);
  if (page < lowFirst()) return -1;
  const head = Atomics.load(words, recordOf(page) + PAGE.HEAD);
  if (kindOf(head) !== KIND.SLAB) return -1;
  const k = head & COUNT_MASK;
  const index = (offset - page * PAGE_BYTES - BLOCKS[k]) / SIZES[k];
  return index >= 0 && index < COUNTS[k] && index === Math.floor(index) ? page * PAGE_WORDS + 1 + index : -1;
}

/** The size class of the page of a block. */
export function classAt(offset: number): number {
  return words[recordOf(Math.floor(offset / PAGE_BYTES)) + PAGE.HEAD] & COUNT_MASK;
}

/** Frees the block at `offset`. False: there is none. */
export function freeBlock(offset: number): boolean {
  const owner = ownerWordOf(offset);
  if (owner < 0 || Atomics.exchange(words, owner, 0) === 0) return false;
  const page = Math.floor(offset / PAGE_BYTES);
  const left = Atomics.sub(words, page * PAGE_WORDS, 1) - 1;
  if (left <= 0 || left === LISTED_AT[classAt(offset)]) {
    enter();
    const punch = settle(page);
    exit();
    if (punch) punchLowPage(page);
  }
  return true;
}

/** Frees all small blocks of `owner`, and lets go of the slabs that it held; how many blocks they were. */
export function freeBlocksOf(owner: number): number {
  const w = words;
  if (owner === holder) startAnew(0);
  let freed = 0;
  for (let page = lowFirst(); page < lowEnd(); page++) {
    const at = recordOf(page);
    if (kindOf(w[at + PAGE.HEAD]) !== KIND.SLAB && kindOf(w[at + PAGE.HEAD]) !== KIND.USED) continue;
    enter();
    let punch = false;
    const head = w[at + PAGE.HEAD];
    if (kindOf(head) === KIND.SLAB) {
      freed += freeWithin(page, COUNTS[head & COUNT_MASK], owner);
      if (w[at + PAGE.OWNER] === owner) Atomics.store(w, at + PAGE.OWNER, 0);
      if (w[at + PAGE.OWNER] === 0) {
        recount(page, COUNTS[head & COUNT_MASK]);
        punch = settle(page);
      }
    } else releaseHeldPage(page, owner);
    exit();
    if (punch) punchLowPage(page);
  }
  return freed;
}

function freeWithin(page: number, count: number, owner: number): number {
  const w = words;
  let freed = 0;
  for (let i = page * PAGE_WORDS + 1, end = i + count; i < end; i++) {
    const whose = w[i];
    if (isOf(whose, owner) && Atomics.compareExchange(w, i, whose, 0) === whose) freed++;
  }
  return freed;
}

/** Lets go of all slabs that this thread holds. */
export function letGoOfSlabs(): void {
  if (self() !== holder) return;
  for (let k = 0; k < slabs.length; k++) {
    const page = slabs[k];
    if (page === 0) continue;
    slabs[k] = 0;
    enter();
    letGo(page);
    const punch = settle(page);
    exit();
    if (punch) punchLowPage(page);
  }
}

function startAnew(me: number): void {
  slabs.fill(0);
  holder = me;
}

/** Takes a slab with room of class `k`, or a new one, instead of the one held so far. */
function takeSlab(k: number): void {
  const w = words;
  getLimit(); // sets it, the first time
  enter();
  try {
    const old = slabs[k];
    slabs[k] = 0;
    if (old !== 0) {
      letGo(old);
      if (hasRoom(old)) link(SLAB_LISTS + k, old);
    }
    // `old` itself is the first of the list if it has room again.
    let page = w[listWord(SLAB_LISTS + k)];
    if (page !== 0) {
      unlink(SLAB_LISTS + k, page);
      Atomics.store(w, recordOf(page) + PAGE.OWNER, holder);
      Atomics.add(w, page * PAGE_WORDS, COUNTS[k]);
      fresh[k] = 0;
    } else {
      page = newSlab(k);
    }
    cursors[k] = 0;
    slabs[k] = page;
  } finally {
    exit();
  }
}

function newSlab(k: number): number {
  const w = words;
  checkLimit(1);
  const page = takeLowPage();
  if (page === 0)
    throw new OutOfMemoryError(
      `Cannot allocate a block of ${SIZES[k]} bytes as the ${format((HIGH_FIRST - lowFirst()) * PAGE_BYTES)} of shared ` +
        'memory for small blocks are full: let go of some, or put many small values into few large blocks',
    );
  const at = recordOf(page);
  const start = page * PAGE_WORDS;
  fresh[k] = kindOf(w[at + PAGE.HEAD]) === KIND.DIRTY ? 0 : 1;
  if (fresh[k] === 0) w.fill(0, start + 1, start + 1 + COUNTS[k]);
  w[start] = COUNTS[k];
  w[at + PAGE.NEXT] = 0;
  w[at + PAGE.PREVIOUS] = 0;
  Atomics.store(w, at + PAGE.OWNER, holder);
  Atomics.store(w, at + PAGE.HEAD, KIND.SLAB | k);
  return page;
}

/** This slab is nobody's from now on. Under the lock. */
function letGo(page: number): void {
  const at = recordOf(page);
  recount(page, COUNTS[words[at + PAGE.HEAD] & COUNT_MASK]);
  Atomics.store(words, at + PAGE.OWNER, 0);
}

/**
 * Sets the count of a slab that nobody allocates from to what is taken. A free that is between its two steps now makes it
 * one less than that; it is never more.
 */
function recount(page: number, count: number): void {
  const w = words;
  const at = page * PAGE_WORDS;
  for (;;) {
    const before = Atomics.load(w, at);
    let taken = 0;
    for (let i = at + 1; i <= at + count; i++) if (w[i] !== 0) taken++;
    if (before === taken || Atomics.compareExchange(w, at, before, taken) === before) return;
  }
}

function hasRoom(page: number): boolean {
  return Atomics.load(words, page * PAGE_WORDS) <= LISTED_AT[words[recordOf(page) + PAGE.HEAD] & COUNT_MASK];
}

/** Lists or frees a slab, if it is one that nobody holds. Under the lock. True: punchLowPage() must follow. */
function settle(page: number): boolean {
  const w = words;
  const at = recordOf(page);
  const head = w[at + PAGE.HEAD];
  if (kindOf(head) !== KIND.SLAB || w[at + PAGE.OWNER] !== 0) return false;
  const list = SLAB_LISTS + (head & COUNT_MASK);
  if (Atomics.load(w, page * PAGE_WORDS) <= 0 && isEmpty(page, COUNTS[head & COUNT_MASK])) {
    if (isLinked(list, page)) unlink(list, page);
    return giveLowPage(page);
  }
  if (hasRoom(page) && !isLinked(list, page)) link(list, page);
  return false;
}

/** The count may be too low; the owner words never lie. */
function isEmpty(page: number, count: number): boolean {
  for (let i = page * PAGE_WORDS + 1, end = i + count; i < end; i++) if (words[i] !== 0) return false;
  return true;
}

onRecovery(() => {
  const w = words;
  emptyLists(SLAB_LISTS, CLEAN_BINS);
  for (let page = lowFirst(); page < lowEnd(); page++) {
    const at = recordOf(page);
    const head = w[at + PAGE.HEAD];
    if (kindOf(head) !== KIND.SLAB) continue;
    w[at + PAGE.NEXT] = 0;
    w[at + PAGE.PREVIOUS] = 0;
    if (w[at + PAGE.OWNER] === 0 && hasRoom(page)) link(SLAB_LISTS + (head & COUNT_MASK), page);
  }
});
