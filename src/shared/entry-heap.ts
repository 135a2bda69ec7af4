import type { Space } from '../channel/space.js';
import { OutOfMemoryError } from '../errors/errors.js';

/*
 * Memory for the entries of a shared map or list: many small pieces in few blocks of a Space, its segments. And the account of all
 * blocks of that Space that belong to the collection.
 *
 * An entry is named by a number from 1 to 2³¹ − 1: its segment, and its place there in units of 16 bytes. Segments begin with
 * 4 KiB, and each new one is half of what there is already, so that small collections take little.
 *
 * It is used under the lock of the collection only, save at(), and by one thread after another, each of which may die at any instruction. What
 * lies free is no truth, so no step of it is recorded: after a death, rebuild() makes the lists of free pieces anew from the
 * entries that are in use, as the collection tells them. The same joins free neighbours when that is worth its time.
 *
 * Truth is which blocks there are. A block that is about to become the collection's is named by IN, from before it changes hands until
 * something of the collection names it; one that is about to be freed is named by OUT, from before nothing names it any more until it has been.
 * After a death, what they name, and nothing else does, is freed.
 *
 *   heap.admit(block); …one store that makes the collection name it…; heap.admitted();
 *   heap.condemn(block); …one store, and nothing names it any more…; heap.execute();
 *
 * How a collection changes an entry: allocate() a new one, write it whole, have one store put it in the place of the old, free() that one,
 * settled(). A reader needs no lock if it can tell afterwards that what it copied was in use throughout: entries and segments that
 * are freed keep being readable memory, of whoever has it then.
 */

export const UNIT = 16;
/** Units of the longest entry: 128 KiB. */
const MOST_UNITS = 8192;
/** Up to so many units there is a list for each length, beyond it four for each power of two. */
const EXACT = 64;
const LISTS = 92;

const SEGMENTS = 128;
const SEGMENT_BIT = 24;
const UNIT_MASK = 2 ** SEGMENT_BIT - 1;
const FIRST_BYTES = 4096;
const LARGEST_BYTES = 2 ** 27;

/** Units that must have been freed since neighbours were last joined, for it to be done again: one part in so many of all. */
const WORTHWHILE = 8;
/** A collection with less than so many units does not give segments back. */
const SMALL_UNITS = 4096;

const WORD = {
  IN: 0,
  OUT: 1,
  /** Changes whenever a segment goes: what a thread has seen of segments is void then. */
  EPOCH: 2,
  /** The next entry that was never in use, and the end of the stretch where such lie. */
  NEXT: 3,
  LIMIT: 4,
  /** Units in all segments; in lists; put there since neighbours were joined. */
  TOTAL: 5,
  FREE: 6,
  FREED: 7,
  LISTS: 8,
  /** Two words a segment: its block, 0 for none; its bytes. */
  SEGMENTS: 8 + LISTS,
} as const;

/** A segment as this thread sees it. */
export class Segment {
  constructor(
    readonly words: Int32Array,
    readonly bytes: Uint8Array,
  ) {}
}

const NONE = new Segment(new Int32Array(0), new Uint8Array(0));

/** What the heap must know of the collection. Asked under its lock. */
export interface Live {
  /** All entries in use, in any order; the array becomes the heap's. */
  entries(): Int32Array;
  /** Bytes of the entry, as it was allocated. */
  bytesOf(entry: number): number;
}

/** How many units an entry of so many bytes takes. */
export function unitsFor(bytes: number): number {
  const units = (bytes + UNIT - 1) >>> 4;
  if (units <= EXACT) return units;
  const step = 1 << (29 - Math.clz32(units - 1));
  return (units + step - 1) & -step;
}

/** The list for entries of so many units, which unitsFor() gave. */
function listFor(units: number): number {
  if (units <= EXACT) return units - 1;
  const log = 31 - Math.clz32(units - 1);
  return EXACT + (log - 6) * 4 + ((units - (1 << log)) >>> (log - 2)) - 1;
}

