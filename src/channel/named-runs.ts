import type { Home } from '../sync/home.js';
import { HEADER } from '../sync/named-layout.js';

/*
 * Which pages of the memory behind a name's words are whose: runs of pages, in a table of four words a page. It is the large
 * blocks of the commons again (src/memory/runs.ts), for memory that has no other kind of blocks.
 *
 * Truth is HEAD of each run's first page, and OWNER of those in use. Pages are numbered from 1; the table can be walked from
 * page 1 on at any moment, whoever dies where, as each change of it is one atomic store:
 *
 *   take      the rest's HEAD, which nobody can reach yet; OWNER; the front's HEAD, which makes both at once
 *   release   OWNER := 0, which has the next recovery do the rest; HEAD; merging with either neighbour, one more
 *
 * A run in use is a thread's (its tag) or the channel's. It goes from one to the other by a compare-and-swap of OWNER, without
 * the lock; OWNER is CHANNEL at the first page of a run in use and nowhere else, so a swap from CHANNEL hits nothing that is no
 * block of the channel's. What a dead thread had is found by its tag.
 *
 * Help is all the rest: TAIL records of free runs, lists of these by length, counters. It changes under the lock. If its holder
 * died, the next one makes it anew from the truth, which can be interrupted and begun again.
 */
export const PAGE_BYTES = 4096;

/** The owner of what belongs to no thread. */
export const CHANNEL: number = 2 ** 31 - 1;

/** What a run is. DIRTY and CLEAN ones are free; the kernel holds no memory for the latter. 0: all from here on is clean. */
export const KIND = { USED: 1, DIRTY: 2, CLEAN: 3, TAIL: 4 } as const;
export type Free = typeof KIND.DIRTY | typeof KIND.CLEAN;
export const KIND_BIT = 28;
export const COUNT_MASK: number = 2 ** KIND_BIT - 1;

/** Words in front of the table. */
export const CONTROL = {
  LOCK: 0,
  /** Pages in use. */
  USED: 1,
  /** Pages that are free and dirty. */
  DIRTY: 2,
  /** From this page on, nothing was ever used, or all was given back. */
  TOP: 3,
  /** What of the name's count of deaths has been seen to here. */
  DEATHS: 4,
  /** A bit a list: it is not empty. */
  BITS: 16,
  /** First pages of lists. */
  LISTS: 32,
} as const;
export const LISTS = 128;
export const TABLE: number = CONTROL.LISTS + 2 * LISTS;
export const RECORD_WORDS = 4;
/**
 * TAIL, with the number of pages, stands in HEAD of the last page of a run that has more than one; if the run is in use, from
 * before its own HEAD does.
 */
export const RECORD = { HEAD: 0, OWNER: 1, NEXT: 2, PREVIOUS: 3 } as const;

const EXACT = 16;
/** How many runs of a list to look at before one of longer runs is tried: those of a list are up to a quarter apart. */
const TRIES = 8;

/** Number of the list for free runs of so many pages: one for each of the short lengths, then four for each power of two. */
export function listOf(kind: Free, pages: number): number {
  const first = kind === KIND.DIRTY ? LISTS : 0;
  if (pages < EXACT) return first + pages;
  const log = 31 - Math.clz32(pages);
  return first + EXACT + (log - 4) * 4 + ((pages >>> (log - 2)) & 3);
}

export class NamedRuns {
  readonly #home: Home;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #pages: number;
  readonly #recover = () => this.#rebuild();

  /** `at`: index of the first of wordsFor(pages) words, which were zero at first. */
  constructor(home: Home, at: number, pages: number) {
    this.#home = home;
    this.#words = home.words;
    this.#at = at;
    this.#pages = pages;
  }

  static wordsFor(pages: number): number {
    return TABLE + pages * RECORD_WORDS;
  }

  /** Nothing may wait or throw before exit(). */
  enter(): void {
    this.#home.lock(this.#at + CONTROL.LOCK, this.#recover);
  }

  exit(): void {
    this.#home.unlock(this.#at + CONTROL.LOCK);
  }

  /** Pages in use. Stale once read, without the lock. */
  get used(): number {
    return this.#words[this.#at + CONTROL.USED];
  }

  /** Pages that are free, and for which the kernel holds memory. Stale once read, without the lock. */
  get dirty(): number {
    return this.#words[this.#at + CONTROL.DIRTY];
  }

  /** Index of the word that says whose the run is that starts at this page. 0: there is no such page. */
  ownerWord(page: number): number {
    return page >= 1 && page <= this.#pages && Number.isInteger(page) ? this.#record(page) + RECORD.OWNER : 0;
  }

  /** How many pages the run has that starts here, and is in use. */
  pagesOf(page: number): number {
    return Atomics.load(this.#words, this.#record(page) + RECORD.HEAD) & COUNT_MASK;
  }

  #record(page: number): number {
    return this.#at + TABLE + (page - 1) * RECORD_WORDS;
  }

