import { OutOfMemoryError } from '../errors/errors.js';
import { allocate, free, offsetOf } from '../memory/allocator.js';
import type { Cell } from './cell.js';

/*
 * The table of those who hold something that several may hold: an entry each. It is the truth; all else can be told from it.
 *
 * An entry is made, or is gone, by the one store of its TAG, so its state is clear whoever dies when. It lies among the words of the
 * object's cell, or in blocks that hang on it. What is said below of how many there are and which places are free follows
 * from the entries: recount() tells it anew. All functions that change the table need the object's inner lock.
 */
const HEADER = {
  /** Changes with the table: the word at which waits stand in line. */
  SEQUENCE: 0,
  LOCK: 1,
  /** Two words that belong to the kind of object. */
  FIRST: 2,
  SECOND: 3,
  /** How many hold something, and how many died over it. */
  HELD: 4,
  ESTATES: 5,
  /** Places that were ever used: all entries stand below. */
  USED: 6,
  /** The first block that hangs on it. */
  CHAIN: 7,
  /** Places in the cell itself. */
  PLACES: 8,
  /** The first of those places that were used and are free; each names the next one in LOW. */
  FREE: 9,
} as const;
const HEADER_WORDS = 12;
const ENTRY = { TAG: 0, FLOW: 1, LOW: 2, HIGH: 3 } as const;
const ENTRY_WORDS = 4;

/** A block that hangs on it begins with the next one's name, in as many words as an entry. */
const BLOCK_BYTES = 4064;
const BLOCK_PLACES = BLOCK_BYTES / 4 / ENTRY_WORDS - 1;

/** In place of a tag: who held it has died, and nobody has been told yet. */
const DIED = -1;

const MODE_SHIFT = 30;
const HIGH_MASK = (1 << MODE_SHIFT) - 1;

/** What is held or wanted: how, and of what: a key of 62 bits. */
export interface Grant {
  /** 1 to 3. */
  readonly mode: number;
  readonly low: number;
  readonly high: number;
}

/** One who holds. */
export interface Holder extends Grant {
  readonly tag: number;
  readonly flow: number;
}

export class Holders {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Sets up the header of a new table in a cell of so many bytes. */
  static prepare(words: Int32Array, at: number, bytes: number): void {
    words[at + HEADER.PLACES] = Math.floor((bytes / 4 - HEADER_WORDS) / ENTRY_WORDS);
  }

  get words(): Int32Array {
    return this.#words;
  }

  get sequence(): number {
    return this.#at + HEADER.SEQUENCE;
  }

  get lock(): number {
    return this.#at + HEADER.LOCK;
  }

  /** Word index of the first word that belongs to the kind of object. */
  get first(): number {
    return this.#at + HEADER.FIRST;
  }

  get second(): number {
    return this.#at + HEADER.SECOND;
  }

