import { OutOfMemoryError } from '../errors/errors.js';
import { format } from '../memory/limit.js';
import { memoryAvailable, memoryLimit } from '../platform/platform.js';
import type { Extent, Home } from '../sync/home.js';
import { CHANNEL, KIND, NamedRuns, PAGE_BYTES } from './named-runs.js';
import type { Block, Space } from './space.js';

/** Dirty pages kept for reuse instead of being given back to the kernel: 16 MiB. */
const MAX_DIRTY = 2 ** 24 / PAGE_BYTES;
/** Blocks from this on (8 MiB) go back to the kernel at once: filling them costs more than the page faults. */
const LARGE = 2 ** 23 / PAGE_BYTES;

/** Blocks of up to half a window are seen through windows, which are kept: number k starts at k halves. */
const WINDOW_BYTES = 2 ** 26;
const STRIDE_BYTES = WINDOW_BYTES / 2;
/** Where else a mapping may start. */
const GRANULE = 2 ** 16;

/** By how much use must have changed for the machine to be asked again how much it has left. */
const LOOK_EVERY = 2 ** 24;

/**
 * The memory behind the words of a name, for the items of one channel: whole pages of 4 KiB. What a dead thread had is freed
 * when its death has been counted, or before memory is refused. Handles are page numbers.
 */
export class NamedSpace implements Space {
  readonly #home: Home;
  readonly #extent: Extent;
  readonly #runs: NamedRuns;
  readonly #windows: ArrayBuffer[] = [];
  /** Bytes that may be in use. */
  readonly #limit: number;
  /** What the machine had left for this when so many bytes were in use. */
  #left = 0;
  #usedThen = Number.NEGATIVE_INFINITY;

  /**
   * `at`: index of the first of NamedSpace.wordsFor(bytes of the home's extent) words, all zero at first. `limit`: how many
   * bytes may be in use; default: half of the machine's memory, or of the least limit of this process's cgroups.
   */
  constructor(home: Home, at: number, limit: number = memoryLimit() / 2) {
    this.#home = home;
    this.#extent = home.extent as Extent;
    this.#runs = new NamedRuns(home, at, Math.floor(this.#extent.bytes / PAGE_BYTES));
    this.#limit = Math.min(limit, this.#extent.bytes);
  }

  /** How many words are needed to keep account of so many bytes. */
  static wordsFor(bytes: number): number {
    return NamedRuns.wordsFor(Math.floor(bytes / PAGE_BYTES));
  }

  /** Room that a new one over so many bytes has. Stale once read. */
  static roomFor(bytes: number): number {
    return Math.floor(Math.min(bytes, memoryLimit() / 2, memoryAvailable() / 2));
  }

  allocate(bytes: number): number {
    const pages = Math.max(1, Math.ceil(bytes / PAGE_BYTES));
    const me = this.#home.self();
    const handle = this.#take(pages, me) || this.#takeAfterAll(pages, me);
    if (handle === 0) throw this.#refusal(bytes);
    return handle;
  }

