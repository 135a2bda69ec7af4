import { MESSAGE_HEAD } from '../memory/message.js';
import { INLINE_BYTES, type Parcel } from './parcel.js';

/*
 * How items lie one after the other in words, in the log and in a batch.
 *
 *   an item in line     its length, with RAW if it is bytes as they are; its bytes, up to the next full word
 *   one with a block    BLOCK, with RAW, with LEAD if the block begins with words of its own (parcel.ts); the block's handle;
 *                       the item's length
 */
const RAW = 1 << 30;
const BLOCK = 1 << 31;
const LEAD = 1;
const LENGTH = RAW - 1;

/** Up to here a loop over words copies faster than a call. */
const LOOP_WORDS = 48;

/** Words of the longest record. */
export const LONGEST_RECORD: number = 1 + INLINE_BYTES / 4;
/** Words of a record that names a block. */
export const BLOCK_RECORD = 3;

/** How many words the parcel takes. */
export function recordOf(parcel: Parcel): number {
  return parcel.handle === 0 ? 1 + ((parcel.length + 3) >>> 2) : BLOCK_RECORD;
}

/** How many words the record at `at` has. */
export function recordAt(words: Int32Array, at: number): number {
  const head = words[at];
  return head < 0 ? BLOCK_RECORD : 1 + (((head & LENGTH) + 3) >>> 2);
}

/** The block of the record at `at`; 0: it has none. */
export function blockAt(words: Int32Array, at: number): number {
  return words[at] < 0 ? words[at + 1] >>> 0 : 0;
}

/** Is the item at `at` bytes as they are? */
export function isRawAt(words: Int32Array, at: number): boolean {
  return (words[at] & RAW) !== 0;
}

/** Does the item at `at` hold the end of a pipe open (tickets.ts)? */
export function carriesAt(words: Int32Array, at: number): boolean {
  return words[at] < 0 && (words[at] & LEAD) !== 0;
}

/** How many bytes the item at `at` has. */
export function lengthAt(words: Int32Array, at: number): number {
  return words[at] < 0 ? words[at + 2] >>> 0 : words[at] & LENGTH;
}

export function writeRecord(words: Int32Array, at: number, parcel: Parcel): void {
  const { length } = parcel;
  const raw = parcel.raw ? RAW : 0;
  if (parcel.handle !== 0) {
    words[at] = parcel.lead === 0 ? BLOCK | raw : BLOCK | raw | LEAD;
    words[at + 1] = parcel.handle;
    words[at + 2] = length;
    return;
  }
  words[at] = length | raw;
  copyWords(parcel.words, 0, words, at + 1, (length + 3) >>> 2);
}

export function readRecord(words: Int32Array, at: number, parcel: Parcel): void {
  const head = words[at];
  parcel.raw = (head & RAW) !== 0;
  if (head < 0) {
    parcel.handle = words[at + 1] >>> 0;
    parcel.length = words[at + 2] >>> 0;
    parcel.lead = (head & LEAD) === 0 ? 0 : MESSAGE_HEAD;
    return;
  }
  parcel.handle = 0;
  parcel.lead = 0;
  parcel.length = head & LENGTH;
  copyWords(words, at + 1, parcel.words, 0, (parcel.length + 3) >>> 2);
}

export function copyWords(
  from: Int32Array,
  start: number,
  to: Int32Array,
  target: number,
  count: number,
): void {
  if (count > LOOP_WORDS) to.set(from.subarray(start, start + count), target);
  else for (let i = 0; i < count; i++) to[target + i] = from[start + i];
}
