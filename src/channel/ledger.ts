import type { Cell } from '../sync/cell.js';
import type { Space } from './space.js';

/*
 * Who owes how many calls of taskDone(): an entry for each thread that has got items. All but the reading of a word or two needs
 * the channel's lock.
 *
 * Entries lie in the channel's cell, then in blocks that hang on it one after the other and stay until the channel goes. A place
 * is free if it names nobody, or somebody who has ended and owes nothing.
 *
 * Unfinished is what is in the store and what is owed. A taker moves items from one to the other, and may die at any instruction
 * of that. So before it takes anything it notes whose debt is about to change and what that was (BEFORE, then CHANGING); after,
 * it adds what it took, then withdraws the note; then COUNT is reduced (exchange.ts). Whoever recovers knows how many items are
 * missing: those that have left the store, by what the store itself says, and that COUNT still has.
 *
 *   it died                                  missing   note    what recover() makes of the debt
 *   before it noted                          0         none    as it was
 *   after that, before the first item left   0         there   BEFORE + 0
 *   after so many had left, or all           so many   there   BEFORE + so many
 *   after it added them                      all       there   BEFORE + all, which it is already
 *   after it withdrew the note               all       none    as it is: they are in it
 *   after COUNT was reduced                  0         none    the same
 *
 * recover() itself sets the debt, and only then withdraws the note; COUNT is set after it. Its death, too, leaves one of these
 * rows. OWED follows from the entries, and all other changes of a debt are one store.
 */
const WORD = {
  /** Those who join wait at it. Changes when they are to look. */
  LOOK: 0,
  /** How often nothing was left unfinished. */
  ENDS: 1,
  /** The entry that is about to change, by its number; 0: none. */
  CHANGING: 2,
  /** What it owed. */
  BEFORE: 3,
  /** What all owe. */
  OWED: 4,
  /** The first block. */
  CHAIN: 5,
  /** A block on its way into the chain. */
  PENDING: 6,
} as const;
const HEAD_WORDS = 8;

const ENTRY = {
  /** The thread; 0: nobody; LEFT: somebody who has the channel no more. */
  TAG: 0,
  OWES: 1,
  PID: 2,
} as const;
const ENTRY_WORDS = 4;
const LEFT = -1;

/** A block begins with the next one's name, in as many words as an entry. */
const BLOCK_BYTES = 2032;
const BLOCK_PLACES = BLOCK_BYTES / 4 / ENTRY_WORDS - 1;

/** An entry as this thread sees it. */
interface Entry {
  readonly number: number;
  readonly words: Int32Array;
  readonly at: number;
}

/** One who owes. */
export interface Debtor {
  readonly pid: number;
  readonly owes: number;
}

const NOBODY: Entry = { number: 0, words: new Int32Array(ENTRY_WORDS), at: 0 };

export class Ledger {
  readonly #cell: Cell;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #space: Space;
  /** Entries in the cell. */
  readonly #places: number;
  /** The blocks seen so far: none ever leaves the chain. */
  readonly #blocks: Int32Array[] = [];
  /** This thread's, when last looked for. */
  #mine = NOBODY;

  /** `at` and `end`: indices of its first word, and of the one after its last, all zero at first. */
  constructor(cell: Cell, at: number, end: number, space: Space) {
    this.#cell = cell;
    this.#words = cell.words;
    this.#at = at;
    this.#space = space;
    this.#places = Math.floor((end - at - HEAD_WORDS) / ENTRY_WORDS);
  }

  /** Index of the word that those wait at who join. */
  get word(): number {
    return this.#at + WORD.LOOK;
  }

  get ends(): number {
    return this.#words[this.#at + WORD.ENDS];
  }

  /** What all owe. */
  get owed(): number {
    return this.#words[this.#at + WORD.OWED];
  }

  /** Items are about to be taken by this thread. @throws {OutOfMemoryError} There is no memory to note who owes; nothing has changed. */
  begin(): void {
    const me = this.#cell.home.self();
    let mine = this.#mine;
    if (mine.words[mine.at + ENTRY.TAG] !== me) mine = this.#mine = this.#open(me);
    this.#words[this.#at + WORD.BEFORE] = mine.words[mine.at + ENTRY.OWES];
    Atomics.store(this.#words, this.#at + WORD.CHANGING, mine.number);
  }

  /** So many were. */
  end(count: number): void {
    const { words, at } = this.#mine;
    words[at + ENTRY.OWES] += count;
    this.#words[this.#at + WORD.OWED] += count;
    Atomics.store(this.#words, this.#at + WORD.CHANGING, 0);
  }

  /** Who had the lock has died; so many items have left the store that COUNT still has. Can be interrupted and done again. */
  recover(missing: number): void {
    const w = this.#words;
    const at = this.#at;
    const number = w[at + WORD.CHANGING];
    if (number !== 0) {
      const entry = this.#entry(number);
      Atomics.store(entry.words, entry.at + ENTRY.OWES, w[at + WORD.BEFORE] + missing);
      Atomics.store(w, at + WORD.CHANGING, 0);
    }
    const pending = w[at + WORD.PENDING] >>> 0;
    if (pending !== 0 && !this.blocks().includes(pending)) this.#space.reclaim(pending);
    Atomics.store(w, at + WORD.PENDING, 0);
    let owed = 0;
    this.#find((words, entry) => {
      owed += words[entry + ENTRY.OWES];
      return false;
    });
    w[at + WORD.OWED] = owed;
  }

