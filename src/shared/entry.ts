import type { Parcel } from '../channel/parcel.js';
import type { Space } from '../channel/space.js';
import { decode } from '../codec/decode.js';
import { MESSAGE_HEAD } from '../memory/message.js';
import { EntryHeap } from './entry-heap.js';
import { type AnyKey, type Key, keyAt, keyBytes } from './key.js';

/*
 * An entry of a shared map or list, in the heap: what it holds is never changed while it is in use.
 *
 *   HEAD      what its key is (key.ts; 0: it has none); BLOCK, if the value has a block of its own; LEAD, if that begins with words of its own,
 *             as the value holds something open (channel/tickets.ts)
 *   VERSION   two words, low one first: a number that no other entry of the collection ever has, or had
 *   LENGTH    bytes of the value
 *   the key, up to the next full word
 *   the value; or its block
 */
const HEAD = 0;
const VERSION_LOW = 1;
const VERSION_HIGH = 2;
const LENGTH = 3;
const FIRST = 4;

const BLOCK = 1 << 30;
const LEAD = 1 << 29;

/** Up to so many words are copied one by one, each by an atomic load: see copyFrom(). */
const LOOP_WORDS = 64;
const TWO_32 = 2 ** 32;

/** A lock-free reader orders its loads by this word of its own, which only processors with weakly ordered loads need. */
const fence = new Int32Array(new SharedArrayBuffer(4));

/** An encoded value: a parcel, or what was in a short one. */
export type Packed = Pick<Parcel, 'words' | 'length' | 'handle' | 'lead'>;

/** Bytes of the entry that these are to make. */
export function sizeOf(parcel: Packed, key: Key | undefined): number {
  const before = FIRST * 4 + (key === undefined ? 0 : padded(key.bytes));
  return before + (parcel.handle !== 0 ? 4 : padded(parcel.length));
}

function padded(bytes: number): number {
  return (bytes + 3) & -4;
}

/** An entry with what is in the parcel, whose block stays this thread's. @throws {OutOfMemoryError} Nothing has changed. */
export function makeEntry(heap: EntryHeap, parcel: Packed, key: Key | undefined, version: number): number {
  const entry = heap.allocate(sizeOf(parcel, key));
  const segment = heap.at(entry);
  const { words } = segment;
  const at = EntryHeap.wordOf(entry);
  const { handle, length } = parcel;
  // First, and atomically: who still reads what was here before must find that it is another.
  Atomics.store(words, at + VERSION_LOW, version);
  words[at + VERSION_HIGH] = Math.floor(version / TWO_32);
  words[at + HEAD] =
    (key === undefined ? 0 : key.head) | (handle === 0 ? 0 : BLOCK) | (parcel.lead === 0 ? 0 : LEAD);
  words[at + LENGTH] = length;
  let next = at + FIRST;
  if (key !== undefined) {
    key.write(segment, next);
    next += (key.bytes + 3) >>> 2;
  }
  if (handle !== 0) words[next] = handle;
  else {
    const count = (length + 3) >>> 2;
    if (count > LOOP_WORDS) words.set(parcel.words.subarray(0, count), next);
    else for (let i = 0; i < count; i++) words[next + i] = parcel.words[i];
  }
  return entry;
}

/** Bytes of an entry in use, as it was allocated. */
export function bytesOf(heap: EntryHeap, entry: number): number {
  const { words } = heap.at(entry);
  const at = EntryHeap.wordOf(entry);
  const head = words[at + HEAD];
  return FIRST * 4 + padded(keyBytes(head)) + ((head & BLOCK) !== 0 ? 4 : padded(words[at + LENGTH]));
}

/** The block of an entry in use; 0: it has none. */
export function blockOf(heap: EntryHeap, entry: number): number {
  const { words } = heap.at(entry);
  const at = EntryHeap.wordOf(entry);
  const head = words[at + HEAD];
  return (head & BLOCK) === 0 ? 0 : words[at + FIRST + ((keyBytes(head) + 3) >>> 2)] >>> 0;
}

/** Does an entry in use hold something open? Then all who wait are to look again when it is no more. */
export function holdsOpen(heap: EntryHeap, entry: number): boolean {
  return (heap.at(entry).words[EntryHeap.wordOf(entry) + HEAD] & LEAD) !== 0;
}

