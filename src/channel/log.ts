import { haveAllLook } from '../wait/deaths.js';
import type { Batch } from './batch.js';
import type { Parcel } from './parcel.js';
import {
  blockAt,
  carriesAt,
  isRawAt,
  lengthAt,
  readRecord,
  recordAt,
  recordOf,
  writeRecord,
} from './record.js';
import { type Space, tryAllocate } from './space.js';
import type { Store } from './store.js';

/*
 * First in, first out: records in a chain of chunks.
 *
 * The truth is HEAD, the chunks' NEXT, and how far each has been written and read. An item is in by the one store of its chunk's
 * WRITTEN, and out by that of READ; a chunk is in the chain, or out of it, by one store too. PENDING names the block that is
 * on its way in or out, from before it changes hands until after; what it names, and the chain does not, is reclaimed by
 * recover(). TAIL and HELD follow from the rest. A chunk with WRITTEN before READ is empty: both were being set back.
 */
const CELL = {
  HEAD: 0,
  TAIL: 1,
  /** A chunk kept for the next one that is needed. */
  SPARE: 2,
  PENDING: 3,
  /** What chunks and blocks take, in units of 64 bytes. */
  HELD: 4,
} as const;
const CHUNK = {
  NEXT: 0,
  BYTES: 1,
  /** Word offsets from the chunk's start. */
  READ: 2,
  WRITTEN: 3,
} as const;
const FIRST = 4;
const FIRST_CHUNK = 1024;
const LARGEST_CHUNK = 64 * 1024;
/** Any record fits. */
const SMALLEST_FOR_ANY = 4096;
const UNIT = 64;

/** A chunk as this thread sees it. */
class Chunk {
  /** Words that it has. */
  readonly end: number;
  constructor(
    readonly handle: number,
    readonly words: Int32Array,
  ) {
    this.end = words.length;
  }

  /** Is it still that one, rather than a later one of another size in the same place? */
  is(handle: number): boolean {
    return this.handle === handle && this.words[CHUNK.BYTES] === this.end * 4;
  }
}

const NONE = new Chunk(0, Int32Array.of(0, FIRST * 4, 0, 0));

export class Log implements Store {
  static readonly WORDS = 5;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #space: Space;
  /** The last ones seen: most calls find the same. */
  #first = NONE;
  #last = NONE;

  constructor(words: Int32Array, at: number, space: Space) {
    this.#words = words;
    this.#at = at;
    this.#space = space;
  }

  get held(): number {
    return this.#words[this.#at + CELL.HELD] * UNIT;
  }

  push(parcel: Parcel): void {
    const size = recordOf(parcel);
    const chunk = this.#tailFor(size);
    const { words } = chunk;
    const at = words[CHUNK.WRITTEN];
    const { handle } = parcel;
    if (handle !== 0) {
      this.#pending(handle);
      this.#space.keep(handle);
    }
    writeRecord(words, at, parcel);
    Atomics.store(words, CHUNK.WRITTEN, at + size);
    if (handle !== 0) {
      this.#pending(0);
      this.#hold(parcel.length);
      parcel.handle = 0;
    }
  }

  pushMany(batch: Batch, count: number, parcel: Parcel): void {
    for (let left = count; left > 0; ) {
      if (blockAt(batch.words, batch.start) !== 0) {
        readRecord(batch.words, batch.start, parcel);
        this.push(parcel);
        batch.skip(recordAt(batch.words, batch.start), 1);
        left--;
        continue;
      }
      const chunk = this.#tailFor(recordAt(batch.words, batch.start));
      const at = chunk.words[CHUNK.WRITTEN];
      const room = Math.min(batch.end - batch.start, chunk.end - at);
      const [length, items] = stretch(batch.words, batch.start, room, left);
      chunk.words.set(batch.words.subarray(batch.start, batch.start + length), at);
      Atomics.store(chunk.words, CHUNK.WRITTEN, at + length);
      batch.skip(length, items);
      left -= items;
    }
  }

  pull(parcel: Parcel): void {
    const chunk = this.#headWithItems();
    const { words } = chunk;
    const at = words[CHUNK.READ];
    readRecord(words, at, parcel);
    const { handle } = parcel;
    if (handle !== 0) this.#pending(handle);
    Atomics.store(words, CHUNK.READ, at + recordAt(words, at));
    if (handle !== 0) {
      this.#space.take(handle);
      this.#pending(0);
      this.#hold(-parcel.length);
    }
    if (words[CHUNK.READ] === words[CHUNK.WRITTEN]) this.#tidy(chunk);
  }

