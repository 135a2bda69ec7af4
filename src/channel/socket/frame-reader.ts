import { constants } from 'node:buffer';

/*
 * Frames as CPython's multiprocessing.connection has them: a length of 4 bytes, signed, the highest first, then so many bytes. When
 * there are more than 0x7fffffff, the length is −1 and a length of 8 bytes, unsigned, follows.
 */
const SHORT_HEAD = 4;
const LONG_HEAD = 12;
export const LONGEST_HEAD: number = LONG_HEAD;
const LONGEST_SHORT = 0x7fffffff;

/** The memory that a frame has at first; it grows as the bytes come, whatever length was announced. */
const FIRST_BYTES = 256 * 1024;

/** Writes the head of a frame of that length to the start of `target`; how many bytes that takes. */
export function writeFrameHead(target: Uint8Array, length: number): number {
  if (length > LONGEST_SHORT) {
    writeInt(target, 0, -1);
    writeInt(target, 4, Math.floor(length / 2 ** 32));
    writeInt(target, 8, length);
    return LONG_HEAD;
  }
  writeInt(target, 0, length);
  return SHORT_HEAD;
}

function writeInt(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function readInt(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** What is wrong with the bytes that came. */
type Fault = string;

/**
 * Puts frames together from the bytes of a stream as they come. Whoever takes frames may stop in the midst of the bytes, or have
 * more read from within, so where it is stands here and not in anybody's loop.
 */
export class FrameReader {
  /** The bytes being read, and which of them are still to be. */
  #input: Uint8Array = NOTHING;
  #at = 0;
  #end = 0;
  /** A head, as long as not all of it has come. */
  readonly #head = new Uint8Array(LONG_HEAD);
  #headLength = 0;
  /** A frame, as long as not all of it has come. */
  #frame: Uint8Array | undefined;
  #frameLength = 0;
  #received = 0;

  /** Has a frame begun that has not ended? */
  get isWithin(): boolean {
    return this.#headLength > 0 || this.#frame !== undefined || this.#at < this.#end;
  }

  /** Are there bytes that have come and have not been read? */
  get hasMore(): boolean {
    return this.#at < this.#end;
  }

  /** Reads `bytes` up to `end` next. They must stay as they are until they are read, or kept by keep(). */
  take(bytes: Uint8Array, end: number): void {
    this.#input = bytes;
    this.#at = 0;
    this.#end = end;
  }

  /** The bytes given last are about to change: keeps what has not been read. */
  keep(bytes: Uint8Array): void {
    if (this.#input !== bytes) return;
    if (this.#at < this.#end) this.take(bytes.slice(this.#at, this.#end), this.#end - this.#at);
    else this.take(NOTHING, 0);
  }

  /** Where bytes of a long frame can go without being copied; undefined: it is not in the midst of one. */
  get target(): Uint8Array | undefined {
    if (this.#frame === undefined) return undefined;
    if (this.#received === this.#frame.length) this.#grow();
    return this.#frame;
  }

  /** Where in `target`. */
  get received(): number {
    return this.#received;
  }

  /** So many bytes have been written to `target`. True: the frame is whole, and taken by takeLong(). */
  has(count: number): boolean {
    this.#received += count;
    return this.#received === this.#frameLength;
  }

  /** The long frame that is whole. */
  takeLong(): Uint8Array {
    const frame = this.#frame as Uint8Array;
    this.#frame = undefined;
    return frame;
  }

  /**
   * The next frame of at most `most` bytes; undefined: it has not all come. If it is a part of what was given to take(), it is good
   * as long as that is; `isOwn` says otherwise. A fault is for good.
   */
  next(most: number): Uint8Array | Fault | undefined {
    if (this.#frame !== undefined) return this.#more();
    const end = this.#end;
    let length = -1;
    if (this.#headLength === 0 && end - this.#at >= SHORT_HEAD) length = readInt(this.#input, this.#at);
    if (length >= 0) {
      this.#at += SHORT_HEAD;
    } else {
      if (!this.#headIsThere()) return undefined;
      length = this.#lengthInHead();
    }
    const at = this.#at;
    if (!(length >= 0 && length <= most) || length > constants.MAX_LENGTH) return faultOf(length, most);
    if (end - at >= length) {
      this.#at = at + length;
      this.isOwn = false;
      return this.#input.subarray(at, at + length);
    }
    this.#begin(length);
    return undefined;
  }

  /** Is the frame that next() has given nobody else's? */
  isOwn = false;

  clear(): void {
    this.take(NOTHING, 0);
    this.#headLength = 0;
    this.#frame = undefined;
  }

  /** Moves what there is of a head into it. */
  #headIsThere(): boolean {
    for (;;) {
      const isLong = this.#headLength >= SHORT_HEAD && readInt(this.#head, 0) === -1;
      if (this.#headLength === (isLong ? LONG_HEAD : SHORT_HEAD)) return true;
      if (this.#at === this.#end) return false;
      this.#head[this.#headLength++] = this.#input[this.#at++];
    }
  }

  #lengthInHead(): number {
    const head = this.#head;
    const isLong = this.#headLength === LONG_HEAD;
    this.#headLength = 0;
    if (!isLong) return readInt(head, 0);
    return (readInt(head, 4) >>> 0) * 2 ** 32 + (readInt(head, 8) >>> 0);
  }

  #begin(length: number): void {
    this.#frame = new Uint8Array(Math.min(length, FIRST_BYTES));
    this.#frameLength = length;
    this.#received = 0;
    this.#more(); // it cannot be whole yet
  }

  /** Moves what there is of a long frame into it. */
  #more(): Uint8Array | undefined {
    while (this.#at < this.#end) {
      const target = this.target as Uint8Array;
      const count = Math.min(this.#end - this.#at, target.length - this.#received);
      target.set(this.#input.subarray(this.#at, this.#at + count), this.#received);
      this.#at += count;
      if (!this.has(count)) continue;
      this.isOwn = true;
      return this.takeLong();
    }
    return undefined;
  }

  #grow(): void {
    const frame = this.#frame as Uint8Array;
    const larger = new Uint8Array(Math.min(this.#frameLength, frame.length * 2));
    larger.set(frame);
    this.#frame = larger;
  }
}

const NOTHING = new Uint8Array(0);

function faultOf(length: number, most: number): Fault {
  if (length < 0) return `what came is no frame: its length would be ${length}`;
  return `a frame of ${length} bytes was announced, and ${Math.min(most, constants.MAX_LENGTH)} are allowed`;
}