/** Bytes of its key and value, about as many as they take in a log. */
export function loggedBytesOf(heap: EntryHeap, entry: number): number {
  const { words } = heap.at(entry);
  const at = EntryHeap.wordOf(entry);
  return keyBytes(words[at + HEAD]) + 2 + (words[at + LENGTH] >>> 0);
}

/** Is it that key's? */
export function isOf(heap: EntryHeap, entry: number, key: Key): boolean {
  const at = EntryHeap.wordOf(entry);
  return key.matches(heap.at(entry), at, at + FIRST);
}

/** The low word of its version: who reads without the lock sees by it whether it is still the same entry. */
export function stampOf(heap: EntryHeap, entry: number): number {
  return Atomics.load(heap.at(entry).words, EntryHeap.wordOf(entry) + VERSION_LOW);
}

export function versionOf(heap: EntryHeap, entry: number): number {
  const { words } = heap.at(entry);
  const at = EntryHeap.wordOf(entry);
  return words[at + VERSION_HIGH] * TWO_32 + (words[at + VERSION_LOW] >>> 0);
}

/** The key of an entry, which may be overwritten meanwhile: then any. */
export function keyOf(heap: EntryHeap, entry: number): AnyKey {
  const at = EntryHeap.wordOf(entry);
  const segment = heap.at(entry);
  return keyAt(segment, segment.words[at + HEAD], at + FIRST);
}

/** A copy of an entry's value, to be decoded when it is certain that it was one. One object serves many: see borrowCopy(). */
export class Copy {
  readonly #bytes = new Uint8Array(2048);
  readonly #words = new Int32Array(this.#bytes.buffer);
  /** What the entry has instead of a short value. */
  #large: Uint8Array | undefined;
  #length = 0;
  #block = 0;
  /** Does it hold something open? Then it must be decoded while that is certain to be there: under the lock. */
  isCarrier = false;
  version = 0;

  /**
   * Copies all but what lies in a block: see fetch(). False: what is there cannot be an entry any more.
   *
   * Each word by an atomic load, which no later one can overtake: a reader without the lock looks afterwards whether the entry
   * was in use all the while.
   */
  copyFrom(heap: EntryHeap, entry: number): boolean {
    const { words } = heap.at(entry);
    const at = EntryHeap.wordOf(entry);
    const head = Atomics.load(words, at + HEAD);
    const length = Atomics.load(words, at + LENGTH) >>> 0;
    const start = at + FIRST + ((keyBytes(head) + 3) >>> 2);
    this.version =
      Atomics.load(words, at + VERSION_HIGH) * TWO_32 + (Atomics.load(words, at + VERSION_LOW) >>> 0);
    this.#length = length;
    this.isCarrier = (head & LEAD) !== 0;
    this.#large = undefined;
    this.#block = 0;
    if ((head & BLOCK) !== 0) {
      if (start >= words.length) return false;
      this.#block = Atomics.load(words, start) >>> 0;
      return true;
    }
    const count = (length + 3) >>> 2;
    if (count > this.#words.length || start + count > words.length) return false;
    if (count > LOOP_WORDS) {
      this.#words.set(words.subarray(start, start + count));
      Atomics.exchange(fence, 0, 0);
    } else for (let i = 0; i < count; i++) this.#words[i] = Atomics.load(words, start + i);
    return true;
  }

  /** Is there more to copy, from a block? */
  get isPartial(): boolean {
    return this.#block !== 0;
  }

  /** Copies what lies in the block, whose number and length are those of an entry. */
  fetch(space: Space): void {
    const lead = this.isCarrier ? MESSAGE_HEAD : 0;
    const { bytes } = space.at(this.#block, lead + this.#length);
    this.#large = new Uint8Array(this.#length);
    this.#large.set(bytes.subarray(lead, lead + this.#length));
    this.#block = 0;
    Atomics.exchange(fence, 0, 0);
  }

  /** The encoded value, good until the copy is used again. */
  get content(): Uint8Array {
    return this.#large ?? this.#bytes.subarray(0, this.#length);
  }

  /** @throws {SerializationError} It cannot be decoded here. */
  decode(): unknown {
    return this.#large === undefined ? decode(this.#bytes, 0, this.#length) : decode(this.#large);
  }

  release(): void {
    this.#large = undefined;
  }
}

const idle: Copy[] = [];

/** A copy for one value. What is decoded may use maps itself, so one for all would not do. */
export function borrowCopy(): Copy {
  return idle.pop() ?? new Copy();
}

export function giveCopyBack(copy: Copy): void {
  copy.release();
  idle.push(copy);
}