  peek(parcel: Parcel): void {
    const { words } = this.#headWithItems();
    const at = words[CHUNK.READ];
    parcel.raw = isRawAt(words, at);
    parcel.length = lengthAt(words, at);
  }

  pullMany(batch: Batch, count: number, parcel: Parcel): void {
    for (let left = count; left > 0; ) {
      const chunk = this.#headWithItems();
      const { words } = chunk;
      const at = words[CHUNK.READ];
      if (blockAt(words, at) !== 0) {
        this.pull(parcel);
        batch.add(parcel);
        left--;
        continue;
      }
      const [length, items] = stretch(words, at, words[CHUNK.WRITTEN] - at, left);
      batch.addAll(words, at, at + length, items);
      Atomics.store(words, CHUNK.READ, at + length);
      left -= items;
      if (words[CHUNK.READ] === words[CHUNK.WRITTEN]) this.#tidy(chunk);
    }
  }

  clear(): void {
    let carried = false;
    for (let chunk = this.#head(); chunk !== NONE; ) {
      const { words } = chunk;
      while (words[CHUNK.READ] < words[CHUNK.WRITTEN]) {
        const at = words[CHUNK.READ];
        const block = blockAt(words, at);
        if (block !== 0) this.#pending(block);
        Atomics.store(words, CHUNK.READ, at + recordAt(words, at));
        if (block === 0) continue;
        carried ||= carriesAt(words, at);
        this.#hold(-lengthAt(words, at));
        this.#space.reclaim(block);
        this.#pending(0);
      }
      if (words[CHUNK.NEXT] === 0) {
        this.#tidy(chunk);
        break;
      }
      chunk = this.#advance(chunk);
    }
    if (carried) haveAllLook();
  }

  recover(): number {
    const { HEAD, TAIL, SPARE, PENDING, HELD } = CELL;
    const w = this.#words;
    const at = this.#at;
    const pending = w[at + PENDING] >>> 0;
    let isKnown = pending === 0 || pending === w[at + SPARE] >>> 0;
    let count = 0;
    let held = w[at + SPARE] === 0 ? 0 : LARGEST_CHUNK;
    let last = 0;
    for (let handle = w[at + HEAD] >>> 0; handle !== 0; ) {
      const { words } = this.#chunk(handle);
      last = handle;
      held += words[CHUNK.BYTES];
      isKnown ||= pending === handle;
      if (words[CHUNK.WRITTEN] < words[CHUNK.READ]) setBack(words);
      for (let i = words[CHUNK.READ]; i < words[CHUNK.WRITTEN]; i += recordAt(words, i)) {
        count++;
        const block = blockAt(words, i);
        if (block === 0) continue;
        held += units(lengthAt(words, i)) * UNIT;
        isKnown ||= pending === block;
      }
      handle = words[CHUNK.NEXT] >>> 0;
    }
    w[at + TAIL] = last;
    if (!isKnown) {
      this.#space.reclaim(pending);
      haveAllLook(); // it may have been an item that held the end of a pipe open
    }
    this.#pending(0);
    w[at + HELD] = held / UNIT;
    return count;
  }

  blocks(): number[] {
    const { HEAD, SPARE } = CELL;
    const spare = this.#words[this.#at + SPARE] >>> 0;
    const found = spare === 0 ? [] : [spare];
    for (let handle = this.#words[this.#at + HEAD] >>> 0; handle !== 0; ) {
      const { words } = this.#chunk(handle);
      found.push(handle);
      for (let i = words[CHUNK.READ]; i < words[CHUNK.WRITTEN]; i += recordAt(words, i)) {
        const block = blockAt(words, i);
        if (block !== 0) found.push(block);
      }
      handle = words[CHUNK.NEXT] >>> 0;
    }
    return found;
  }

  #head(): Chunk {
    const handle = this.#words[this.#at + CELL.HEAD] >>> 0;
    if (!this.#first.is(handle)) this.#first = handle === 0 ? NONE : this.#chunk(handle);
    return this.#first;
  }

  #tail(): Chunk {
    const handle = this.#words[this.#at + CELL.TAIL] >>> 0;
    if (!this.#last.is(handle)) this.#last = handle === 0 ? NONE : this.#chunk(handle);
    return this.#last;
  }

  #chunk(handle: number): Chunk {
    const head = this.#space.at(handle, FIRST * 4).words;
    return new Chunk(handle, this.#space.at(handle, head[CHUNK.BYTES]).words);
  }

