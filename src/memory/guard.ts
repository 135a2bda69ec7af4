import { words } from './commons.js';
import { ALLOCATOR } from './layout.js';
import { lock, unlock } from './robust-lock.js';

/*
 * The allocator's lock and counters. All of it but LOCK, LIMIT and LOW_TOP can be told from the page records, and is told
 * from them again when somebody died with the lock in hand.
 */
export const LOCK: number = ALLOCATOR;
/** Pages that may be in use; 0: not set yet. */
export const LIMIT: number = ALLOCATOR + 1;
/** Pages in use. */
export const USED: number = ALLOCATOR + 2;
/** Pages that are free but not given back to the kernel: high ones, and low ones below. */
export const HIGH_DIRTY_PAGES: number = ALLOCATOR + 3;
/** Low pages that were ever used. Raised before the page is used and never lowered, so it bounds every walk. */
export const LOW_TOP: number = ALLOCATOR + 4;
/** First of the low pages that are free, by what they hold: zeros, or anything. */
export const LOW_CLEAN: number = ALLOCATOR + 5;
export const LOW_DIRTY: number = ALLOCATOR + 6;
/** High pages in front of the wilderness. */
export const HIGH_TOP: number = ALLOCATOR + 7;
export const LOW_DIRTY_PAGES: number = ALLOCATOR + 8;

const rebuilders: (() => void)[] = [];

/** `rebuild` restores what it keeps from the page records. It adds to USED, which starts from 0. */
export function onRecovery(rebuild: () => void): void {
  rebuilders.push(rebuild);
}

/** Takes the allocator's lock. Nothing may wait or throw for other reasons than bugs before exit(), but in `try`. */
export function enter(): void {
  lock(LOCK, recover);
}

export function exit(): void {
  unlock(LOCK);
}

function recover(): void {
  words[USED] = 0;
  for (const rebuild of rebuilders) rebuild();
}
