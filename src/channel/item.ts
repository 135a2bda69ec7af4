import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { type EncodeOptions, encodeInto, takeEncoded } from '../codec/encode.js';
import { OutOfMemoryError, SerializationError } from '../errors/errors.js';
import { MESSAGE_HEAD } from '../memory/message.js';
import { INLINE_BYTES, type Parcel } from './parcel.js';
import { type Space, tryAllocate } from './space.js';
import { beginCollecting, endCollecting, type Tickets } from './tickets.js';

/*
 * Between values and parcels. A long value is encoded straight into a block of about the size that it will need, if that can be
 * guessed: from its own bytes, or from the item before.
 */
const ITEM: EncodeOptions = { root: 'item' };
/** In a channel that other programs have too. */
export const ITEM_ABROAD: EncodeOptions = { root: 'item', abroad: true };
/** What an array of bytes takes when encoded, besides the bytes. */
const OVERHEAD = 64;

/**
 * Encodes a value into `parcel`. `guess`: how many bytes it may take. What finds no memory for its block waits in the parcel for
 * one.
 * @throws {SerializationError} Something in it cannot cross.
 */
export function pack(value: unknown, parcel: Parcel, space: Space, guess: number, how = ITEM): void {
  const before = beginCollecting();
  let tickets: Tickets | null = null;
  try {
    packValue(value, parcel, space, guess, how);
  } catch (error) {
    endCollecting(before)?.release();
    throw error;
  }
  tickets = endCollecting(before);
  if (tickets !== null) carry(parcel, space, tickets);
}

/**
 * The item holds ends of pipes open from now on: as long as its block is there, which says so (tickets.ts). So it has one, however
 * short it is.
 */
function carry(parcel: Parcel, space: Space, tickets: Tickets): void {
  const bytes = parcel.waiting ?? parcel.content(space).slice();
  if (parcel.handle !== 0) space.free(parcel.handle);
  parcel.handle = 0;
  parcel.waiting = bytes;
  parcel.lead = MESSAGE_HEAD;
  parcel.tickets = tickets;
  try {
    parcel.settle(space);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
  }
}

function packValue(value: unknown, parcel: Parcel, space: Space, guess: number, how: EncodeOptions): void {
  const wanted = ArrayBuffer.isView(value) ? value.byteLength + OVERHEAD : guess;
  if (wanted > INLINE_BYTES && packInBlock(value, parcel, space, wanted, how)) return;
  const length = encodeInto(value, parcel.bytes, 0, how);
  if (length > 0) parcel.length = length;
  else packBytes(takeEncoded(), parcel, space);
}

/** False: it did not fit, or would leave much of the block unused, or there is no block. */
function packInBlock(
  value: unknown,
  parcel: Parcel,
  space: Space,
  wanted: number,
  how: EncodeOptions,
): boolean {
  const handle = tryAllocate(space, wanted);
  if (handle === 0) return false;
  let length = 0;
  try {
    const { bytes } = space.at(handle, space.sizeOf(handle));
    length = encodeInto(value, bytes, 0, how);
    if (length <= INLINE_BYTES || length < wanted / 2) {
      if (length > 0) packBytes(bytes.subarray(0, length), parcel, space);
      else packBytes(takeEncoded(), parcel, space);
      length = 0;
      return true;
    }
  } finally {
    if (length === 0) space.free(handle);
  }
  parcel.handle = handle;
  parcel.length = length;
  return true;
}

/** Puts bytes into `parcel`: in line or into a block, or, as long as there is no memory for that, a copy. */
export function packBytes(bytes: Uint8Array, parcel: Parcel, space: Space): void {
  parcel.length = bytes.length;
  if (bytes.length <= INLINE_BYTES) {
    parcel.bytes.set(bytes);
    return;
  }
  parcel.handle = tryAllocate(space, bytes.length);
  if (parcel.handle === 0)
    parcel.waiting = new Uint8Array(bytes); // of a Buffer, slice() is no copy
  else space.at(parcel.handle, bytes.length).bytes.set(bytes);
}

/** The value in `parcel`. @throws {SerializationError} It cannot be decoded here. */
export function unpack(parcel: Parcel, space: Space): unknown {
  if (parcel.lead !== 0) return unpackCarrier(parcel, space);
  if (parcel.raw) return unpackBytes(parcel, space);
  if (parcel.handle === 0) return decode(parcel.bytes, 0, parcel.length);
  return decode(parcel.content(space));
}

function unpackCarrier(parcel: Parcel, space: Space): unknown {
  const value = decode(parcel.content(space));
  parcel.isOpened = true;
  return value;
}

/** The bytes in `parcel`, the caller's own. */
export function unpackBytes(parcel: Parcel, space: Space): Uint8Array {
  return new Uint8Array(parcel.content(space));
}

/** Does the value refer to modules that must be waited for? Then unpackAsync() is the way. */
export function mustWait(parcel: Parcel, space: Space): boolean {
  if (parcel.raw) return false;
  try {
    return needsModules(parcel.content(space));
  } catch {
    return false; // a module threw as it was loaded: unpack() will say so
  }
}

/** @throws {SerializationError} It cannot be decoded here, or a module that it refers to cannot be loaded. */
export async function unpackAsync(parcel: Parcel, space: Space): Promise<{ value: unknown }> {
  try {
    const result = await decodeAsync(parcel.content(space));
    parcel.isOpened = true;
    return result;
  } catch (error) {
    if (error instanceof SerializationError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new SerializationError(
      `Cannot read the item as "${said}" was thrown while a module that it refers to was loaded: see the cause`,
      { path: 'item', cause: error },
    );
  }
}
