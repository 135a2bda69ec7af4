import { haveAllLook } from '../wait/deaths.js';
import type { Parcel } from './parcel.js';
import {
  blockAt,
  carriesAt,
  copyWords,
  LONGEST_RECORD,
  readRecord,
  recordAt,
  recordOf,
  writeRecord,
} from './record.js';
import type { Space } from './space.js';

const FIRST_WORDS = 4096;

/** Items on their way together, as records: what is put and got many at a time. */
export class Batch {
  words: Int32Array = new Int32Array(FIRST_WORDS);
  bytes: Uint8Array = new Uint8Array(this.words.buffer);
  /** Records lie from here to `end`. */
  start = 0;
  end = 0;
  /** How many they are. */
  count = 0;
  /** May one of them hold the end of a pipe open? */
  carries = false;

  /** Has room for `count` words more. */
  reserve(count: number): void {
    if (this.end + count <= this.words.length) return;
    const words = new Int32Array(Math.max(this.words.length * 2, this.end + count));
    words.set(this.words.subarray(0, this.end));
    this.words = words;
    this.bytes = new Uint8Array(words.buffer);
  }

  add(parcel: Parcel): void {
    this.reserve(LONGEST_RECORD);
    writeRecord(this.words, this.end, parcel);
    if (parcel.lead !== 0) this.carries = true;
    this.end += recordOf(parcel);
    this.count++;
  }

  /** Adds records that lie one after the other elsewhere. */
  addAll(words: Int32Array, start: number, end: number, count: number): void {
    this.reserve(end - start);
    copyWords(words, start, this.words, this.end, end - start);
    this.end += end - start;
    this.count += count;
  }

  /** Takes the first one out. */
  next(parcel: Parcel): void {
    readRecord(this.words, this.start, parcel);
    this.skip(recordAt(this.words, this.start), 1);
  }

  /** Lets go of the first ones. */
  skip(words: number, count: number): void {
    this.start += words;
    this.count -= count;
    if (this.count === 0) this.start = this.end = 0;
  }

  /** Frees the blocks of what is left. */
  drop(space: Space): void {
    let carried = false;
    for (let at = this.start; at < this.end; at += recordAt(this.words, at)) {
      const block = blockAt(this.words, at);
      if (block !== 0) space.free(block);
      carried ||= carriesAt(this.words, at);
    }
    if (carried) haveAllLook();
    this.start = this.end = this.count = 0;
  }
}
