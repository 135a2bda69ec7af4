import { types } from 'node:util';
import { SerializationError } from '../errors/errors.js';

/** @throws {TypeError} It is no array of ArrayBuffers. @throws {SerializationError} One is there twice, or was given away before. */
export function checkTransfer(transfer: unknown): asserts transfer is readonly ArrayBuffer[] {
  if (!Array.isArray(transfer))
    throw new TypeError(
      'Cannot transfer that: give an array of ArrayBuffers (of a typed array: its "buffer")',
    );
  transfer.forEach((buffer: unknown, index) => {
    const path = `transfer[${index}]`;
    if (types.isSharedArrayBuffer(buffer))
      throw new TypeError(
        `Cannot transfer ${path} as it is a SharedArrayBuffer, which others have too: leave it out`,
      );
    if (!types.isArrayBuffer(buffer))
      throw new TypeError(
        `Cannot transfer ${path} as it is no ArrayBuffer: give one (of a typed array: its "buffer")`,
      );
    if (transfer.indexOf(buffer) < index)
      throw new SerializationError(`Cannot transfer ${path} as it is there twice: give it once`, { path });
    if (isDetached(buffer))
      throw new SerializationError(
        `Cannot transfer ${path} as it was given away before, and is empty: make another`,
        { path },
      );
  });
}

/**
 * Takes buffers that checkTransfer() has seen from who gave them, once they have been copied.
 * @throws {SerializationError} They cannot be taken, and are as they were. Where that is so of some of them only, Node may take the others
 *   and leave those, which does no harm.
 */
export function detach(buffers: readonly ArrayBuffer[]): void {
  if (buffers.length === 0) return;
  const full = buffers.filter(buffer => buffer.byteLength > 0);
  let cause: unknown;
  try {
    structuredClone(undefined, { transfer: buffers as ArrayBuffer[] });
    if (full.length === 0 || full.some(buffer => buffer.byteLength === 0)) return;
  } catch (error) {
    cause = error;
  }
  throw new SerializationError(
    'Cannot transfer these buffers as the memory of WebAssembly, of shared arrays and of what Buffer.from() makes stays where it is: leave it out',
    cause === undefined ? { path: 'transfer' } : { path: 'transfer', cause },
  );
}

function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}
