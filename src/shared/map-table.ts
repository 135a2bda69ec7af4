import type { Space } from '../channel/space.js';

/*
 * The table of a shared map, a block of the map's: records in order of insertion, and slots by which they are found.
 *
 *   HEAD      MASK: slots, less one; CAPACITY: most records; USED: how many there are, those of deleted keys included
 *   slots     0, or the number of a record, from 1 on, in as many of the low bits as MASK has; the others are those of its hash
 *   records   HASH; ENTRY, 0 for a deleted key; BIRTH, two words: the version by which the key came, which grows from record to record
 *
 * A record's place is its own for as long as the table lives: it is filled with ENTRY 0 before USED tells of it and a slot leads
 * to it, then one store of ENTRY makes the key one of the map's; another replaces its value; a store of 0 deletes it. Slots are
 * never emptied. When no record is left, a new table is made of those that are alive, and takes the place of this one by one store
 * of the map's ROOT.
 */
const HEAD = { MASK: 0, CAPACITY: 1, USED: 2, WORDS: 8 } as const;
export const RECORD = { HASH: 0, ENTRY: 1, BIRTH_LOW: 2, BIRTH_HIGH: 3, WORDS: 4 } as const;
const FEWEST_SLOTS = 16;
const TWO_32 = 2 ** 32;

function capacityOf(slots: number): number {
  return Math.floor((slots * 2) / 3);
}

export class Table {
  readonly mask: number;
  readonly capacity: number;
  /** Index of the first record's first word. */
  readonly records: number;

  private constructor(
    readonly handle: number,
    readonly words: Int32Array,
  ) {
    this.mask = words[HEAD.MASK];
    this.capacity = words[HEAD.CAPACITY];
    this.records = HEAD.WORDS + this.mask + 1;
  }

  /** The table in a block; if the block is another's by now, anything, or an error. */
  static at(space: Space, handle: number): Table {
    const head = space.at(handle, HEAD.WORDS * 4).words;
    const words = HEAD.WORDS + head[HEAD.MASK] + 1 + head[HEAD.CAPACITY] * RECORD.WORDS;
    return new Table(handle, space.at(handle, words * 4).words);
  }

  /** A new one, in a block of this thread's, with room for half as many again. @throws {OutOfMemoryError} */
  static make(space: Space, count: number): Table {
    let slots = FEWEST_SLOTS;
    while (capacityOf(slots) < count * 1.5) slots *= 2;
    const capacity = capacityOf(slots);
    const handle = space.allocate((HEAD.WORDS + slots + capacity * RECORD.WORDS) * 4);
    const { words } = space.at(handle, (HEAD.WORDS + slots + capacity * RECORD.WORDS) * 4);
    words[HEAD.MASK] = slots - 1;
    words[HEAD.CAPACITY] = capacity;
    words[HEAD.USED] = 0;
    words.fill(0, HEAD.WORDS, HEAD.WORDS + slots);
    return new Table(handle, words);
  }

  get used(): number {
    return Atomics.load(this.words, HEAD.USED);
  }

  /** Index of the slot where the search for a hash begins; next() gives those that follow. */
  slotFor(hash: number): number {
    return HEAD.WORDS + (hash & this.mask);
  }

  next(slot: number): number {
    return HEAD.WORDS + ((slot - HEAD.WORDS + 1) & this.mask);
  }

  /** Index of the record that a slot leads to; 0: its hash is another. */
  recordIn(slot: number, hash: number): number {
    const { mask } = this;
    if (((slot ^ hash) & ~mask) !== 0) return 0;
    const record = this.records + ((slot & mask) - 1) * RECORD.WORDS;
    return Atomics.load(this.words, record + RECORD.HASH) === hash ? record : 0;
  }

  /** A new record, without an entry, that the slot, empty or that of a deleted key, leads to from now on. There must be room. */
  add(hash: number, birth: number, slot: number): number {
    const w = this.words;
    const used = w[HEAD.USED];
    const record = this.records + used * RECORD.WORDS;
    w[record + RECORD.HASH] = hash;
    w[record + RECORD.ENTRY] = 0;
    w[record + RECORD.BIRTH_LOW] = birth;
    w[record + RECORD.BIRTH_HIGH] = Math.floor(birth / TWO_32);
    Atomics.store(w, HEAD.USED, used + 1);
    Atomics.store(w, slot, (hash & ~this.mask) | (used + 1));
    return record;
  }

  /** Copies a record into this table, which nobody else knows. */
  addFrom({ words }: Table, from: number): void {
    const hash = words[from];
    let slot = this.slotFor(hash);
    while (this.words[slot] !== 0) slot = this.next(slot);
    const birth = words[from + RECORD.BIRTH_HIGH] * TWO_32 + (words[from + RECORD.BIRTH_LOW] >>> 0);
    const record = this.add(hash, birth, slot);
    this.words[record + RECORD.ENTRY] = words[from + RECORD.ENTRY];
  }

  entryOf(record: number): number {
    return Atomics.load(this.words, record + RECORD.ENTRY);
  }

  birthOf(record: number): number {
    return this.words[record + RECORD.BIRTH_HIGH] * TWO_32 + (this.words[record + RECORD.BIRTH_LOW] >>> 0);
  }

  /** Index of the `n`-th record, from 0 on. */
  record(n: number): number {
    return this.records + n * RECORD.WORDS;
  }

  /** How many records were born up to then. */
  countUpTo(birth: number): number {
    let low = 0;
    let high = Math.min(this.used, this.capacity);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.birthOf(this.record(middle)) <= birth) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
