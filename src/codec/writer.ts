import { Failure } from './path.js';
import { TAG } from './tags.js';

const { shortString, int8, int16, int32, float64, latin1, utf16 } = TAG;

const FIRST_SCRATCH = 64 * 1024;
/** A scratch buffer above this is given back after the message. */
const LARGEST_KEPT = 4 * 1024 * 1024;
/** Bytes of a message at most: whoever keeps it may put up to 64 bytes before it and count all in 32 bits. */
const LONGEST = 2 ** 32 - 65;
/** Bytes that varint() asks for, and takes at most. */
export const LONGEST_VARINT = 8;
/** Below this, a loop over the characters is faster than a call into native code. */
const SHORT = 48;

/** Methods that Node gives every Buffer; they work on any Uint8Array. */
interface NativeStrings {
  latin1Write(this: Uint8Array, text: string, offset: number, length: number): number;
  ucs2Write(this: Uint8Array, text: string, offset: number, length: number): number;
  latin1Slice(this: Uint8Array, start: number, end: number): string;
}
const { latin1Write, ucs2Write, latin1Slice } = Buffer.prototype as unknown as NativeStrings;

const doubles = new Float64Array(1);
const integers = new BigInt64Array(doubles.buffer);
const eight = new Uint8Array(doubles.buffer);

/** Asked for memory that a message can be moved to: at least so many bytes, all of which are written to; undefined: there is none. */
export type Spill = (bytes: number) => Uint8Array | undefined;

/** Bytes on their way out: into memory that was given, or, when that is too small, into a buffer of its own. */
export class Writer {
  bytes: Uint8Array;
  /** Where the message begins. */
  start = 0;
  pos = 0;
  /** Asked for room once it is known how much is still to come. */
  spill: Spill | undefined;
  /** Is the message where `spill` said? */
  isSpilled = false;
  #limit: number;
  #scratch: Uint8Array;

  constructor() {
    this.#scratch = new Uint8Array(FIRST_SCRATCH);
    this.bytes = this.#scratch;
    this.#limit = FIRST_SCRATCH;
  }

  /** Begins a message in `target` at `offset`, or in a buffer of our own. */
  open(target?: Uint8Array, offset = 0): void {
    this.bytes = target ?? this.#scratch;
    this.start = this.pos = offset;
    this.#limit = this.bytes.length;
  }

