import { randomInt } from 'node:crypto';
import { packBytes } from '../channel/item.js';
import { borrow, giveBack } from '../channel/parcel.js';
import { decode } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { CORE } from './core.js';
import { borrowCopy, giveCopyBack, loggedBytesOf } from './entry.js';
import type { AnyKey } from './key.js';
import { MapCommit } from './map-commit.js';
import {
  isWorthCompacting,
  LOG_START,
  type LogPlace,
  type LogVisitor,
  liveLength,
  MapLog,
} from './map-log.js';
import { Cursor, type Log, type MapStore } from './map-store.js';

/*
 * The log of a persisted map beside its memory. A change is marked as UNDER_WAY, appended, made in memory, and then the new end is noted. So
 * who enters after a death replays what lies behind the noted end: it did happen. That is hidden from readers by an odd SEQUENCE, as is
 * loading.
 */
const AT = 50;
const WORD = {
  SESSION: AT,
  /** Has the memory all that the log had when it was opened first? */
  IS_READY: AT + 1,
  UNDER_WAY: AT + 2,
  /** Which of the two ends is the true one; each has two words. */
  WHICH: AT + 3,
  ENDS: AT + 4,
  /** Counts files that took another's place. */
  FILES: AT + 8,
  /** From how many MiB on to look whether the file has much garbage. */
  LOOK_AT: AT + 9,
} as const;
const CHANGE = 1;
const COMPACTION = 2;
const MIB = 2 ** 20;
const FIRST_LOOK = 4;
const TWO_32 = 2 ** 32;

export class Persistence implements Log {
  readonly #store: MapStore;
  readonly #log: MapLog;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #commit = new MapCommit();
  #files: number;
  /** Where the log ends once the change under way has been made. */
  #next = 0;
  #isReplaying = false;

  /** @throws {NameInUseError | ManyhandsError} As MapLog.open(). */
  constructor(store: MapStore, place: LogPlace) {
    this.#store = store;
    this.#words = store.words;
    this.#at = store.at;
    this.#files = Atomics.load(this.#words, this.#at + WORD.FILES);
    this.#log = MapLog.open(place, this.#words[this.#at + WORD.SESSION] >>> 0);
  }

  /** The first words of a new memory. */
  static prepare(words: Int32Array, at: number): void {
    words[at + WORD.SESSION] = randomInt(1, TWO_32);
  }

  /** The lock has just been taken: sees that memory and log are one. @throws {ManyhandsError} The log cannot be read. */
  entered(): void {
    const w = this.#words;
    const files = Atomics.load(w, this.#at + WORD.FILES);
    if (w[this.#at + WORD.IS_READY] === 0 || w[this.#at + WORD.UNDER_WAY] !== 0) this.#mend();
    else if (files !== this.#files) {
      this.#log.refresh();
      this.#files = files;
    }
  }

  /** Appends changes, which are to be made in memory next; then made() is to be called. @throws Nothing has been appended. */
  append(tell: (commit: MapCommit) => void): void {
    if (this.#isReplaying) return;
    this.#commit.reset();
    tell(this.#commit);
    this.#mark(CHANGE);
    try {
      this.#next = this.#log.append(this.#commit, this.#end);
    } catch (error) {
      this.#mark(0);
      throw error;
    }
  }

  /** What was appended has been made. */
  made(): void {
    if (this.#isReplaying) return;
    this.#end = this.#next;
    this.#mark(0);
    if (this.#next >= Math.max(FIRST_LOOK, this.#words[this.#at + WORD.LOOK_AT]) * MIB) this.#compact();
  }

  close(): void {
    this.#log.close();
  }

  #mark(what: number): void {
    Atomics.store(this.#words, this.#at + WORD.UNDER_WAY, what);
  }

  get #end(): number {
    const at = this.#at + WORD.ENDS + 2 * this.#words[this.#at + WORD.WHICH];
    return this.#words[at + 1] * TWO_32 + (this.#words[at] >>> 0);
  }

  set #end(end: number) {
    const w = this.#words;
    const other = 1 - w[this.#at + WORD.WHICH];
    const at = this.#at + WORD.ENDS + 2 * other;
    w[at] = end;
    w[at + 1] = Math.floor(end / TWO_32);
    Atomics.store(w, this.#at + WORD.WHICH, other);
  }

  /** Loads the log, or what of it is not in memory, as its maker has died. Can be interrupted and done again. */
  #mend(): void {
    const w = this.#words;
    const at = this.#at;
    const store = this.#store;
    const isOther = this.#log.refresh();
    if (isOther || w[at + WORD.UNDER_WAY] === COMPACTION) Atomics.store(w, at + WORD.IS_READY, 0);
    Atomics.or(w, at + CORE.SEQUENCE, 1);
    this.#isReplaying = true;
    try {
      const isReady = w[at + WORD.IS_READY] !== 0;
      if (!isReady) store.clear();
      const replayed = this.#log.replay(isReady ? this.#end : LOG_START, this.#visitor());
      this.#log.cut(replayed);
      this.#end = replayed.end;
    } finally {
      this.#isReplaying = false;
    }
    this.#files = Atomics.add(w, at + WORD.FILES, 1) + 1;
    this.#mark(0);
    Atomics.store(w, at + WORD.IS_READY, 1);
    Atomics.add(w, at + CORE.SEQUENCE, 1);
    store.onRecovered();
  }

  #visitor(): LogVisitor {
    const store = this.#store;
    return {
      set: (key, value) => {
        const parcel = borrow();
        try {
          packBytes(value, parcel, store.space);
          store.put(decode(key) as AnyKey, parcel);
        } finally {
          giveBack(parcel, store.space);
        }
      },
      delete: key => store.remove(decode(key) as AnyKey),
      clear: () => store.clear(),
      committed: () => {},
    };
  }

  /** Writes the file anew if most of it is garbage. */
  #compact(): void {
    const w = this.#words;
    const { heap } = this.#store;
    const entries = this.#store.entries();
    let bytes = 0;
    for (const entry of entries) bytes += loggedBytesOf(heap, entry);
    const live = liveLength(entries.length, bytes);
    if (isWorthCompacting(this.#end, live)) {
      this.#mark(COMPACTION);
      try {
        this.#end = this.#log.compact(this.#all());
        this.#files = Atomics.add(w, this.#at + WORD.FILES, 1) + 1;
      } catch {
        // The log is as it was, only longer than it need be.
      }
      this.#mark(0);
    }
    // It is not worth while before, however much of what is alive now becomes garbage.
    w[this.#at + WORD.LOOK_AT] = Math.ceil(Math.max(2 * live, live + FIRST_LOOK * MIB, this.#end) / MIB) + 1;
  }

  *#all(): Generator<[Uint8Array, Uint8Array]> {
    const cursor = new Cursor();
    const copy = borrowCopy();
    try {
      while (this.#store.next(cursor, copy)) yield [encode(cursor.key), copy.content];
    } finally {
      giveCopyBack(copy);
    }
  }
}
