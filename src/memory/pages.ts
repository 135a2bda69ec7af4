import { native } from '../native/native.js';
import { words } from './commons.js';
import { enter, exit, LOW_CLEAN, LOW_DIRTY, LOW_DIRTY_PAGES, LOW_TOP, onRecovery, USED } from './guard.js';
import { HEADER, LOW_BYTES, PAGE, PAGE_BYTES, PAGE_RECORD_WORDS, PAGES } from './layout.js';
import { self } from './participants.js';

/*
 * Page records. HEAD says what starts at a page: a kind in the upper four bits, and below them
 *
 *   0      nothing yet: never used (low zone); free, zero and up to the arena's end (high zone)
 *   CLEAN  number of pages    free, and zero
 *   DIRTY  number of pages    free, with old bytes in them
 *   USED   number of pages    high zone: one large block, OWNER is whose; low zone: being given back by OWNER
 *   SLAB   size class         small blocks (low zone only), OWNER is the thread that may allocate from it, or 0
 *   TAIL   number of pages    the last of a run of several pages (high zone only)
 *
 * Records of the other pages of a run mean nothing. HEAD and OWNER are the truth, and every change of it is one store; NEXT,
 * PREVIOUS and TAIL only help to find things fast. All of it changes under the allocator's lock.
 *
 * The low zone is handed out by single pages, so free ones are just stacked.
 */
export const KIND = { CLEAN: 1 << 28, DIRTY: 2 << 28, USED: 3 << 28, SLAB: 4 << 28, TAIL: 5 << 28 } as const;
const KIND_MASK = 0xf << 28;
export const COUNT_MASK: number = ~KIND_MASK;

export const PAGE_WORDS: number = PAGE_BYTES / 4;
/** The first page of the high zone. */
export const HIGH_FIRST: number = LOW_BYTES / PAGE_BYTES;

/** Low pages kept for reuse instead of being given back to the kernel: 16 MiB. */
const MAX_DIRTY = 2 ** 24 / PAGE_BYTES;

/** Word index of a page's record. */
export function recordOf(page: number): number {
  return PAGES + page * PAGE_RECORD_WORDS;
}

export function kindOf(head: number): number {
  return head & KIND_MASK;
}

/** The first page of the low zone; the one before it holds the lists of lists.ts. */
export function lowFirst(): number {
  return words[HEADER.FIRST_PAGE] + 1;
}

/** The end of low pages that were ever used. */
export function lowEnd(): number {
  return lowFirst() + words[LOW_TOP];
}

/** The end of the high zone. */
export function highEnd(): number {
  return words[HEADER.PAGES];
}

/** Takes a free low page; its HEAD still says so. 0: there is none. Under the lock. */
export function takeLowPage(): number {
  const w = words;
  for (const stack of [LOW_DIRTY, LOW_CLEAN]) {
    const page = w[stack];
    if (page === 0) continue;
    w[stack] = w[recordOf(page) + PAGE.NEXT];
    if (stack === LOW_DIRTY) w[LOW_DIRTY_PAGES]--;
    w[USED]++;
    return page;
  }
  const page = lowEnd();
  if (page >= HIGH_FIRST) return 0;
  Atomics.store(w, LOW_TOP, w[LOW_TOP] + 1);
  w[USED]++;
  return page;
}

/**
 * Frees a low page. Under the lock. True: it must be given back to the kernel, by punchLowPage() once the lock is free; until
 * then it is this thread's.
 */
export function giveLowPage(page: number): boolean {
  const w = words;
  const at = recordOf(page);
  if (w[LOW_DIRTY_PAGES] >= MAX_DIRTY) {
    hold(page);
    return true;
  }
  Atomics.store(w, at + PAGE.HEAD, KIND.DIRTY | 1);
  push(page);
  w[USED]--;
  return false;
}

/** Gives the memory of a held low page back to the kernel, and the page to all. Not under the lock: this takes a while. */
export function punchLowPage(page: number): void {
  native.arenaPunch(page * PAGE_BYTES, PAGE_BYTES);
  enter();
  releaseLowPage(page, KIND.CLEAN);
  exit();
}

/** Gives all dirty low pages back to the kernel. */
export function punchLowPages(): void {
  for (;;) {
    enter();
    const page = words[LOW_DIRTY];
    if (page !== 0) {
      takeLowPage();
      hold(page);
    }
    exit();
    if (page === 0) return;
    punchLowPage(page);
  }
}

/** What `owner` was giving back when it died. Under the lock. */
export function releaseHeldPage(page: number, owner: number): void {
  const at = recordOf(page);
  if (words[at + PAGE.HEAD] === (KIND.USED | 1) && words[at + PAGE.OWNER] === owner)
    releaseLowPage(page, KIND.DIRTY);
}

function hold(page: number): void {
  const at = recordOf(page);
  Atomics.store(words, at + PAGE.OWNER, self());
  Atomics.store(words, at + PAGE.HEAD, KIND.USED | 1);
}

function releaseLowPage(page: number, kind: number): void {
  Atomics.store(words, recordOf(page) + PAGE.HEAD, kind | 1);
  push(page);
  words[USED]--;
}

/** Onto the stack that it belongs to. */
function push(page: number): void {
  const w = words;
  const at = recordOf(page);
  const dirty = kindOf(w[at + PAGE.HEAD]) === KIND.DIRTY;
  const stack = dirty ? LOW_DIRTY : LOW_CLEAN;
  w[at + PAGE.NEXT] = w[stack];
  w[stack] = page;
  if (dirty) w[LOW_DIRTY_PAGES]++;
}

onRecovery(() => {
  const w = words;
  w[LOW_CLEAN] = 0;
  w[LOW_DIRTY] = 0;
  w[LOW_DIRTY_PAGES] = 0;
  for (let page = lowEnd() - 1; page >= lowFirst(); page--) {
    const at = recordOf(page);
    const head = w[at + PAGE.HEAD];
    // Claimed by raising LOW_TOP, and then nothing came of it.
    if (head === 0) Atomics.store(w, at + PAGE.HEAD, KIND.CLEAN | 1);
    const kind = head === 0 ? KIND.CLEAN : kindOf(head);
    if (kind === KIND.CLEAN || kind === KIND.DIRTY) push(page);
    else w[USED]++;
  }
});