  #take(pages: number, owner: number): number {
    const runs = this.#runs;
    runs.enter();
    if (runs.hasDeaths) runs.releaseOfDead();
    const page = this.#isWithinLimit(pages) ? runs.take(pages, owner) : 0;
    runs.exit();
    return page;
  }

  #takeAfterAll(pages: number, owner: number): number {
    const runs = this.#runs;
    runs.enter();
    runs.releaseOfDead();
    const isWithinLimit = this.#isWithinLimit(pages);
    runs.exit();
    if (!isWithinLimit) return 0;
    this.#punch(0); // dirty and clean neighbours become one by it
    return this.#take(pages, owner);
  }

  #isWithinLimit(pages: number): boolean {
    return (this.#runs.used + pages) * PAGE_BYTES <= this.#limit;
  }

  #refusal(bytes: number): OutOfMemoryError {
    const used = this.#runs.used * PAGE_BYTES;
    const what = `Cannot allocate ${format(bytes)} of the memory of this name`;
    if (bytes > this.#limit)
      return new OutOfMemoryError(
        `${what} as all that it may have is ${format(this.#limit)}: put it in smaller pieces, or use a channel without a name`,
      );
    const state =
      used + bytes > this.#limit
        ? `${format(used)} of ${format(this.#limit)} are in use`
        : `no free piece is as long, with ${format(used)} of ${format(this.#limit)} in use`;
    return new OutOfMemoryError(`${what} as ${state}: let some items be taken out first`);
  }

  sizeOf(handle: number): number {
    if (this.#ownerOf(handle) === 0) throw noBlock(handle);
    return this.#runs.pagesOf(handle) * PAGE_BYTES;
  }

  at(handle: number, bytes: number): Block {
    const offset = (handle - 1) * PAGE_BYTES;
    const end = offset + bytes;
    const number = Math.floor(offset / STRIDE_BYTES);
    const start = number * STRIDE_BYTES;
    if (end <= start + WINDOW_BYTES) {
      const length = Math.min(WINDOW_BYTES, this.#extent.bytes - start);
      this.#windows[number] ??= this.#extent.map(start, length);
      return new NamedBlock(this.#windows[number], offset - start, bytes);
    }
    const from = Math.floor(offset / GRANULE) * GRANULE;
    const length = Math.ceil((end - from) / PAGE_BYTES) * PAGE_BYTES;
    return new NamedBlock(this.#extent.map(from, length), offset - from, bytes);
  }

  keep(handle: number): void {
    this.#pass(handle, this.#home.self(), CHANNEL);
  }

  take(handle: number): void {
    this.#pass(handle, CHANNEL, this.#home.self());
  }

  free(handle: number): void {
    const me = this.#home.self();
    if (this.#ownerOf(handle) !== me) throw noBlock(handle);
    const runs = this.#runs;
    const pages = runs.pagesOf(handle);
    // While it is still this thread's: a long system call under the lock would stop everybody.
    if (pages >= LARGE) this.#extent.punch((handle - 1) * PAGE_BYTES, pages * PAGE_BYTES);
    runs.enter();
    runs.release(handle, pages >= LARGE ? KIND.CLEAN : KIND.DIRTY);
    runs.exit();
    if (runs.dirty > MAX_DIRTY) this.#punch(MAX_DIRTY / 2); // much at once
  }

  reclaim(handle: number): void {
    // Whoever dies between the two leaves it with all that was theirs.
    if (this.#pass(handle, CHANNEL, this.#home.self())) this.free(handle);
  }

  /**
   * Half of what the machine, or this process's cgroup, has left, if that is less than what is left of the limit. What others
   * take or give back is seen once 16 MiB more, or less, are in use here.
   */
  room(): number {
    const used = this.#runs.used * PAGE_BYTES;
    if (Math.abs(used - this.#usedThen) >= LOOK_EVERY) {
      this.#left = memoryAvailable() / 2;
      this.#usedThen = used;
    }
    const left = this.#left - (used - this.#usedThen);
    return Math.max(0, Math.floor(Math.min(this.#limit - used, left)));
  }

  /** 0: no block starts there. Stale once read, if the block is not this thread's. */
  #ownerOf(handle: number): number {
    const word = this.#runs.ownerWord(handle);
    return word === 0 ? 0 : Atomics.load(this.#home.words, word);
  }

  #pass(handle: number, from: number, to: number): boolean {
    const word = this.#runs.ownerWord(handle);
    return word !== 0 && Atomics.compareExchange(this.#home.words, word, from, to) === from;
  }

  /** Gives memory of free runs back to the kernel until no more than `keep` pages of it are left. */
  #punch(keep: number): void {
    const runs = this.#runs;
    const me = this.#home.self();
    while (runs.dirty > keep) {
      runs.enter();
      const excess = runs.dirty - keep;
      // It is this thread's meanwhile, as in free().
      const page = excess > 0 ? runs.takeDirty(excess, me) : 0;
      runs.exit();
      if (page === 0) return;
      this.#extent.punch((page - 1) * PAGE_BYTES, runs.pagesOf(page) * PAGE_BYTES);
      runs.enter();
      runs.release(page, KIND.CLEAN);
      runs.exit();
    }
  }
}

/** Most users want the bytes only, and a view costs more than all the rest of at(). */
class NamedBlock implements Block {
  readonly bytes: Uint8Array;
  #words: Int32Array | undefined;

  constructor(buffer: ArrayBuffer, offset: number, length: number) {
    this.bytes = new Uint8Array(buffer, offset, length);
  }

  /** As many as the bytes touch: a block's size is a multiple of four. */
  get words(): Int32Array {
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.#words ??= new Int32Array(buffer, byteOffset, Math.ceil(byteLength / 4));
    return this.#words;
  }
}

function noBlock(handle: number): RangeError {
  return new RangeError(
    `There is no block ${handle} of this thread's in the memory of this name: it was freed already, or never allocated`,
  );
}