  /**
   * Pays for one item: this thread's debt, or else one that nobody is left to pay, or else any. False: nobody owes anything.
   */
  pay(): boolean {
    if (this.owed === 0) return false;
    const me = this.#cell.home.self();
    let { words, at } = this.#mine;
    if (words[at + ENTRY.TAG] !== me || words[at + ENTRY.OWES] === 0) {
      const owes = (w: Int32Array, entry: number) => w[entry + ENTRY.OWES] > 0;
      const found =
        this.#find((w, entry) => w[entry + ENTRY.TAG] === me && owes(w, entry)) ??
        this.#find((w, entry) => owes(w, entry) && this.#isGone(w[entry + ENTRY.TAG])) ??
        this.#find(owes);
      if (found === undefined) return false;
      ({ words, at } = found);
    }
    Atomics.sub(words, at + ENTRY.OWES, 1);
    this.#words[this.#at + WORD.OWED]--;
    return true;
  }

  /** What this thread owes it will not pay. */
  abandon(): void {
    const me = this.#cell.home.self();
    const mine = this.#find((words, at) => words[at + ENTRY.TAG] === me);
    if (mine === undefined) return;
    const { words, at } = mine;
    Atomics.store(words, at + ENTRY.TAG, words[at + ENTRY.OWES] === 0 ? 0 : LEFT);
  }

  /** Something was paid, dropped, or abandoned, and so many items are left: have those who join something to see? Then call them. */
  settle(left: number): boolean {
    if (left > 0) return false;
    if (this.owed === 0) this.#words[this.#at + WORD.ENDS]++;
    else if (this.canBePaid()) return false;
    Atomics.add(this.#words, this.#at + WORD.LOOK, 1);
    return true;
  }

  /** Is there somebody who owes, and may yet pay? */
  canBePaid(): boolean {
    const { words, at } = this.#mine;
    // By far the most often it is oneself.
    if (words[at + ENTRY.OWES] > 0 && words[at + ENTRY.TAG] === this.#cell.home.self()) return true;
    return this.#find((w, i) => w[i + ENTRY.OWES] > 0 && !this.#isGone(w[i + ENTRY.TAG])) !== undefined;
  }

  /**
   * Calls those who join. What they hear is how often nothing was left unfinished: more often than when they began to wait, and
   * their wait is over. It must not be passed on to those who came later.
   */
  call(): void {
    this.#cell.home.wake(this.word, Number.POSITIVE_INFINITY, { token: this.ends, passOn: false });
  }

  debtors(): Debtor[] {
    const found: Debtor[] = [];
    this.#find((words, at) => {
      const owes = words[at + ENTRY.OWES];
      if (owes > 0) found.push({ pid: words[at + ENTRY.PID], owes });
      return false;
    });
    return found;
  }

  /** All blocks that are the channel's. */
  blocks(): number[] {
    const found: number[] = [];
    for (let handle = this.#words[this.#at + WORD.CHAIN] >>> 0; handle !== 0; ) {
      found.push(handle);
      handle = this.#space.at(handle, BLOCK_BYTES).words[0] >>> 0;
    }
    return found;
  }

  #isGone(tag: number): boolean {
    return tag === LEFT || this.#cell.home.isKnownDead(tag);
  }

  /** This thread's entry, made anew if it has none. */
  #open(me: number): Entry {
    const own = this.#find((words, at) => words[at + ENTRY.TAG] === me);
    if (own) return own;
    const free =
      this.#find((words, at) => {
        const tag = words[at + ENTRY.TAG];
        return tag === 0 || (words[at + ENTRY.OWES] === 0 && this.#isGone(tag));
      }) ?? this.#grow();
    free.words[free.at + ENTRY.PID] = process.pid;
    Atomics.store(free.words, free.at + ENTRY.TAG, me);
    return free;
  }

  #grow(): Entry {
    const number = this.#places + this.#blocks.length * BLOCK_PLACES + 1;
    const handle = this.#space.allocate(BLOCK_BYTES);
    this.#space.at(handle, BLOCK_BYTES).words.fill(0);
    const w = this.#words;
    Atomics.store(w, this.#at + WORD.PENDING, handle);
    this.#space.keep(handle);
    const last = this.#blocks.at(-1);
    if (last === undefined) Atomics.store(w, this.#at + WORD.CHAIN, handle);
    else Atomics.store(last, 0, handle);
    Atomics.store(w, this.#at + WORD.PENDING, 0);
    return this.#entry(number);
  }

  #entry(number: number): Entry {
    const place = number - 1;
    if (place < this.#places)
      return { number, words: this.#words, at: this.#at + HEAD_WORDS + place * ENTRY_WORDS };
    this.#seeBlocks();
    const beyond = place - this.#places;
    const words = this.#blocks[Math.floor(beyond / BLOCK_PLACES)];
    return { number, words, at: (1 + (beyond % BLOCK_PLACES)) * ENTRY_WORDS };
  }

  #seeBlocks(): void {
    for (;;) {
      const last = this.#blocks.at(-1);
      const next = last === undefined ? this.#words[this.#at + WORD.CHAIN] : last[0];
      if (next === 0) return;
      this.#blocks.push(this.#space.at(next >>> 0, BLOCK_BYTES).words);
    }
  }

  /** The first place for which this is so. */
  #find(matches: (words: Int32Array, at: number) => boolean): Entry | undefined {
    this.#seeBlocks();
    let number = 1;
    let words = this.#words;
    let at = this.#at + HEAD_WORDS;
    let count = this.#places;
    for (let next = 0; ; next++) {
      for (; count > 0; count--, number++, at += ENTRY_WORDS)
        if (matches(words, at)) return { number, words, at };
      if (next === this.#blocks.length) return undefined;
      words = this.#blocks[next];
      at = ENTRY_WORDS;
      count = BLOCK_PLACES;
    }
  }
}
