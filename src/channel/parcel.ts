import { writeHead } from '../memory/message.js';
import { haveAllLook } from '../wait/deaths.js';
import type { Space } from './space.js';
import type { Tickets } from './tickets.js';

/** Items up to so many bytes lie in line with others; longer ones have a block each. */
export const INLINE_BYTES = 2048;

/**
 * An item on its way: one that is encoded and not yet in the channel, or out of it and not yet decoded. One object serves many
 * items: see borrow().
 */
export class Parcel {
  /** Its bytes from 0 on, if it has no block. */
  readonly bytes: Uint8Array = new Uint8Array(INLINE_BYTES);
  readonly words: Int32Array = new Int32Array(this.bytes.buffer);
  length = 0;
  /** The block that has its bytes, which is this thread's; 0: none. */
  handle = 0;
  /** Its bytes, while there is no memory for the block that they are to have. */
  waiting: Uint8Array | undefined = undefined;
  /** Is it bytes as they are, rather than an encoded value? */
  raw = false;
  /** What holds open which ends of pipes while the item is on its way, as long as it is this thread's that made it. */
  tickets: Tickets | undefined = undefined;
  /** Bytes before the item's in its block: MESSAGE_HEAD if it holds the end of a pipe open, else 0. */
  lead = 0;
  /** It has been decoded, so that what it held open is held by others now. */
  isOpened = false;
  /** The lower, the sooner it comes out, where that matters. */
  rank = 0;

  /** The item's bytes, good until the parcel is given back. */
  content(space: Space): Uint8Array {
    if (this.handle === 0) return this.bytes.subarray(0, this.length);
    if (this.lead === 0) return space.at(this.handle, this.length).bytes;
    return space.at(this.handle, this.lead + this.length).bytes.subarray(this.lead);
  }

  /** What is too long to lie in line gets its block, if it has none yet. @throws {OutOfMemoryError} */
  settle(space: Space): void {
    if (this.waiting === undefined) return;
    this.handle = space.allocate(this.lead + this.length);
    const { bytes } = space.at(this.handle, this.lead + this.length);
    bytes.set(this.waiting, this.lead);
    this.waiting = undefined;
    if (this.tickets === undefined) return;
    writeHead(bytes, this.length, this.tickets.serial);
    this.tickets.bind(this.handle);
  }
}

const idle: Parcel[] = [];

/** A parcel for one item. What is encoded or decoded may use channels itself, so one for all would not do. */
export function borrow(): Parcel {
  return idle.pop() ?? new Parcel();
}

/** Empties the parcel: what is in it is not wanted any more. */
export function release(parcel: Parcel, space: Space): void {
  if (parcel.lead !== 0) letGo(parcel, space);
  if (parcel.handle !== 0) space.free(parcel.handle);
  parcel.handle = 0;
  parcel.waiting = undefined;
  parcel.raw = false;
}

/** What is on its way in it arrives no more, unless it has. */
function letGo(parcel: Parcel, space: Space): void {
  const isHere = parcel.handle !== 0 || parcel.waiting !== undefined;
  const isLost = isHere && parcel.tickets === undefined && !parcel.isOpened;
  if (isHere) parcel.tickets?.release();
  if (parcel.handle !== 0) space.free(parcel.handle);
  if (isLost) haveAllLook();
  handedOn(parcel);
}

/** What was in the parcel is somewhere else now. */
export function handedOn(parcel: Parcel): void {
  parcel.handle = 0;
  parcel.tickets = undefined;
  parcel.lead = 0;
  parcel.isOpened = false;
}

export function giveBack(parcel: Parcel, space: Space): void {
  release(parcel, space);
  idle.push(parcel);
}
