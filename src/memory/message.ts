import { allocate, offsetOf } from './allocator.js';
import { view } from './commons.js';
import { self } from './participants.js';

/*
 * Bytes kept in a block of the commons. Its handle is all that a peer needs to read them.
 *
 *   word 0    how many they are
 *   word 1    tag of the thread that wrote them
 *   the bytes
 */
const HEAD = 8;

/** Copies `message` into a new block that belongs to `owner`. @throws {OutOfMemoryError} */
export function storeMessage(message: Uint8Array, owner: number): number {
  const length = message.byteLength;
  const handle = allocate(length + HEAD, { owner, zero: false });
  const target = view(offsetOf(handle), length + HEAD);
  const head = headOf(target);
  head.setUint32(0, length, true);
  head.setUint32(4, self(), true);
  target.set(message, HEAD);
  return handle;
}

/** The bytes in the commons themselves: good until the block is freed. */
export function messageAt(handle: number): Uint8Array {
  const offset = offsetOf(handle);
  return view(offset + HEAD, headOf(view(offset, HEAD)).getUint32(0, true));
}

/** Tag of the thread that wrote the message. */
export function authorOf(handle: number): number {
  return headOf(view(offsetOf(handle), HEAD)).getUint32(4, true);
}

function headOf(block: Uint8Array): DataView {
  return new DataView(block.buffer, block.byteOffset, HEAD);
}
