import { OutOfMemoryError } from '../errors/errors.js';
import { MESSAGE_HEAD } from '../memory/message.js';
import { haveAllLook } from '../wait/deaths.js';
import type { Batch } from './batch.js';
import { HeapTable, SLOT } from './heap-table.js';
import type { Parcel } from './parcel.js';
import { readRank, writeRank } from './rank.js';
import { copyWords, readRecord, recordAt } from './record.js';
import type { Space } from './space.js';
import type { Store } from './store.js';

/*
 * Lowest rank first, or last in, first out. Each item has a block of its own.
 *
 * The truth is the slots of the table. An item is in, or is out, by the one store of its slot's HANDLE, and a table takes the
 * place of another by the one store of TABLE. COMING and LEAVING name what is on its way in or out, from before it changes hands
 * until after; what they name, and the table does not, is reclaimed by recover(). The other words follow from the table.
 */
const CELL = {
  TABLE: 0,
  COMING: 1,
  LEAVING: 2,
  COUNT: 3,
  /** Two words each, the upper one first. */
  HELD: 4,
  /** The number of the next one that comes. */
  ARRIVALS: 6,
} as const;

/**
 * What an item is, times this, is in its LENGTH as well: an encoded value, bytes as they are, a value that holds the end of a
 * pipe open. Longer than this no item is.
 */
const KIND_STEP = 0x50000000;
const KIND = { VALUE: 0, RAW: 1, CARRIER: 2 } as const;
const FEWEST_SLOTS = 16;
const WORD = 2 ** 32;

/** 'rank': the lowest rank comes out first, of equal ones the first that came. 'latest': the last that came. */
export type HeapOrder = 'rank' | 'latest';

export class Heap implements Store {
  static readonly WORDS = 8;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #space: Space;
  readonly #ranked: boolean;
  /** The last one seen: most calls find the same. */
  #seen = HeapTable.NONE;

  /** `at` is the index of its first words, which begin as zero. */
  constructor(words: Int32Array, at: number, space: Space, order: HeapOrder) {
    this.#words = words;
    this.#at = at;
    this.#space = space;
    this.#ranked = order === 'rank';
  }

  get held(): number {
    return this.#long(CELL.HELD);
  }