  get held(): number {
    return Atomics.load(this.words, this.#at + HEADER.HELD);
  }

  /** Blocks of the commons that hang on it. */
  get blocks(): number[] {
    const handles: number[] = [];
    for (
      let handle = this.#word(HEADER.CHAIN) >>> 0;
      handle !== 0;
      handle = this.words[offsetOf(handle) / 4] >>> 0
    )
      handles.push(handle);
    return handles;
  }

  /** Has room for `count` entries more, or makes it. @throws {OutOfMemoryError} */
  reserve(count: number, cell: Cell): void {
    const wanted = this.held + this.words[this.#at + HEADER.ESTATES] + count;
    let places = this.words[this.#at + HEADER.PLACES];
    if (wanted <= places) return;
    const blocks = this.blocks;
    places += blocks.length * BLOCK_PLACES;
    for (; wanted > places; places += BLOCK_PLACES) {
      if (cell.shared)
        throw new OutOfMemoryError(
          `Cannot let more than ${places} hold what is shared by the name "${cell.shared.name}": release some`,
        );
      const last = blocks.at(-1);
      const block = allocate(BLOCK_BYTES, { owner: cell.mark, zero: true });
      const link = last === undefined ? this.#at + HEADER.CHAIN : offsetOf(last) / 4;
      Atomics.store(this.words, link, block | 0);
      blocks.push(block);
    }
  }

  /** Enters a holder. There must be room. */
  add(tag: number, flow: number, { mode, low, high }: Grant): number {
    const entry = this.#takePlace();
    const { words } = this;
    words[entry + ENTRY.FLOW] = flow;
    words[entry + ENTRY.LOW] = low;
    words[entry + ENTRY.HIGH] = (high & HIGH_MASK) | (mode << MODE_SHIFT);
    Atomics.store(words, entry + ENTRY.TAG, tag);
    words[this.#at + HEADER.HELD]++;
    return entry;
  }

  /** Is the entry still that of this holder? */
  isOf(entry: number, tag: number, flow: number): boolean {
    return this.words[entry + ENTRY.TAG] === tag && this.words[entry + ENTRY.FLOW] === flow;
  }

  remove(entry: number): void {
    const { words } = this;
    this.#free(entry);
    words[this.#at + HEADER.HELD]--;
    this.changed();
    if (words[this.#at + HEADER.CHAIN] !== 0) this.#shrink();
  }

  /** Those who are about to wait look again. */
  changed(): void {
    Atomics.add(this.words, this.#at + HEADER.SEQUENCE, 1);
  }

  setFlow(entry: number, flow: number): void {
    this.words[entry + ENTRY.FLOW] = flow;
  }

  /** Changes the first part of the key, in one step. */
  setLow(entry: number, low: number): void {
    Atomics.store(this.words, entry + ENTRY.LOW, low);
  }

  /**
   * The first entry of a holder for which this is so; 0: there is none. What `matches` is shown serves for the next one as
   * well.
   */
  find(matches: (holder: Holder) => boolean): number {
    let left = this.held;
    if (left === 0) return 0;
    let found = 0;
    this.#first(entry => {
      if (this.words[entry + ENTRY.TAG] <= 0) return false;
      if (matches(this.#read(entry))) found = entry;
      return found !== 0 || --left === 0;
    });
    return found;
  }

  all(): Holder[] {
    const holders: Holder[] = [];
    this.find(holder => {
      holders.push({ ...holder });
      return false;
    });
    return holders;
  }

  /** Takes out all for whom this is so; how many that were. */
  removeAll(matches: (holder: Holder) => boolean): number {
    let removed = 0;
    this.#first(entry => {
      if (this.words[entry + ENTRY.TAG] > 0 && matches(this.#read(entry))) {
        Atomics.store(this.words, entry + ENTRY.TAG, 0);
        removed++;
      }
      return false;
    });
    if (removed > 0) {
      this.recount();
      this.changed();
    }
    return removed;
  }

  /** Is one of the holders dead? */
  hasDead(isDead: (tag: number) => boolean): boolean {
    return this.find(({ tag }) => isDead(tag)) !== 0;
  }

  /** Takes from the dead what they hold, and keeps in mind what was abandoned that matters. Were there any? */
  reclaim(isDead: (tag: number) => boolean, matters: (grant: Grant) => boolean): boolean {
    if (!this.hasDead(isDead)) return false;
    this.#first(entry => {
      const tag = this.words[entry + ENTRY.TAG];
      if (tag > 0 && isDead(tag))
        Atomics.store(this.words, entry + ENTRY.TAG, matters(this.#read(entry)) ? DIED : 0);
      return false;
    });
    this.recount();
    this.changed();
    return true;
  }

  get hasEstates(): boolean {
    return this.words[this.#at + HEADER.ESTATES] !== 0;
  }

  /** Forgets what was abandoned, as far as this is so, or the first such thing. Was there any? */
  settleEstates(concerns: (grant: Grant) => boolean, { onlyOne }: { onlyOne: boolean }): boolean {
    let found = false;
    this.#first(entry => {
      if (this.words[entry + ENTRY.TAG] === DIED && concerns(this.#read(entry))) {
        this.#free(entry);
        this.words[this.#at + HEADER.ESTATES]--;
        found = true;
      }
      return found && onlyOne;
    });
    return found;
  }

  /** Tells from the entries what follows from them: after a death, for one. */
  recount(): void {
    const { words } = this;
    let held = 0;
    let estates = 0;
    let free = 0;
    this.#first(entry => {
      const tag = words[entry + ENTRY.TAG];
      if (tag > 0) held++;
      else if (tag === DIED) estates++;
      else {
        words[entry + ENTRY.LOW] = free;
        free = entry;
      }
      return false;
    });
    words[this.#at + HEADER.HELD] = held;
    words[this.#at + HEADER.ESTATES] = estates;
    words[this.#at + HEADER.FREE] = free;
  }

  #word(index: number): number {
    return Atomics.load(this.words, this.#at + index);
  }

  /** What `find` shows: one for all, as it may look at thousands. */
  readonly #shown = { tag: 0, flow: 0, low: 0, high: 0, mode: 0 };

  #read(entry: number): Holder {
    const { words } = this;
    const shown = this.#shown;
    const high = words[entry + ENTRY.HIGH];
    shown.tag = Atomics.load(words, entry + ENTRY.TAG);
    shown.flow = words[entry + ENTRY.FLOW];
    shown.low = words[entry + ENTRY.LOW];
    shown.high = high & HIGH_MASK;
    shown.mode = high >>> MODE_SHIFT;
    return shown;
  }

  #takePlace(): number {
    const { words } = this;
    const free = words[this.#at + HEADER.FREE];
    if (free !== 0) {
      words[this.#at + HEADER.FREE] = words[free + ENTRY.LOW];
      return free;
    }
    const used = words[this.#at + HEADER.USED]++;
    const inCell = words[this.#at + HEADER.PLACES];
    if (used < inCell) return this.#at + HEADER_WORDS + used * ENTRY_WORDS;
    const block = this.blocks[Math.floor((used - inCell) / BLOCK_PLACES)];
    return offsetOf(block) / 4 + (1 + ((used - inCell) % BLOCK_PLACES)) * ENTRY_WORDS;
  }

  #free(entry: number): void {
    const { words } = this;
    Atomics.store(words, entry + ENTRY.TAG, 0);
    words[entry + ENTRY.LOW] = words[this.#at + HEADER.FREE];
    words[this.#at + HEADER.FREE] = entry;
  }

  /** Gives the blocks back once there are no entries. */
  #shrink(): void {
    const { words } = this;
    if (words[this.#at + HEADER.HELD] + words[this.#at + HEADER.ESTATES] > 0) return;
    const { blocks } = this;
    words[this.#at + HEADER.FREE] = 0;
    words[this.#at + HEADER.USED] = 0;
    Atomics.store(words, this.#at + HEADER.CHAIN, 0);
    for (const block of blocks) free(block);
  }

  /** The first of the places that were ever used for which this is so; 0: there is none. */
  #first(matches: (entry: number) => boolean): number {
    let left = this.#word(HEADER.USED);
    let entry = this.#at + HEADER_WORDS;
    for (let n = Math.min(left, this.#word(HEADER.PLACES)); n > 0; n--, left--, entry += ENTRY_WORDS)
      if (matches(entry)) return entry;
    for (let handle = this.#word(HEADER.CHAIN) >>> 0; handle !== 0 && left > 0; ) {
      const block = offsetOf(handle) / 4;
      for (let i = 1; i <= BLOCK_PLACES && left > 0; i++, left--)
        if (matches(block + i * ENTRY_WORDS)) return block + i * ENTRY_WORDS;
      handle = this.words[block] >>> 0;
    }
    return 0;
  }
}
