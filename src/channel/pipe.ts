import type { Connection } from './connection.js';
import { PipeEnd } from './pipe-end.js';
import { Wire } from './wire.js';

/**
 * Two connected ends. `duplex: false`: the first only receives, the second only sends. Default: both do both.
 * @throws {OutOfMemoryError} The commons is full.
 */
export function Pipe<T = any>(options: { duplex?: boolean } = {}): [Connection<T>, Connection<T>] {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(
      `Cannot make a pipe with ${String(options)} as options: give an object, as { duplex }`,
    );
  const wire = Wire.make(options.duplex ?? true);
  return [PipeEnd.of<T>(wire, 0), PipeEnd.of<T>(wire, 1)];
}
