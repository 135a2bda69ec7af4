import assert from 'node:assert/strict';
import { INLINE_BYTES, type Parcel } from '../parcel.js';
import type { Space } from '../space.js';

/** What a test puts into a store. Its bytes follow from its number. */
export interface Item {
  readonly number: number;
  /** Bytes, four or more. */
  readonly length: number;
  readonly rank: number;
  readonly raw: boolean;
}

/** Items of all kinds: short, long, with equal and with different ranks. */
export function item(number: number): Item {
  const length = number % 3 === 2 ? INLINE_BYTES + 1 + ((number * 997) % 20_000) : 4 + ((number * 37) % 300);
  return { number, length, rank: [0, -1.5, 0, 7, 0, 1e300, -0][number % 7], raw: number % 2 === 1 };
}

/** Encodes it, so to speak: its block, if it is too long to lie in line, is this thread's. */
export function pack({ number, length, rank, raw }: Item, parcel: Parcel, space: Space): void {
  parcel.length = length;
  parcel.rank = rank;
  parcel.raw = raw;
  parcel.handle = length > INLINE_BYTES ? space.allocate(length) : 0;
  const bytes = parcel.handle === 0 ? parcel.bytes : space.at(parcel.handle, length).bytes;
  bytes.set(bytesOf(number, length));
}

/** The number of the item in a parcel, of which nothing else may be there. */
export function numberIn(parcel: Parcel, space: Space): number {
  const content = parcel.content(space);
  assert.ok(content.length >= 4, 'no item is so short');
  const number = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
  const { length, raw } = item(number);
  assert.equal(content.length, length, `length of item ${number}`);
  assert.equal(Buffer.compare(content, bytesOf(number, length)), 0, `bytes of item ${number}`);
  assert.equal(parcel.raw, raw, `mark of item ${number}`);
  return number;
}

function bytesOf(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 4; i < length; i++) bytes[i] = number * 31 + i * 7;
  new DataView(bytes.buffer).setUint32(0, number, true);
  return bytes;
}
