import { native } from '../native/native.js';
import { words } from './commons.js';
import { enter, exit, HIGH_DIRTY_PAGES, LOW_DIRTY_PAGES, USED } from './guard.js';
import { handleAt, offsetOf } from './handles.js';
import { LOW_BYTES, PAGE, PAGE_BYTES } from './layout.js';
import { getLimit } from './limit.js';
import { COUNT_MASK, HIGH_FIRST, highEnd, KIND, kindOf, punchLowPages, recordOf } from './pages.js';
import { self } from './participants.js';
import { allocateRun, freeRun, freeRunsOf, punchRuns } from './runs.js';
import { classOf, SIZES, SMALL_BYTES } from './sizes.js';
import { allocateBlock, classAt, freeBlock, freeBlocksOf, letGoOfSlabs, ownerWordOf } from './slabs.js';

/*
 * The allocator of the commons. A block is named by its handle, belongs to an owner, and lives until it is freed, whoever
 * frees it, or until its dead owner is swept. README.md says how it survives the death of its users.
 */
export { handleAt, offsetOf } from './handles.js';
export { getLimit, setLimit } from './limit.js';
export { FAMILY, givenTo, PROCESS_OWNER, receiverOf } from './owners.js';

export interface AllocateOptions {
  /** Default: this thread. */
  owner?: number;
  /** False: the block may hold old bytes. Default: true. */
  zero?: boolean;
}

/**
 * Allocates a block of at least `size` bytes that starts at a multiple of 16, and of 16 KiB if it is larger than 8,176 bytes.
 * It belongs to `owner` from its birth on, so that it cannot be lost between this call and the next. Returns its handle.
 * @throws {RangeError} `size` is not an integer from 0 on.
 * @throws {OutOfMemoryError} It would be beyond the limit, or what is free is in too small pieces.
 */
export function allocate(size: number, options?: AllocateOptions): number {
  if (!Number.isInteger(size) || size < 0)
    throw new RangeError(`The size of a block must be an integer from 0 on, not ${size}`);
  const me = self();
  const owner = options?.owner ?? me;
  const zero = options?.zero ?? true;
  if (size <= SMALL_BYTES) return handleAt(allocateBlock(classOf(size), owner, zero));
  return handleAt(allocateRun(Math.ceil(size / PAGE_BYTES), owner, zero) * PAGE_BYTES);
}

/**
 * Frees a block, whosever it is.
 * @throws {RangeError} There is no such block; so it was freed already, unless its place has been taken again since.
 */
export function free(handle: number): void {
  const offset = offsetOf(handle);
  if (!(offset < LOW_BYTES ? freeBlock(offset) : pageOf(handle) > 0 && freeRun(pageOf(handle))))
    throw noBlock(handle);
}

/** Whether `handle` names a block. Stale once read, if the block is not the caller's. */
export function isAllocated(handle: number): boolean {
  const word = ownerWord(handle);
  return word >= 0 && Atomics.load(words, word) !== 0;
}

/** Bytes of a block that can be used: as many as were asked for, or some more. @throws {RangeError} There is no such block. */
export function sizeOf(handle: number): number {
  if (!isAllocated(handle)) throw noBlock(handle);
  const offset = offsetOf(handle);
  if (offset < LOW_BYTES) return SIZES[classAt(offset)];
  return (words[recordOf(pageOf(handle)) + PAGE.HEAD] & COUNT_MASK) * PAGE_BYTES;
}

/** Whose a block is. Stale once read. @throws {RangeError} There is no such block. */
export function ownerOf(handle: number): number {
  const owner = ownerIfAny(handle);
  if (owner === 0) throw noBlock(handle);
  return owner;
}

/** The same; 0: there is no such block. */
export function ownerIfAny(handle: number): number {
  const word = ownerWord(handle);
  return word < 0 ? 0 : Atomics.load(words, word);
}

/** Index of the word that holds a small block's owner: 0 once it is freed. @throws {RangeError} There is no such block. */
export function ownerWordAt(handle: number): number {
  const word = ownerWord(handle);
  if (word < 0 || Atomics.load(words, word) === 0) throw noBlock(handle);
  return word;
}

/**
 * Gives a block from one owner to another, in one step. False: it was not, or no longer, the first one's. Nobody may be about
 * to free it: see takeOver().
 */
export function transfer(handle: number, from: number, to: number): boolean {
  const word = ownerWord(handle);
  return word >= 0 && Atomics.compareExchange(words, word, from, to) === from;
}

/** The same for a block that may have been freed, or may be at any moment, and its place have been taken by any other. */
export function takeOver(handle: number, from: number, to: number): boolean {
  enter(); // so that no page becomes another kind of page between the two steps of transfer()
  const taken = transfer(handle, from, to);
  exit();
  return taken;
}

/**
 * Frees all that belongs to `owner`, which allocates no more, or was given to it; how many blocks that were. May be called by
 * several at once, and again: what one leaves undone by dying, the next does. Takes time in proportion to all blocks of the
 * family.
 */
export function freeAllOf(owner: number): number {
  self();
  return freeBlocksOf(owner) + freeRunsOf(owner);
}

/** Gives back to the kernel all that is free, and what this thread keeps for its next small blocks. */
export function trim(): void {
  letGoOfSlabs();
  punchLowPages();
  punchRuns();
}

export interface MemoryStats {
  /** Bytes of pages in use, by all of the family. */
  readonly used: number;
  /** What `used` may be. */
  readonly limit: number;
  /** Bytes that are free but kept for reuse. */
  readonly cached: number;
  /** Bytes that the kernel holds for the commons: what was touched of `used` and `cached`, and tables. */
  readonly resident: number;
}

/** How much memory the family has. Stale once read. */
export function stats(): MemoryStats {
  return {
    limit: getLimit(),
    used: words[USED] * PAGE_BYTES,
    cached: (words[LOW_DIRTY_PAGES] + words[HIGH_DIRTY_PAGES]) * PAGE_BYTES,
    resident: native.arenaResident(),
  };
}

function pageOf(handle: number): number {
  const page = offsetOf(handle) / PAGE_BYTES;
  return page < highEnd() ? page : 0;
}

/** Word index of a block's owner; −1: no block starts there. */
function ownerWord(handle: number): number {
  const offset = offsetOf(handle);
  if (offset < LOW_BYTES) return ownerWordOf(offset);
  const page = pageOf(handle);
  if (page < HIGH_FIRST) return -1;
  const at = recordOf(page);
  return kindOf(Atomics.load(words, at + PAGE.HEAD)) === KIND.USED ? at + PAGE.OWNER : -1;
}

function noBlock(handle: number): RangeError {
  return new RangeError(
    `There is no block ${handle} in shared memory: it was freed already, or never allocated`,
  );
}
