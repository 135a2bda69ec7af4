import { allocate, offsetOf } from './allocator.js';
import { view, words } from './commons.js';
import { LOW_BYTES } from './layout.js';
import { self } from './participants.js';

/*
 * Bytes kept in a block of the commons. Its handle is all that a peer needs to read them.
 *
 *   word 0    how many they are
 *   word 1    tag of the thread that wrote them
 *   word 2    its serial number, if anyone needs to know whether it is still the same message (see carries()); else 0
 *   word 3    not used
 *   the bytes
 */
export const MESSAGE_HEAD = 16;
const SERIAL = 2;

/** Copies `message` into a new block that belongs to `owner`; `serial`: 1 to 2³¹ − 1. @throws {OutOfMemoryError} */
export function storeMessage(message: Uint8Array, owner: number, serial = 0): number {
  const length = message.byteLength;
  const handle = allocate(length + MESSAGE_HEAD, { owner, zero: false });
  const target = view(offsetOf(handle), length + MESSAGE_HEAD);
  writeHead(target, length, serial);
  target.set(message, MESSAGE_HEAD);
  return handle;
}

/** A new block of this thread's for a message of up to so many bytes, none of them written yet: see finishMessage(). @throws {OutOfMemoryError} */
export function beginMessage(bytes: number): number {
  const handle = allocate(bytes + MESSAGE_HEAD, { zero: false });
  writeHead(view(offsetOf(handle), MESSAGE_HEAD), bytes, 0);
  return handle;
}

/** The bytes of a message that was begun have been written to messageAt(); this is how many. */
export function finishMessage(handle: number, length: number, serial = 0): void {
  writeHead(view(offsetOf(handle), MESSAGE_HEAD), length, serial);
}

/** For who writes the bytes without storeMessage(): what `block` begins with. */
export function writeHead(block: Uint8Array, length: number, serial: number): void {
  const head = headOf(block);
  head.setUint32(0, length, true);
  head.setUint32(4, self(), true);
  head.setInt32(SERIAL * 4, serial, true);
  head.setUint32(12, 0, true);
}

/** The bytes in the commons themselves: good until the block is freed. */
export function messageAt(handle: number): Uint8Array {
  const offset = offsetOf(handle);
  return view(offset + MESSAGE_HEAD, headOf(view(offset, MESSAGE_HEAD)).getUint32(0, true));
}

/** Does the block `handle`, which may be any by now, or none, begin like the message with this serial number? */
export function carries(handle: number, serial: number): boolean {
  const offset = offsetOf(handle);
  if (offset < LOW_BYTES) return words[offset / 4 + SERIAL] === serial;
  return headOf(view(offset, MESSAGE_HEAD)).getInt32(SERIAL * 4, true) === serial;
}

/** The serial number of the message; 0: it has none. */
export function serialOf(handle: number): number {
  return headOf(view(offsetOf(handle), MESSAGE_HEAD)).getInt32(SERIAL * 4, true);
}

/** Tag of the thread that wrote the message. */
export function authorOf(handle: number): number {
  return headOf(view(offsetOf(handle), MESSAGE_HEAD)).getUint32(4, true);
}

function headOf(block: Uint8Array): DataView {
  return new DataView(block.buffer, block.byteOffset, MESSAGE_HEAD);
}