  #head(page: number): number {
    return this.#words[this.#record(page) + RECORD.HEAD];
  }

  /** Takes so many pages, dirty ones if there are: the first of them; 0: no free run is as long. Under the lock. */
  take(pages: number, owner: number): number {
    const page = this.#find(KIND.DIRTY, pages) || this.#find(KIND.CLEAN, pages);
    if (page === 0) return this.#takeFromTop(pages, owner);
    this.#takeFront(page, pages, owner);
    return page;
  }

  /** Takes up to so many pages of the longest dirty run: the first of them; 0: there is none. Under the lock. */
  takeDirty(most: number, owner: number): number {
    const page = this.#longest(KIND.DIRTY);
    if (page !== 0) this.#takeFront(page, Math.min(most, this.#head(page) & COUNT_MASK), owner);
    return page;
  }

  #takeFront(page: number, pages: number, owner: number): void {
    const w = this.#words;
    const head = this.#head(page);
    const kind = (head >>> KIND_BIT) as Free;
    const rest = (head & COUNT_MASK) - pages;
    this.#unlist(kind, page, pages + rest);
    if (rest > 0) Atomics.store(w, this.#record(page + pages) + RECORD.HEAD, (kind << KIND_BIT) | rest);
    this.#publish(page, pages, owner);
    if (rest > 0) this.#list(kind, page + pages, rest);
  }

  #takeFromTop(pages: number, owner: number): number {
    const w = this.#words;
    const page = w[this.#at + CONTROL.TOP] || 1;
    const next = page + pages;
    if (next > this.#pages + 1) return 0;
    if (next <= this.#pages) Atomics.store(w, this.#record(next) + RECORD.HEAD, 0); // of something in former times
    this.#publish(page, pages, owner);
    w[this.#at + CONTROL.TOP] = next;
    return page;
  }

  #publish(page: number, pages: number, owner: number): void {
    const w = this.#words;
    const at = this.#record(page);
    this.#writeTail(page, pages);
    Atomics.store(w, at + RECORD.OWNER, owner);
    Atomics.store(w, at + RECORD.HEAD, (KIND.USED << KIND_BIT) | pages);
    w[this.#at + CONTROL.USED] += pages;
  }

  /** Makes a run in use a free one. Returns the page behind what it has become part of. Under the lock. */
  release(page: number, kind: Free): number {
    const w = this.#words;
    const pages = this.#head(page) & COUNT_MASK;
    Atomics.store(w, this.#record(page) + RECORD.OWNER, 0);
    w[this.#at + CONTROL.USED] -= pages;
    const next = page + pages;
    const behind = next <= this.#pages ? this.#head(next) : 0;
    const isLast = kind === KIND.CLEAN && behind === 0;
    let total = pages;
    if (behind >>> KIND_BIT === kind) {
      this.#unlist(kind, next, behind & COUNT_MASK);
      total += behind & COUNT_MASK;
    }
    const head = isLast ? 0 : kind << KIND_BIT;
    Atomics.store(w, this.#record(page) + RECORD.HEAD, isLast ? 0 : head | total);
    const previous = this.#startOfRunBefore(page);
    if (previous !== 0 && this.#head(previous) >>> KIND_BIT === kind) {
      this.#unlist(kind, previous, page - previous);
      total += page - previous;
      page = previous;
      Atomics.store(w, this.#record(page) + RECORD.HEAD, isLast ? 0 : head | total);
    }
    if (isLast) w[this.#at + CONTROL.TOP] = page;
    else this.#list(kind, page, total);
    return page + total;
  }

  #startOfRunBefore(page: number): number {
    if (page === 1) return 0;
    const head = this.#head(page - 1);
    return head >>> KIND_BIT === KIND.TAIL ? page - (head & COUNT_MASK) : page - 1;
  }

  /** Have threads ended since the runs of the dead were last freed? Stale once read. */
  get hasDeaths(): boolean {
    return this.#words[HEADER.DEATHS] !== this.#words[this.#at + CONTROL.DEATHS];
  }

  /** Frees what belongs to threads that are known to have ended. Takes time in proportion to all runs. Under the lock. */
  releaseOfDead(): void {
    const w = this.#words;
    const deaths = Atomics.load(w, HEADER.DEATHS);
    for (let page = 1; page <= this.#pages; ) {
      const head = this.#head(page);
      if (head === 0) break;
      const isDeads = head >>> KIND_BIT === KIND.USED && this.#isGone(page);
      page = isDeads ? this.release(page, KIND.DIRTY) : page + (head & COUNT_MASK);
    }
    w[this.#at + CONTROL.DEATHS] = deaths; // last: who dies over it has the next do it
  }

  /** Does nobody have the run in use that starts here? */
  #isGone(page: number): boolean {
    const owner = Atomics.load(this.#words, this.#record(page) + RECORD.OWNER);
    return owner !== CHANNEL && (owner === 0 || this.#home.isKnownDead(owner));
  }

  #writeTail(page: number, pages: number): void {
    if (pages > 1)
      this.#words[this.#record(page + pages - 1) + RECORD.HEAD] = (KIND.TAIL << KIND_BIT) | pages;
  }

  /** Puts a free run where it is found again. */
  #list(kind: Free, page: number, pages: number): void {
    const w = this.#words;
    const list = listOf(kind, pages);
    const first = this.#at + CONTROL.LISTS + list;
    const at = this.#record(page);
    this.#writeTail(page, pages);
    w[at + RECORD.NEXT] = w[first];
    w[at + RECORD.PREVIOUS] = 0;
    if (w[first] !== 0) w[this.#record(w[first]) + RECORD.PREVIOUS] = page;
    w[first] = page;
    w[this.#at + CONTROL.BITS + (list >>> 5)] |= 1 << (list & 31);
    if (kind === KIND.DIRTY) w[this.#at + CONTROL.DIRTY] += pages;
  }

  #unlist(kind: Free, page: number, pages: number): void {
    const w = this.#words;
    const list = listOf(kind, pages);
    const first = this.#at + CONTROL.LISTS + list;
    const at = this.#record(page);
    const [next, previous] = [w[at + RECORD.NEXT], w[at + RECORD.PREVIOUS]];
    if (next !== 0) w[this.#record(next) + RECORD.PREVIOUS] = previous;
    if (previous !== 0) w[this.#record(previous) + RECORD.NEXT] = next;
    else w[first] = next;
    if (w[first] === 0) w[this.#at + CONTROL.BITS + (list >>> 5)] &= ~(1 << (list & 31));
    if (kind === KIND.DIRTY) w[this.#at + CONTROL.DIRTY] -= pages;
  }

  /** A free run of at least so many pages; 0: there is none. */
  #find(kind: Free, pages: number): number {
    const w = this.#words;
    const list = listOf(kind, pages);
    let page = w[this.#at + CONTROL.LISTS + list];
    for (let tries = TRIES; page !== 0 && tries > 0; tries--) {
      if ((this.#head(page) & COUNT_MASK) >= pages) return page;
      page = w[this.#record(page) + RECORD.NEXT];
    }
    const end = (kind === KIND.DIRTY ? 2 * LISTS : LISTS) / 32;
    let mask = -2 << (list & 31);
    for (let i = list >>> 5; i < end; i++, mask = -1) {
      const set = w[this.#at + CONTROL.BITS + i] & mask;
      if (set !== 0) return w[this.#at + CONTROL.LISTS + i * 32 + 31 - Math.clz32(set & -set)];
    }
    return 0;
  }

  /** One of the longest free runs; 0: there is none. */
  #longest(kind: Free): number {
    const w = this.#words;
    const first = (kind === KIND.DIRTY ? LISTS : 0) / 32;
    for (let i = first + LISTS / 32 - 1; i >= first; i--) {
      const set = w[this.#at + CONTROL.BITS + i];
      if (set !== 0) return w[this.#at + CONTROL.LISTS + i * 32 + 31 - Math.clz32(set)];
    }
    return 0;
  }

  /** Somebody died with the lock in hand. */
  #rebuild(): void {
    const w = this.#words;
    const at = this.#at;
    w.fill(0, at + CONTROL.USED, at + CONTROL.TOP + 1);
    w.fill(0, at + CONTROL.BITS, at + TABLE);
    let page = 1;
    let free = 0; // a free run that ends before `page`
    while (page <= this.#pages) {
      let head = Atomics.load(w, this.#record(page) + RECORD.HEAD);
      if (head === 0) break;
      const pages = head & COUNT_MASK;
      if (head >>> KIND_BIT === KIND.USED) {
        if (this.#isGone(page)) {
          head = (KIND.DIRTY << KIND_BIT) | pages;
          Atomics.store(w, this.#record(page) + RECORD.HEAD, head);
        } else w[at + CONTROL.USED] += pages;
      }
      const kind = head >>> KIND_BIT;
      if (free !== 0 && this.#head(free) >>> KIND_BIT === kind) {
        Atomics.store(w, this.#record(free) + RECORD.HEAD, (kind << KIND_BIT) | (page + pages - free));
      } else {
        if (free !== 0) this.#relist(free);
        free = kind === KIND.USED ? 0 : page;
      }
      page += pages;
    }
    if (free !== 0 && this.#head(free) >>> KIND_BIT === KIND.CLEAN) {
      Atomics.store(w, this.#record(free) + RECORD.HEAD, 0);
      page = free;
    } else if (free !== 0) this.#relist(free);
    w[at + CONTROL.TOP] = page;
  }

  #relist(page: number): void {
    const head = this.#head(page);
    this.#list((head >>> KIND_BIT) as Free, page, head & COUNT_MASK);
  }
}