/** Units of the entries in a list. */
function unitsIn(list: number): number {
  if (list < EXACT) return list + 1;
  const above = list - EXACT;
  const log = 6 + (above >>> 2);
  return (1 << log) + (((above & 3) + 1) << (log - 2));
}

/** The most units that an entry can have in a stretch of so many. */
function fitting(units: number): number {
  if (units <= EXACT) return units;
  if (units >= MOST_UNITS) return MOST_UNITS;
  const shift = 29 - Math.clz32(units);
  return (units >>> shift) << shift;
}

export class EntryHeap {
  static readonly WORDS: number = WORD.SEGMENTS + 2 * SEGMENTS;
  /** Bytes of the longest entry. */
  static readonly LONGEST: number = MOST_UNITS * UNIT;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #space: Space;
  readonly #live: Live;
  /** Those seen since EPOCH last changed. */
  #segments: Segment[] = [];
  #epoch = 0;
  /** Entries that this thread allocated, and that nothing of the collection may name yet. */
  #fresh: number[] = [];

  /** `at`: index of the first of its WORDS, which are all zero at first. */
  constructor(words: Int32Array, at: number, space: Space, live: Live) {
    this.#words = words;
    this.#at = at;
    this.#space = space;
    this.#live = live;
  }

  /** Makes a block of this thread's the collection's. */
  admit(block: number): void {
    Atomics.store(this.#words, this.#at + WORD.IN, block);
    this.#space.keep(block);
  }

  admitted(): void {
    Atomics.store(this.#words, this.#at + WORD.IN, 0);
  }

  /** Names a block that is about to go. */
  condemn(block: number): void {
    Atomics.store(this.#words, this.#at + WORD.OUT, block);
  }

  execute(): void {
    this.#space.reclaim(this.#words[this.#at + WORD.OUT] >>> 0);
    Atomics.store(this.#words, this.#at + WORD.OUT, 0);
  }

  /** Bytes of its segments. Stale once read. */
  get bytes(): number {
    return this.#words[this.#at + WORD.TOTAL] * UNIT;
  }

  /** The segment of an entry. Needs no lock; if the entry is not in use, anything, and perhaps too short. */
  at(entry: number): Segment {
    const epoch = Atomics.load(this.#words, this.#at + WORD.EPOCH);
    if (epoch !== this.#epoch) {
      this.#segments = [];
      this.#epoch = epoch;
    }
    return this.#segments[entry >>> SEGMENT_BIT] ?? this.#see(entry >>> SEGMENT_BIT);
  }

  /** Index of its first word in its segment. */
  static wordOf(entry: number): number {
    return (entry & UNIT_MASK) << 2;
  }

  #see(number: number): Segment {
    if (number >= SEGMENTS) return NONE;
    const at = this.#at + WORD.SEGMENTS + 2 * number;
    const block = Atomics.load(this.#words, at) >>> 0;
    if (block === 0) return NONE;
    const { words, bytes } = this.#space.at(block, this.#words[at + 1]);
    const segment = new Segment(words, bytes);
    this.#segments[number] = segment;
    return segment;
  }

  /** An entry of so many bytes, not cleared. @throws {OutOfMemoryError} Nothing has changed. */
  allocate(bytes: number): number {
    const units = unitsFor(bytes);
    const entry = this.#fromList(listFor(units), units) || this.#fromStretch(units) || this.#afterAll(units);
    this.#fresh.push(entry);
    return entry;
  }

  /** All entries that this thread allocated are named by the collection, or were freed. */
  settled(): void {
    if (this.#fresh.length > 0) this.#fresh.length = 0;
  }

  /** Nothing names it any more. `bytes`: as it was allocated. */
  free(entry: number, bytes: number): void {
    const w = this.#words;
    const units = unitsFor(bytes);
    this.#put(entry, units);
    w[this.#at + WORD.FREED] += units;
  }

  /** To be called when entries were freed, and nothing is on its way: gives segments back when little is left in many. */
  tidy(): void {
    const w = this.#words;
    const at = this.#at;
    const total = w[at + WORD.TOTAL];
    const used = total - w[at + WORD.FREE] - (w[at + WORD.LIMIT] - w[at + WORD.NEXT]);
    // So rebuild() looks at no more entries than were freed since the last time.
    if (total >= SMALL_UNITS && used * 4 <= total && w[at + WORD.FREED] >= used + SMALL_UNITS / 4)
      this.rebuild();
  }

  #put(entry: number, units: number): void {
    const w = this.#words;
    const head = this.#at + WORD.LISTS + listFor(units);
    this.at(entry).words[EntryHeap.wordOf(entry)] = w[head];
    w[head] = entry;
    w[this.#at + WORD.FREE] += units;
  }

  #fromList(list: number, units: number): number {
    const w = this.#words;
    const head = this.#at + WORD.LISTS + list;
    const entry = w[head];
    if (entry === 0) return 0;
    w[head] = this.at(entry).words[EntryHeap.wordOf(entry)];
    w[this.#at + WORD.FREE] -= units;
    return entry;
  }

  #fromStretch(units: number): number {
    const w = this.#words;
    const entry = w[this.#at + WORD.NEXT];
    const next = entry + units;
    if (next > w[this.#at + WORD.LIMIT]) return 0;
    w[this.#at + WORD.NEXT] = next;
    return entry;
  }

  #afterAll(units: number): number {
    const w = this.#words;
    const total = w[this.#at + WORD.TOTAL];
    const cut = this.#cut(units);
    if (cut !== 0) return cut;
    if (total > 0 && w[this.#at + WORD.FREED] * WORTHWHILE >= total) {
      this.rebuild({ keepsAll: true });
      const entry = this.#fromList(listFor(units), units) || this.#fromStretch(units) || this.#cut(units);
      if (entry !== 0) return entry;
    }
    this.#grow(units);
    return this.#fromStretch(units);
  }

  /** The front of a longer free piece. */
  #cut(units: number): number {
    for (let list = listFor(units) + 1; list < LISTS; list++) {
      const length = unitsIn(list);
      const entry = this.#fromList(list, length);
      if (entry === 0) continue;
      this.#list(entry + units, length - units);
      return entry;
    }
    return 0;
  }

  /** Puts a stretch into lists. */
  #list(start: number, units: number): void {
    for (let at = start, left = units; left > 0; ) {
      const part = fitting(left);
      this.#put(at, part);
      at += part;
      left -= part;
    }
  }

  #grow(units: number): void {
    const w = this.#words;
    const at = this.#at;
    let number = 0;
    while (number < SEGMENTS && w[at + WORD.SEGMENTS + 2 * number] !== 0) number++;
    if (number === SEGMENTS)
      throw new OutOfMemoryError(
        `Cannot add to this collection as its entries take ${this.bytes} bytes, the most that there can be: remove some, or use several`,
      );
    const needed = (units + 1) * UNIT; // the first unit of a segment is not used: 0 is no entry
    const half = 2 ** Math.floor(Math.log2(Math.max(1, w[at + WORD.TOTAL] * UNIT)) - 1);
    let bytes = Math.min(LARGEST_BYTES, Math.max(FIRST_BYTES, half));
    while (bytes < needed) bytes *= 2;
    let block = 0;
    for (; block === 0; bytes /= 2) {
      try {
        block = this.#space.allocate(bytes);
        break;
      } catch (error) {
        if (!(error instanceof OutOfMemoryError) || bytes / 2 < Math.max(needed, FIRST_BYTES)) throw error;
      }
    }
    this.#list(w[at + WORD.NEXT], w[at + WORD.LIMIT] - w[at + WORD.NEXT]);
    this.admit(block);
    w[at + WORD.SEGMENTS + 2 * number + 1] = bytes;
    Atomics.store(w, at + WORD.SEGMENTS + 2 * number, block);
    this.admitted();
    w[at + WORD.TOTAL] += bytes / UNIT;
    w[at + WORD.NEXT] = (number << SEGMENT_BIT) + 1;
    w[at + WORD.LIMIT] = (number << SEGMENT_BIT) + bytes / UNIT;
  }

  /**
   * Makes all lists anew: all that is no entry in use is free, neighbours are one. Gives back segments without entries, as long as a
   * quarter of the rest stays free; `keepsAll`: none.
   */
  rebuild({ keepsAll = false } = {}): void {
    const used = this.#usedInOrder();
    const w = this.#words;
    const at = this.#at;
    w.fill(0, at + WORD.LISTS, at + WORD.LISTS + LISTS);
    w[at + WORD.FREE] = 0;
    w[at + WORD.FREED] = 0;
    w[at + WORD.NEXT] = 0;
    w[at + WORD.LIMIT] = 0;
    let total = 0;
    let taken = 0;
    for (let number = 0; number < SEGMENTS; number++)
      if (w[at + WORD.SEGMENTS + 2 * number] !== 0) total += w[at + WORD.SEGMENTS + 2 * number + 1] / UNIT;
    for (const entry of used) taken += unitsFor(this.#live.bytesOf(entry));
    let i = 0;
    for (let number = 0; number < SEGMENTS; number++) {
      const place = at + WORD.SEGMENTS + 2 * number;
      if (w[place] === 0) continue;
      const start = number << SEGMENT_BIT;
      const units = w[place + 1] / UNIT;
      const isEmpty = i === used.length || used[i] >= start + units;
      if (isEmpty && !keepsAll && (total - units - taken) * 4 >= total - units) {
        total -= units;
        this.#giveBack(place);
        continue;
      }
      let free = start + 1;
      for (; i < used.length && used[i] < start + units; i++) {
        this.#stretch(free, used[i]);
        free = used[i] + unitsFor(this.#live.bytesOf(used[i]));
      }
      this.#stretch(free, start + units);
    }
    w[at + WORD.TOTAL] = total;
  }

  #usedInOrder(): Int32Array {
    const named = this.#live.entries();
    if (this.#fresh.length === 0) return named.sort();
    const all = new Set(named);
    for (const entry of this.#fresh) all.add(entry);
    return Int32Array.from(all).sort();
  }

  #giveBack(place: number): void {
    const w = this.#words;
    this.condemn(w[place] >>> 0);
    Atomics.store(w, place, 0);
    Atomics.add(w, this.#at + WORD.EPOCH, 1);
    this.execute();
  }

  /** What is free from `start` to `end`: the longest such stretch is where new entries come from, the others go into lists. */
  #stretch(start: number, end: number): void {
    const w = this.#words;
    const next = this.#at + WORD.NEXT;
    const limit = this.#at + WORD.LIMIT;
    if (end - start <= w[limit] - w[next]) {
      this.#list(start, end - start);
      return;
    }
    this.#list(w[next], w[limit] - w[next]);
    w[next] = start;
    w[limit] = end;
  }

  /**
   * Under the lock, after a death: frees what the dead one had on its way, and makes the lists anew. `known`: all blocks that
   * the collection names besides the segments; `lost`: others that it may not name any more.
   */
  recover(known: ReadonlySet<number>, lost: Iterable<number> = []): void {
    const w = this.#words;
    const at = this.#at;
    this.#fresh.length = 0;
    const segments = new Set(this.blocks());
    const isNamed = (block: number) => block === 0 || known.has(block) || segments.has(block);
    for (const block of [...lost, w[at + WORD.IN] >>> 0, w[at + WORD.OUT] >>> 0])
      if (!isNamed(block)) this.#space.reclaim(block);
    Atomics.store(w, at + WORD.IN, 0);
    Atomics.store(w, at + WORD.OUT, 0);
    Atomics.add(w, at + WORD.EPOCH, 1); // one that died may have freed a segment
    this.rebuild();
  }

  /** The blocks of its segments. */
  blocks(): number[] {
    const found: number[] = [];
    for (let number = 0; number < SEGMENTS; number++) {
      const block = this.#words[this.#at + WORD.SEGMENTS + 2 * number] >>> 0;
      if (block !== 0) found.push(block);
    }
    return found;
  }
}
