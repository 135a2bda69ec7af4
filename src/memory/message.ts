import { allocate, offsetOf } from './allocator.js';
import { view } from './commons.js';

/*
 * Bytes kept in a block of the commons: a word with their number, then the bytes. Its handle is all that a peer
 * needs to read them.
 */

/** Copies `message` into a new block that belongs to `owner`. @throws {OutOfMemoryError} */
export function storeMessage(message: Uint8Array, owner: number): number {
  const length = message.byteLength;
  const handle = allocate(length + 4, { owner, zero: false });
  const target = view(offsetOf(handle), length + 4);
  new DataView(target.buffer, target.byteOffset).setUint32(0, length, true);
  target.set(message, 4);
  return handle;
}

/** The bytes in the commons themselves: good until the block is freed. */
export function messageAt(handle: number): Uint8Array {
  const offset = offsetOf(handle);
  const head = view(offset, 4);
  return view(offset + 4, new DataView(head.buffer, head.byteOffset).getUint32(0, true));
}