  #headWithItems(): Chunk {
    let chunk = this.#head();
    while (chunk.words[CHUNK.READ] === chunk.words[CHUNK.WRITTEN]) chunk = this.#advance(chunk);
    return chunk;
  }

  /** The next chunk in place of the first, which has been read. */
  #advance({ handle, words }: Chunk): Chunk {
    const w = this.#words;
    const at = this.#at;
    const bytes = words[CHUNK.BYTES];
    this.#pending(handle);
    Atomics.store(w, at + CELL.HEAD, words[CHUNK.NEXT]);
    if (w[at + CELL.SPARE] === 0 && bytes === LARGEST_CHUNK) Atomics.store(w, at + CELL.SPARE, handle);
    else {
      this.#hold(-bytes);
      this.#space.reclaim(handle);
    }
    this.#pending(0);
    return this.#head();
  }

  /** The chunk has been read to its end. If that was all, gives back what can be spared. */
  #tidy({ words, end }: Chunk): void {
    if (words[CHUNK.NEXT] !== 0) return;
    if (words[CHUNK.WRITTEN] > end >>> 1) setBack(words);
    const spare = this.#words[this.#at + CELL.SPARE] >>> 0;
    if (spare === 0) return;
    this.#pending(spare);
    Atomics.store(this.#words, this.#at + CELL.SPARE, 0);
    this.#hold(-LARGEST_CHUNK);
    this.#space.reclaim(spare);
    this.#pending(0);
  }

  /** A last chunk with room for so many words. */
  #tailFor(size: number): Chunk {
    const chunk = this.#tail();
    return chunk.words[CHUNK.WRITTEN] + size <= chunk.end && chunk !== NONE ? chunk : this.#grow(chunk, size);
  }

  #grow(tail: Chunk, size: number): Chunk {
    const w = this.#words;
    const at = this.#at;
    const doubled = tail === NONE ? FIRST_CHUNK : Math.min(LARGEST_CHUNK, 2 * tail.words[CHUNK.BYTES]);
    let bytes = (FIRST + size) * 4 > doubled ? SMALLEST_FOR_ANY : doubled;
    let handle = w[at + CELL.SPARE] >>> 0;
    if (handle !== 0) {
      this.#pending(handle);
      Atomics.store(w, at + CELL.SPARE, 0);
      prepare(this.#space.at(handle, LARGEST_CHUNK).words, LARGEST_CHUNK);
    } else {
      if (bytes > SMALLEST_FOR_ANY) handle = tryAllocate(this.#space, bytes);
      if (handle === 0) {
        bytes = Math.min(bytes, SMALLEST_FOR_ANY);
        handle = this.#space.allocate(bytes);
      }
      prepare(this.#space.at(handle, bytes).words, bytes);
      this.#pending(handle);
      this.#space.keep(handle);
      this.#hold(bytes);
    }
    if (tail === NONE) Atomics.store(w, at + CELL.HEAD, handle);
    else Atomics.store(tail.words, CHUNK.NEXT, handle);
    w[at + CELL.TAIL] = handle;
    this.#pending(0);
    this.#last = this.#chunk(handle);
    return this.#last;
  }

  #pending(handle: number): void {
    Atomics.store(this.#words, this.#at + CELL.PENDING, handle);
  }

  #hold(bytes: number): void {
    this.#words[this.#at + CELL.HELD] += bytes < 0 ? -units(-bytes) : units(bytes);
  }
}

function units(bytes: number): number {
  return Math.ceil(bytes / UNIT);
}

function prepare(words: Int32Array, bytes: number): void {
  words[CHUNK.NEXT] = 0;
  words[CHUNK.BYTES] = bytes;
  words[CHUNK.READ] = FIRST;
  words[CHUNK.WRITTEN] = FIRST;
}

/** All has been read: begins anew. */
function setBack(words: Int32Array): void {
  Atomics.store(words, CHUNK.WRITTEN, FIRST);
  Atomics.store(words, CHUNK.READ, FIRST);
}

/** How many words, and records, from `at` on lie in line one after the other: at most `room` words and `most` records. */
function stretch(words: Int32Array, at: number, room: number, most: number): [length: number, items: number] {
  let length = 0;
  let items = 0;
  while (items < most && length < room && words[at + length] >= 0) {
    const size = recordAt(words, at + length);
    if (length + size > room) break;
    length += size;
    items++;
  }
  return [length, items];
}