  /** Lets go of the memory that was given. */
  close(): void {
    if (this.#scratch.length > LARGEST_KEPT) this.#scratch = new Uint8Array(FIRST_SCRATCH);
    this.bytes = this.#scratch;
    this.spill = undefined;
    this.isSpilled = false;
  }

  get length(): number {
    return this.pos - this.start;
  }

  /** Makes sure that `count` more bytes fit. */
  room(count: number): void {
    if (this.pos + count > this.#limit) this.#grow(count);
  }

  /** The same for all that is still to come. What is not to stay in the memory that was given goes on where `spill` says. */
  reserve(count: number): void {
    const fits = this.pos + count <= this.#limit;
    if (fits && this.bytes !== this.#scratch) return;
    this.#checkLength(count);
    const memory = this.spill?.(this.length + count);
    if (memory === undefined) {
      if (!fits) this.#grow(count);
      return;
    }
    memory.set(this.bytes.subarray(this.start, this.pos));
    this.pos = this.length;
    this.start = 0;
    this.bytes = memory;
    this.#limit = memory.length;
    this.isSpilled = true;
  }

  #checkLength(count: number): void {
    if (this.length + count > LONGEST)
      throw new Failure('it takes more than 4 GiB', 'send it in parts, or put it in shared memory');
  }

  #grow(count: number): void {
    this.#checkLength(count);
    const used = this.length;
    const old = this.bytes;
    if (old === this.#scratch || this.#scratch.length < used + count) {
      this.#scratch = new Uint8Array(Math.max(FIRST_SCRATCH, used * 2, used + count));
    }
    this.#scratch.set(old.subarray(this.start, this.pos));
    this.bytes = this.#scratch;
    this.start = 0;
    this.pos = used;
    this.#limit = this.bytes.length;
  }

  byte(value: number): void {
    this.room(1);
    this.bytes[this.pos++] = value;
  }

  /** A natural number, seven bits a byte. */
  varint(value: number): void {
    this.room(LONGEST_VARINT);
    let rest = value;
    while (rest > 127) {
      this.bytes[this.pos++] = (rest & 127) | 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.pos++] = rest;
  }

  number(value: number): void {
    this.room(9);
    const { bytes } = this;
    let pos = this.pos;
    // −0 passes the first test; only its reciprocal tells it from 0.
    if ((value | 0) === value && (value !== 0 || 1 / value > 0)) {
      if (value >= 0 && value < 128) {
        bytes[pos++] = value;
      } else if (value >= -128 && value < 128) {
        bytes[pos++] = int8;
        bytes[pos++] = value;
      } else if (value >= -32768 && value < 32768) {
        bytes[pos++] = int16;
        bytes[pos++] = value;
        bytes[pos++] = value >> 8;
      } else {
        bytes[pos++] = int32;
        bytes[pos++] = value;
        bytes[pos++] = value >> 8;
        bytes[pos++] = value >> 16;
        bytes[pos++] = value >> 24;
      }
    } else {
      doubles[0] = value;
      bytes[pos++] = float64;
      // Unrolled by hand: twice as fast.
      bytes[pos] = eight[0];
      bytes[pos + 1] = eight[1];
      bytes[pos + 2] = eight[2];
      bytes[pos + 3] = eight[3];
      bytes[pos + 4] = eight[4];
      bytes[pos + 5] = eight[5];
      bytes[pos + 6] = eight[6];
      bytes[pos + 7] = eight[7];
      pos += 8;
    }
    this.pos = pos;
  }

  /** Eight bytes, without a tag. */
  int64(value: bigint): void {
    this.room(8);
    integers[0] = value;
    for (let i = 0; i < 8; i++) this.bytes[this.pos++] = eight[i];
  }

  string(text: string): void {
    const { length } = text;
    if (length >= SHORT) {
      this.#longString(text);
      return;
    }
    this.room(length + 2);
    const { bytes } = this;
    let pos = this.pos;
    if (length < 32) {
      bytes[pos++] = shortString + length;
    } else {
      bytes[pos++] = latin1;
      bytes[pos++] = length;
    }
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 255) {
        this.#wide(text);
        return;
      }
      bytes[pos++] = code;
    }
    this.pos = pos;
  }

  #longString(text: string): void {
    const before = this.length;
    this.byte(latin1);
    this.varint(text.length);
    this.room(text.length);
    const { bytes, pos } = this;
    this.pos += latin1Write.call(bytes, text, pos, text.length);
    // Reading it back tells whether it has wider characters. A regular expression would be faster, but V8 ends the
    // process when it has to compile one near the end of the stack, where deeply nested values take us.
    if (latin1Slice.call(bytes, pos, this.pos) !== text) {
      this.pos = this.start + before;
      this.#wide(text);
    }
  }

  #wide(text: string): void {
    const { length } = text;
    this.byte(utf16);
    this.varint(length);
    this.room(length * 2);
    if (length >= SHORT) {
      this.pos += ucs2Write.call(this.bytes, text, this.pos, length * 2);
      return;
    }
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      this.bytes[this.pos++] = code;
      this.bytes[this.pos++] = code >> 8;
    }
  }

  /** Bytes as they are. */
  raw(source: Uint8Array): void {
    this.room(source.length);
    this.bytes.set(source, this.pos);
    this.pos += source.length;
  }

  /** How many bytes varint() makes of it. */
  static lengthOf(value: number): number {
    let length = 1;
    for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) length++;
    return length;
  }

  /** Puts `head` before what has been written. */
  prepend(head: Uint8Array): void {
    this.room(head.length);
    this.bytes.copyWithin(this.start + head.length, this.start, this.pos);
    this.bytes.set(head, this.start);
    this.pos += head.length;
  }
}