  push(parcel: Parcel): void {
    const w = this.#words;
    const at = this.#at;
    const count = w[at + CELL.COUNT];
    const handle = parcel.handle === 0 ? this.#copy(parcel) : parcel.handle;
    const held = this.#space.sizeOf(handle);
    const table = this.#tableFor(count, parcel.handle === 0 ? handle : 0);
    const { words } = table;
    const slot = table.at(count);
    words[slot + SLOT.LENGTH] = parcel.length + kindOf(parcel) * KIND_STEP;
    writeRank(words, slot + SLOT.RANK, parcel.rank);
    words[slot + SLOT.ARRIVAL] = w[at + CELL.ARRIVALS];
    words[slot + SLOT.ARRIVAL + 1] = w[at + CELL.ARRIVALS + 1];
    this.#set(CELL.COMING, handle);
    this.#space.keep(handle);
    Atomics.store(words, slot + SLOT.HANDLE, handle);
    this.#set(CELL.COMING, 0);
    parcel.handle = 0;
    w[at + CELL.COUNT] = count + 1;
    this.#add(CELL.ARRIVALS, 1);
    this.#add(CELL.HELD, held);
    if (this.#ranked) table.added(count);
  }

  /** All of the same rank. */
  pushMany(batch: Batch, count: number, parcel: Parcel): void {
    for (let left = count; left > 0; left--) {
      readRecord(batch.words, batch.start, parcel);
      this.push(parcel);
      batch.skip(recordAt(batch.words, batch.start), 1);
    }
  }

  pullMany(batch: Batch, count: number, parcel: Parcel): void {
    for (let left = count; left > 0; left--) {
      this.pull(parcel);
      batch.add(parcel);
    }
  }

  pull(parcel: Parcel): void {
    const w = this.#words;
    const at = this.#at;
    const count = w[at + CELL.COUNT];
    const table = this.#table();
    const { words } = table;
    const slot = table.at(this.#ranked ? 0 : count - 1);
    const handle = words[slot + SLOT.HANDLE] >>> 0;
    const kind = kindAt(words, slot);
    parcel.length = (words[slot + SLOT.LENGTH] >>> 0) - kind * KIND_STEP;
    parcel.raw = kind === KIND.RAW;
    parcel.lead = kind === KIND.CARRIER ? MESSAGE_HEAD : 0;
    parcel.rank = readRank(words, slot + SLOT.RANK);
    this.#set(CELL.LEAVING, handle);
    Atomics.store(words, slot + SLOT.HANDLE, 0);
    this.#space.take(handle);
    this.#set(CELL.LEAVING, 0);
    parcel.handle = handle;
    if (this.#ranked) table.removedFirst(count);
    w[at + CELL.COUNT] = count - 1;
    this.#add(CELL.HELD, -this.#space.sizeOf(handle));
    if (table.slots > FEWEST_SLOTS && count - 1 <= table.slots >>> 2) this.#shrink(table, count - 1);
  }

  clear(): void {
    const w = this.#words;
    const at = this.#at;
    const table = this.#table();
    if (table.handle === 0) return;
    let carried = false;
    // From the end on, so that what is left at any time is in order.
    for (let place = w[at + CELL.COUNT] - 1; place >= 0; place--) {
      const slot = table.at(place);
      const handle = table.words[slot + SLOT.HANDLE] >>> 0;
      carried ||= kindAt(table.words, slot) === KIND.CARRIER;
      this.#set(CELL.LEAVING, handle);
      Atomics.store(table.words, slot + SLOT.HANDLE, 0);
      w[at + CELL.COUNT] = place;
      this.#letGo(handle);
    }
    this.#set(CELL.LEAVING, table.handle);
    this.#set(CELL.TABLE, 0);
    this.#letGo(table.handle);
    this.#setLong(CELL.HELD, 0);
    if (carried) haveAllLook();
  }

  recover(): number {
    const w = this.#words;
    const at = this.#at;
    const coming = w[at + CELL.COMING] >>> 0;
    const leaving = w[at + CELL.LEAVING] >>> 0;
    const table = this.#table();
    const { words } = table;
    let isIn = coming === 0 || coming === table.handle;
    let isOut = leaving !== 0 && leaving !== table.handle;
    let held = table.handle === 0 ? 0 : this.#space.sizeOf(table.handle);
    let arrivals = 0;
    for (let slot = table.next(); slot !== 0; slot = table.next(slot)) {
      const handle = words[slot + SLOT.HANDLE] >>> 0;
      held += this.#space.sizeOf(handle);
      arrivals = Math.max(arrivals, longAt(words, slot + SLOT.ARRIVAL) + 1);
      if (handle === coming) isIn = true;
      if (handle === leaving) isOut = false;
    }
    if (!isIn) this.#space.reclaim(coming);
    this.#set(CELL.COMING, 0);
    if (isOut) this.#space.reclaim(leaving);
    this.#set(CELL.LEAVING, 0);
    if (!isIn || isOut) haveAllLook(); // what is lost may have held the end of a pipe open
    const count = table.arrange();
    if (this.#ranked) table.heapify(count);
    w[at + CELL.COUNT] = count;
    this.#setLong(CELL.HELD, held);
    this.#setLong(CELL.ARRIVALS, arrivals);
    return count;
  }

  /** Those on their way are among them, as they may be the channel's already, or still. */
  blocks(): number[] {
    const found = new Set<number>();
    const table = this.#table();
    for (const word of [CELL.TABLE, CELL.COMING, CELL.LEAVING]) found.add(this.#words[this.#at + word] >>> 0);
    for (let slot = table.next(); slot !== 0; slot = table.next(slot))
      found.add(table.words[slot + SLOT.HANDLE] >>> 0);
    found.delete(0);
    return [...found];
  }

  /** A block for what has none, which is this thread's. */
  #copy({ words, length }: Parcel): number {
    const handle = this.#space.allocate(length);
    copyWords(words, 0, this.#space.at(handle, length).words, 0, (length + 3) >>> 2);
    return handle;
  }

  #table(): HeapTable {
    const handle = this.#words[this.#at + CELL.TABLE] >>> 0;
    if (!this.#seen.is(handle)) this.#seen = handle === 0 ? HeapTable.NONE : this.#open(handle);
    return this.#seen;
  }

  #open(handle: number): HeapTable {
    const slots = HeapTable.slotsOf(this.#space.at(handle, 4).words);
    return new HeapTable(handle, this.#space.at(handle, HeapTable.bytesOf(slots)).words);
  }

  /** The table, with room for one more than `count`. If there is no memory for it, frees the block `mine`, if there is one. */
  #tableFor(count: number, mine: number): HeapTable {
    const table = this.#table();
    if (count < table.slots) return table;
    try {
      return this.#resize(table, Math.max(FEWEST_SLOTS, table.slots * 2), count);
    } catch (error) {
      if (mine !== 0) this.#space.free(mine);
      throw error;
    }
  }

  /** Gives back what a table of `count` items can spare. */
  #shrink(table: HeapTable, count: number): void {
    // Where there is no memory for a smaller one, it is not tried again each time.
    if ((count & (count - 1)) !== 0) return;
    try {
      this.#resize(table, Math.max(FEWEST_SLOTS, count * 2), count);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
    }
  }

  /** Another table in place of this one. @throws {OutOfMemoryError} Then nothing has changed. */
  #resize(old: HeapTable, slots: number, count: number): HeapTable {
    const space = this.#space;
    const bytes = HeapTable.bytesOf(slots);
    const handle = space.allocate(bytes);
    const table = HeapTable.copy(handle, space.at(handle, bytes).words, slots, old, count);
    const more = space.sizeOf(handle) - (old.handle === 0 ? 0 : space.sizeOf(old.handle));
    this.#set(CELL.COMING, handle);
    space.keep(handle);
    this.#set(CELL.LEAVING, old.handle);
    this.#set(CELL.TABLE, handle);
    this.#set(CELL.COMING, 0);
    if (old.handle !== 0) this.#letGo(old.handle);
    this.#add(CELL.HELD, more);
    this.#seen = table;
    return table;
  }

  /** Frees what LEAVING names. */
  #letGo(handle: number): void {
    this.#space.take(handle);
    this.#set(CELL.LEAVING, 0);
    this.#space.free(handle);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, this.#at + word, value);
  }

  #long(word: number): number {
    return longAt(this.#words, this.#at + word);
  }

  #setLong(word: number, value: number): void {
    this.#words[this.#at + word] = Math.floor(value / WORD);
    this.#words[this.#at + word + 1] = value | 0;
  }

  #add(word: number, value: number): void {
    this.#setLong(word, this.#long(word) + value);
  }
}

function kindOf({ raw, lead }: Parcel): number {
  if (lead !== 0) return KIND.CARRIER;
  return raw ? KIND.RAW : KIND.VALUE;
}

function kindAt(words: Int32Array, slot: number): number {
  return Math.trunc((words[slot + SLOT.LENGTH] >>> 0) / KIND_STEP);
}

function longAt(words: Int32Array, at: number): number {
  return words[at] * WORD + (words[at + 1] >>> 0);
}
