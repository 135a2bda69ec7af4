import type { Space } from '../channel/space.js';
import { OutOfMemoryError } from '../errors/errors.js';

/*
 * The array of a shared list, a block of the list's: numbers of entries, in a ring.
 *
 *   HEAD    MASK: slots, less one, a power of two; FIRST: what the first item is numbered; END: what the next one behind the last will be
 *   slots   an entry each; item n lies in slot n & MASK
 *
 * FIRST and END go up and down, and around, so that each way in which the ends of a list change is one store: a slot is filled, then END
 * goes up or FIRST goes down by as many as were filled, which puts them into the list; the other way round takes them out. Whatever else
 * moves items is done in a new array, which takes the place of this one by one store.
 */
const HEAD = { MASK: 0, FIRST: 1, END: 2, WORDS: 8 } as const;
const FEWEST_SLOTS = 8;
const MOST_SLOTS = 2 ** 27;

export class ListArray {
  readonly mask: number;

  private constructor(
    readonly handle: number,
    readonly words: Int32Array,
  ) {
    this.mask = words[HEAD.MASK];
  }

  /** The array in a block; if the block is another's by now, anything, or an error. */
  static at(space: Space, handle: number): ListArray {
    const { words } = space.at(handle, HEAD.WORDS * 4);
    return new ListArray(handle, space.at(handle, (HEAD.WORDS + words[HEAD.MASK] + 1) * 4).words);
  }

  /** A new one of these entries, in a block of this thread's, with room for so many. @throws {OutOfMemoryError} */
  static make(space: Space, entries: Int32Array, room = entries.length): ListArray {
    let slots = FEWEST_SLOTS;
    while (slots < room) slots *= 2;
    if (slots > MOST_SLOTS)
      throw new OutOfMemoryError(
        `Cannot make a list of ${room} items, as ${MOST_SLOTS} is the most: remove some, or use several`,
      );
    const bytes = (HEAD.WORDS + slots) * 4;
    const handle = space.allocate(bytes);
    const { words } = space.at(handle, bytes);
    words[HEAD.MASK] = slots - 1;
    words[HEAD.FIRST] = 0;
    words[HEAD.END] = entries.length;
    words.set(entries, HEAD.WORDS);
    return new ListArray(handle, words);
  }

  get slots(): number {
    return this.mask + 1;
  }

  get length(): number {
    const first = Atomics.load(this.words, HEAD.FIRST);
    return (Atomics.load(this.words, HEAD.END) - first) | 0;
  }

  /** Index of the slot of item `i`, from 0 on; -1 is the one before the first. */
  slot(i: number): number {
    return HEAD.WORDS + ((Atomics.load(this.words, HEAD.FIRST) + i) & this.mask);
  }

  entry(i: number): number {
    return Atomics.load(this.words, this.slot(i));
  }

  replace(i: number, entry: number): void {
    Atomics.store(this.words, this.slot(i), entry);
  }

  entries(from = 0, to: number = this.length): Int32Array {
    const found = new Int32Array(to - from);
    for (let i = from; i < to; i++) found[i - from] = this.entry(i);
    return found;
  }

  /** There must be room. */
  append(entries: Int32Array): void {
    const { words, length } = this;
    for (let i = 0; i < entries.length; i++) words[this.slot(length + i)] = entries[i];
    Atomics.store(words, HEAD.END, words[HEAD.END] + entries.length);
  }

  prepend(entries: Int32Array): void {
    const { words } = this;
    const { length } = entries;
    for (let i = 0; i < length; i++) words[this.slot(i - length)] = entries[i];
    Atomics.store(words, HEAD.FIRST, words[HEAD.FIRST] - length);
  }

  dropLast(): void {
    Atomics.store(this.words, HEAD.END, this.words[HEAD.END] - 1);
  }

  dropFirst(): void {
    Atomics.store(this.words, HEAD.FIRST, this.words[HEAD.FIRST] + 1);
  }
}
