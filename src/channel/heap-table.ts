/*
 * The table of a heap: a block of the channel's.
 *
 *   word 0         how many slots it has
 *   from FIRST on  the slots
 *   after them     their order, a word for each: the index of its first word. First come those that are taken, then the free ones
 *
 * The slots are the truth: one is taken while its HANDLE is not 0. The order only helps, and is told from them. By rank, it is
 * a heap of four children each; else the order of arrival, which is that in which the slots lie.
 */
export const SLOT = {
  HANDLE: 0,
  /** How many bytes the item has, and of which kind it is (heap.ts). */
  LENGTH: 1,
  /** Two words each, which compare as the numbers do: the first signed, then the second without a sign. */
  RANK: 2,
  ARRIVAL: 4,
} as const;
const SLOT_WORDS = 6;
const FIRST = 4;
const CHILDREN = 4;

/** A table as this thread sees it. */
export class HeapTable {
  /** What there is before the first item comes. */
  static readonly NONE: HeapTable = new HeapTable(0, new Int32Array(FIRST));

  readonly slots: number;
  /** Index of the first word of the order. */
  readonly #order: number;

  /** What lies there already. */
  constructor(
    readonly handle: number,
    readonly words: Int32Array,
  ) {
    this.slots = words[0];
    this.#order = FIRST + this.slots * SLOT_WORDS;
  }

  /** Bytes of a table of so many slots. */
  static bytesOf(slots: number): number {
    return (FIRST + slots * (SLOT_WORDS + 1)) * 4;
  }

  /** How many slots the table has that begins with these words. */
  static slotsOf(words: Int32Array): number {
    return words[0];
  }

  /** Makes one of so many slots for the first `count` items of another, which lie in it in their order. */
  static copy(handle: number, words: Int32Array, slots: number, other: HeapTable, count: number): HeapTable {
    words[0] = slots;
    const table = new HeapTable(handle, words);
    for (let place = 0; place < slots; place++) {
      const slot = FIRST + place * SLOT_WORDS;
      words[table.#order + place] = slot;
      if (place < count) {
        const from = other.at(place);
        for (let i = 0; i < SLOT_WORDS; i++) words[slot + i] = other.words[from + i];
      } else words[slot + SLOT.HANDLE] = 0;
    }
    return table;
  }

  /** Is it still that one, rather than a later one of another size in the same place? */
  is(handle: number): boolean {
    return this.handle === handle && this.words[0] === this.slots;
  }

  /** The slot at a place of the order. */
  at(place: number): number {
    return this.words[this.#order + place];
  }

  /** The first slot that is taken after this one, or of all; 0: there is none. */
  next(slot = FIRST - SLOT_WORDS): number {
    for (let next = slot + SLOT_WORDS; next < this.#order; next += SLOT_WORDS)
      if (this.words[next + SLOT.HANDLE] !== 0) return next;
    return 0;
  }

  /** The item at the end of the heap's places goes where it belongs. */
  added(place: number): void {
    this.#rise(place, 0, this.at(place));
  }

  /** Of a heap of `count`, the first item is gone: its slot is free. */
  removedFirst(count: number): void {
    const free = this.at(0);
    const last = count - 1;
    if (last > 0) this.#sink(0, this.at(last), last);
    this.words[this.#order + last] = free;
  }

  /** Tells the order from the slots: as they lie. How many are taken. */
  arrange(): number {
    const { words } = this;
    const order = this.#order;
    let count = 0;
    for (let slot = FIRST; slot < order; slot += SLOT_WORDS)
      if (words[slot + SLOT.HANDLE] !== 0) words[order + count++] = slot;
    let end = count;
    for (let slot = FIRST; slot < order; slot += SLOT_WORDS)
      if (words[slot + SLOT.HANDLE] === 0) words[order + end++] = slot;
    return count;
  }

  /** Makes the first `count` places a heap. */
  heapify(count: number): void {
    for (let place = (count + CHILDREN - 2) >>> 2; place > 0; place--)
      this.#sink(place - 1, this.at(place - 1), count);
  }

  /** Puts `slot` at `place`, or above it as far as `top`, where it belongs. */
  #rise(place: number, top: number, slot: number): void {
    const { words } = this;
    const order = this.#order;
    while (place > top) {
      const parent = (place - 1) >>> 2;
      const above = words[order + parent];
      if (!isBefore(words, slot, above)) break;
      words[order + place] = above;
      place = parent;
    }
    words[order + place] = slot;
  }

  /** Puts `slot` at `place` or below it, among `count`. */
  #sink(place: number, slot: number, count: number): void {
    const { words } = this;
    const order = this.#order;
    const top = place;
    // Down to the end, and from there up: most that come from the end belong there, so this compares less.
    for (let child = place * CHILDREN + 1; child < count; child = place * CHILDREN + 1) {
      const end = Math.min(child + CHILDREN, count);
      place = child;
      let first = words[order + child];
      while (++child < end) {
        const other = words[order + child];
        if (!isBefore(words, other, first)) continue;
        place = child;
        first = other;
      }
      words[order + ((place - 1) >>> 2)] = first;
    }
    this.#rise(place, top, slot);
  }
}

/** Does what is in slot `a` come out before what is in `b`? Compares rank and arrival: no two have the same. */
function isBefore(words: Int32Array, a: number, b: number): boolean {
  for (let i = SLOT.RANK; i < SLOT_WORDS; i += 2) {
    if (words[a + i] !== words[b + i]) return words[a + i] < words[b + i];
    if (words[a + i + 1] !== words[b + i + 1]) return words[a + i + 1] >>> 0 < words[b + i + 1] >>> 0;
  }
  return false;
}
