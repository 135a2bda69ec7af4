import type { Segment } from './entry-heap.js';

/* Keys of shared maps: how they are told apart, and how they lie in entries. */

export type AnyKey = string | number;

/** What an entry says of its key, besides its length in bytes; shifted by KIND_BIT. */
export const KIND = { NONE: 0, NUMBER: 1, LATIN1: 2, UTF16: 3 } as const;
const KIND_BIT = 18;
const LENGTH_MASK = (1 << KIND_BIT) - 1;
const KEY_MASK = (1 << (KIND_BIT + 2)) - 1;

/** Bytes of the longest key. */
export const LONGEST_KEY = 65_536;

/** Methods that Node gives every Buffer; they work on any Uint8Array. */
interface NativeStrings {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  ucs2Slice(this: Uint8Array, start: number, end: number): string;
}
const { latin1Slice, ucs2Slice } = Buffer.prototype as unknown as NativeStrings;

const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);
const eight = new Uint8Array(double.buffer);

/** @throws {TypeError | RangeError} It can be no key. */
export function checkKey(key: unknown): asserts key is AnyKey {
  if (typeof key === 'number') return;
  if (typeof key !== 'string') {
    const what = key === null ? 'null' : typeof key;
    throw new TypeError(`Cannot use ${what} as a key of a SharedMap: give a string or a number`);
  }
  if (key.length <= LONGEST_KEY / 2) return;
  const bytes = isLatin1(key) ? key.length : 2 * key.length;
  if (bytes > LONGEST_KEY)
    throw new RangeError(
      `Cannot use a key of ${bytes} bytes: give one of up to ${LONGEST_KEY}, or keep it in the value`,
    );
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

/**
 * A key that is being looked for. Its hash is HalfSipHash-1-3 (J.-P. Aumasson, D. J. Bernstein) over pairs of UTF-16 units, or
 * the bits of the number, by a secret of the map's own: so nobody can choose keys that all collide.
 */
export class Key {
  /** 32 bits. */
  hash = 0;
  /** What entries with this key begin with, as far as their keys go. */
  head = 0;
  /** Bytes that it takes. */
  bytes = 0;
  #text = '';
  #number = 0;

  set(key: AnyKey, seedLow: number, seedHigh: number): this {
    if (typeof key === 'number') {
      // -0 is 0, and every NaN is the same.
      this.#number = key === 0 ? 0 : key;
      this.bytes = 8;
      this.head = 8 | (KIND.NUMBER << KIND_BIT);
      this.#hashNumber(seedLow, seedHigh);
      return this;
    }
    this.#text = key;
    const isWide = this.#hashText(key, seedLow, seedHigh);
    this.bytes = isWide ? 2 * key.length : key.length;
    this.head = this.bytes | ((isWide ? KIND.UTF16 : KIND.LATIN1) << KIND_BIT);
    return this;
  }

  #hashNumber(seedLow: number, seedHigh: number): void {
    double[0] = this.#number;
    this.#mix(2, seedLow, seedHigh, '', -1);
  }

  #hashText(text: string, seedLow: number, seedHigh: number): boolean {
    return this.#mix((text.length + 1) >>> 1, seedLow, seedHigh, text, text.length) > 0xff;
  }

  /** Over so many words, then one that says what it was, then three rounds of none. All units that there were, or-ed. */
  #mix(count: number, seedLow: number, seedHigh: number, text: string, length: number): number {
    let v0 = seedLow;
    let v1 = seedHigh;
    let v2 = seedLow ^ 0x6c796765;
    let v3 = seedHigh ^ 0x74656462;
    let units = 0;
    for (let i = 0; i < count + 4; i++) {
      let word = 0;
      if (i < count) {
        if (length < 0) word = halves[i];
        else {
          const low = text.charCodeAt(2 * i);
          const high = 2 * i + 1 < length ? text.charCodeAt(2 * i + 1) : 0;
          units |= low | high;
          word = low | (high << 16);
        }
      } else if (i === count) word = length;
      else if (i === count + 1) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    this.hash = v1 ^ v3;
    return units;
  }

  /** Is it the key of the entry whose first word this is, and whose key begins at the word `at`? */
  matches({ words, bytes }: Segment, head: number, at: number): boolean {
    if ((words[head] & KEY_MASK) !== this.head) return false;
    const kind = this.head >>> KIND_BIT;
    if (kind === KIND.NUMBER) {
      double[0] = this.#number;
      return words[at] === halves[0] && words[at + 1] === halves[1];
    }
    const text = this.#text;
    const { length } = text;
    const start = at * 4;
    if (kind === KIND.LATIN1) {
      for (let i = 0; i < length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
      return true;
    }
    for (let i = 0; i < length; i++)
      if ((bytes[start + 2 * i] | (bytes[start + 2 * i + 1] << 8)) !== text.charCodeAt(i)) return false;
    return true;
  }

  /** Writes it from the word `at` on. */
  write({ words, bytes }: Segment, at: number): void {
    const kind = this.head >>> KIND_BIT;
    if (kind === KIND.NUMBER) {
      double[0] = this.#number;
      words[at] = halves[0];
      words[at + 1] = halves[1];
      return;
    }
    const text = this.#text;
    const { length } = text;
    const start = at * 4;
    if (kind === KIND.LATIN1) for (let i = 0; i < length; i++) bytes[start + i] = text.charCodeAt(i);
    else
      for (let i = 0; i < length; i++) {
        const unit = text.charCodeAt(i);
        bytes[start + 2 * i] = unit & 0xff;
        bytes[start + 2 * i + 1] = unit >>> 8;
      }
  }
}

/** Bytes of the key in an entry that begins with `head`. */
export function keyBytes(head: number): number {
  return head & LENGTH_MASK;
}

/** The key in an entry that begins with `head`; it lies from the word `at` on. If it is being overwritten, any. */
export function keyAt({ bytes }: Segment, head: number, at: number): AnyKey {
  const start = at * 4;
  const end = start + keyBytes(head);
  const kind = (head & KEY_MASK) >>> KIND_BIT;
  if (kind === KIND.NUMBER) {
    for (let i = 0; i < 8; i++) eight[i] = bytes[start + i];
    return double[0];
  }
  return kind === KIND.LATIN1 ? latin1Slice.call(bytes, start, end) : ucs2Slice.call(bytes, start, end);
}
