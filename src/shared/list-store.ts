import { handedOn, Parcel } from '../channel/parcel.js';
import { OutOfMemoryError } from '../errors/errors.js';
import { haveAllLook } from '../wait/deaths.js';
import { CORE, Core, TRIES } from './core.js';
import { blockOf, type Copy, holdsOpen, makeEntry, type Packed } from './entry.js';
import { ListArray } from './list-array.js';

/*
 * What a shared list is in shared memory: an array (list-array.ts) of entries (entry.ts), under the rules of core.ts.
 *
 * Every change is one store: of a slot, of an end of the array, or of ROOT, which names the array. SEQUENCE grows after it and before
 * anything is freed, so who reads without the lock and finds it as it was has read what was in use, and from one state of the list or
 * from two that differ by one store. It is never odd.
 *
 * DOUBT names a block of the list's with the numbers of those blocks of values that come or go, if they are several: after a death
 * those of them that no entry names are freed.
 */
const WORD = {
  /** Changes with each new array, before the old one is freed. */
  GENERATION: CORE.OWN,
  DOUBT: CORE.OWN + 1,
} as const;

const DOUBT = { COUNT: 0, HEAD: 4 } as const;
/** An array with more slots than this is made smaller when so small a part of it is used. */
const SMALL = 64;
const HARDLY = 8;

const NONE = new Int32Array(0);

/** What is to become of a list. */
interface Plan {
  readonly gone: Int32Array;
  readonly publish?: () => void;
  readonly all?: Int32Array;
}

export class ListStore extends Core {
  #array: ListArray | undefined;
  #generation = -1;

  /** Undefined: the list has never had an item. */
  #current(): ListArray | undefined {
    const generation = Atomics.load(this.words, this.at + WORD.GENERATION);
    if (generation === this.#generation) return this.#array;
    const handle = Atomics.load(this.words, this.at + CORE.ROOT) >>> 0;
    this.#array = handle === 0 ? undefined : ListArray.at(this.space, handle);
    this.#generation = generation;
    return this.#array;
  }

  /** How many items there are. Needs no lock. */
  get length(): number {
    const sequence = this.at + CORE.SEQUENCE;
    for (let i = 0; i < TRIES; i++) {
      const before = Atomics.load(this.words, sequence);
      try {
        const length = this.#current()?.length ?? 0;
        if (Atomics.load(this.words, sequence) === before && this.cell.isThere) return length;
      } catch (error) {
        if (Atomics.load(this.words, sequence) === before && this.cell.isThere) throw error;
      }
    }
    this.enter();
    try {
      return this.#current()?.length ?? 0;
    } finally {
      this.leave();
    }
  }

  /** Copies item `i`, counted from the end if negative. False: there is none. Needs no lock. */
  read(i: number, copy: Copy): boolean {
    const sequence = this.at + CORE.SEQUENCE;
    for (let n = 0; n < TRIES; n++) {
      const before = Atomics.load(this.words, sequence);
      try {
        const found = this.#copy(i, copy);
        if (Atomics.load(this.words, sequence) !== before || !this.cell.isThere) continue;
        if (found && copy.isPartial) copy.fetch(this.space);
        if (Atomics.load(this.words, sequence) === before && this.cell.isThere) return found;
      } catch (error) {
        // What was being read may have been freed: then it was anything.
        if (Atomics.load(this.words, sequence) === before && this.cell.isThere) throw error;
      }
    }
    this.enter();
    try {
      return this.readHeld(i, copy);
    } finally {
      this.leave();
    }
  }

  /** The same under the lock. */
  readHeld(i: number, copy: Copy): boolean {
    if (!this.#copy(i, copy)) return false;
    if (copy.isPartial) copy.fetch(this.space);
    return true;
  }

  #copy(i: number, copy: Copy): boolean {
    const array = this.#current();
    if (array === undefined) return false;
    const { length } = array;
    const index = i < 0 ? i + length : i;
    return index >= 0 && index < length && copy.copyFrom(this.heap, array.entry(index));
  }

  /* All below is under the lock, and takes indices from 0 on that there are. Whoever finds no memory has changed nothing. */

  entries(): Int32Array {
    return this.#current()?.entries() ?? NONE;
  }

  blocks(): number[] {
    const found: number[] = [];
    for (const block of [this.words[this.at + CORE.ROOT] >>> 0, this.words[this.at + WORD.DOUBT] >>> 0])
      if (block !== 0) found.push(block);
    for (const entry of this.entries()) {
      const block = blockOf(this.heap, entry);
      if (block !== 0) found.push(block);
    }
    return found;
  }

  /** Does any item hold something open? */
  get isCarrier(): boolean {
    return this.entries().some(entry => holdsOpen(this.heap, entry));
  }

  /** Puts an item in the place of another. */
  put(i: number, parcel: Packed): void {
    this.#change([parcel], entries => {
      const array = this.#current() as ListArray;
      const old = array.entries(i, i + 1);
      return { gone: old, publish: () => array.replace(i, entries[0]) };
    });
  }

  append(parcels: readonly Packed[]): void {
    this.#change(parcels, entries => {
      const array = this.#withRoomFor(parcels.length);
      return { gone: NONE, publish: () => array.append(entries) };
    });
  }

  prepend(parcels: readonly Packed[]): void {
    this.#change(parcels, entries => {
      const array = this.#withRoomFor(parcels.length);
      return { gone: NONE, publish: () => array.prepend(entries) };
    });
  }

  dropLast(): void {
    this.#change([], () => {
      const array = this.#withLittleRoom() as ListArray;
      const { length } = array;
      return { gone: array.entries(length - 1), publish: () => array.dropLast() };
    });
  }

  dropFirst(): void {
    this.#change([], () => {
      const array = this.#withLittleRoom() as ListArray;
      return { gone: array.entries(0, 1), publish: () => array.dropFirst() };
    });
  }

  /** Puts items in the place of those from `start` to `end`. */
  splice(start: number, end: number, parcels: readonly Packed[]): void {
    this.#change(parcels, entries => {
      const old = this.entries();
      const all = new Int32Array(old.length - (end - start) + entries.length);
      all.set(old.subarray(0, start));
      all.set(entries, start);
      all.set(old.subarray(end), start + entries.length);
      return { gone: old.slice(start, end), all };
    });
  }

  /** Gives the entries, which must be all that there are, another order. */
  arrange(all: Int32Array): void {
    this.#change([], () => ({ gone: NONE, all }));
  }

  /**
   * Makes entries of what is in the parcels, and has `plan` say what is to become of the list: one store, or an array of its own; and which
   * entries are the list's no more after that.
   */
  #change(parcels: readonly Packed[], plan: (entries: Int32Array) => Plan): void {
    for (const parcel of parcels) if (parcel instanceof Parcel) parcel.settle(this.space);
    this.begin();
    let isCarrier = false;
    try {
      const entries = this.#make(parcels);
      try {
        isCarrier = this.#perform(parcels, plan(entries));
      } catch (error) {
        if (error instanceof OutOfMemoryError) this.#free(entries);
        throw error;
      }
    } finally {
      this.end();
    }
    if (isCarrier) haveAllLook();
  }

  /** @throws {OutOfMemoryError} Nothing has changed, and the entries are free. */
  #make(parcels: readonly Packed[]): Int32Array {
    const entries = new Int32Array(parcels.length);
    for (let i = 0; i < parcels.length; i++) {
      try {
        entries[i] = makeEntry(this.heap, parcels[i], undefined, this.newVersion());
      } catch (error) {
        this.#free(entries.subarray(0, i));
        throw error;
      }
    }
    return entries;
  }

  #free(entries: Int32Array): void {
    for (const entry of entries) this.heap.free(entry, this.bytesOf(entry));
  }

  /** True: what is the list's no more held something open. */
  #perform(parcels: readonly Packed[], { gone, publish, all }: Plan): boolean {
    const { heap, space } = this;
    const coming = parcels.filter(({ handle }) => handle !== 0);
    const going: number[] = [];
    let isCarrier = false;
    for (const entry of gone) {
      isCarrier ||= holdsOpen(heap, entry);
      const block = blockOf(heap, entry);
      if (block !== 0) going.push(block);
    }
    const isSimple = all === undefined && coming.length < 2 && going.length < 2;
    const array = all && ListArray.make(space, all);
    let doubt = 0;
    try {
      if (!isSimple) doubt = this.#doubt([...coming.map(({ handle }) => handle), ...going]);
    } catch (error) {
      if (array) space.free(array.handle);
      throw error;
    }
    // From here on nothing is asked for.
    for (const parcel of coming) {
      if (isSimple) heap.admit(parcel.handle);
      else space.keep(parcel.handle);
      handedOn(parcel as Parcel);
    }
    if (isSimple && going.length > 0) heap.condemn(going[0]);
    if (array) this.#install(array);
    else publish?.();
    Atomics.add(this.words, this.at + CORE.SEQUENCE, 2);
    if (isSimple && coming.length > 0) heap.admitted();
    heap.settled();
    if (isSimple && going.length > 0) heap.execute();
    else for (const block of going) space.reclaim(block);
    this.#free(gone);
    if (doubt !== 0) this.#renounce(doubt);
    heap.tidy();
    return isCarrier;
  }

  /** Notes the blocks that come and go, if any. */
  #doubt(blocks: readonly number[]): number {
    if (blocks.length === 0) return 0;
    const bytes = (DOUBT.HEAD + blocks.length) * 4;
    const handle = this.space.allocate(bytes);
    const { words } = this.space.at(handle, bytes);
    words[DOUBT.COUNT] = blocks.length;
    words.set(Int32Array.from(blocks), DOUBT.HEAD);
    this.heap.admit(handle);
    Atomics.store(this.words, this.at + WORD.DOUBT, handle);
    this.heap.admitted();
    return handle;
  }

  #renounce(doubt: number): void {
    this.heap.condemn(doubt);
    Atomics.store(this.words, this.at + WORD.DOUBT, 0);
    this.heap.execute();
  }

  #withRoomFor(more: number): ListArray {
    const array = this.#current();
    const needed = (array?.length ?? 0) + more;
    if (array !== undefined && needed <= array.slots) return array;
    return this.#install(ListArray.make(this.space, array?.entries() ?? NONE, needed));
  }

  #withLittleRoom(): ListArray | undefined {
    const array = this.#current();
    if (array === undefined || array.slots <= SMALL || array.length * HARDLY > array.slots) return array;
    try {
      return this.#install(ListArray.make(this.space, array.entries(), array.slots / 2));
    } catch (error) {
      if (error instanceof OutOfMemoryError) return array;
      throw error;
    }
  }

  /** Puts an array of this thread's in the place of the one there is. */
  #install(array: ListArray): ListArray {
    const { heap, words, at } = this;
    const old = words[at + CORE.ROOT] >>> 0;
    heap.admit(array.handle);
    if (old !== 0) heap.condemn(old);
    Atomics.store(words, at + CORE.ROOT, array.handle);
    Atomics.add(words, at + WORD.GENERATION, 1);
    Atomics.add(words, at + CORE.SEQUENCE, 2);
    heap.admitted();
    if (old !== 0) heap.execute();
    this.#array = array;
    this.#generation = words[at + WORD.GENERATION];
    return array;
  }

  /** Under the lock: brings all into order from whatever step a holder of it died at. */
  recover(): void {
    const { words, at, space } = this;
    // Readers may have found their way by what the dead one did not come to tell of.
    Atomics.add(words, at + WORD.GENERATION, 1);
    Atomics.add(words, at + CORE.SEQUENCE, 2);
    const doubt = words[at + WORD.DOUBT] >>> 0;
    const lost: number[] = [];
    if (doubt !== 0) {
      const count = space.at(doubt, DOUBT.HEAD * 4).words[DOUBT.COUNT];
      const { words: listed } = space.at(doubt, (DOUBT.HEAD + count) * 4);
      for (let i = 0; i < count; i++) lost.push(listed[DOUBT.HEAD + i] >>> 0);
    }
    this.heap.recover(new Set(this.blocks()), lost);
    if (doubt !== 0) this.#renounce(doubt);
    haveAllLook();
  }
}
