import type { Connection } from './connection.js';
import { PipeEnd } from './pipe-end.js';
import { Wire } from './wire.js';

/**
 * Two connected ends, for any threads and processes. What is sent at one is received at the other, in order; when
 * {@link Connection.send | send()} resolves, the message is in shared memory and outlives its sender.
 *
 * `duplex: false`: the first only receives, the second only sends. Default: both do both.
 *
 * Each thread that made or received an end has it until it closes it, drops it, or ends. When nobody has one end any more, the
 * other gets what is left, and then EndOfFileError. So close the end that you have passed on.
 *
 * Python: `multiprocessing.Pipe`. See [Pipes](../../docs/pipes.md).
 * @throws {OutOfMemoryError} The commons is full.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Pipe, Process } from 'manyhands';
 *
 * const [ours, theirs] = Pipe<string>();
 * const answer = async () => {
 *   for await (const word of theirs) await theirs.send(word.toUpperCase());
 * };
 * const child = new Process({ target: answer }).start();
 * theirs.close(); // the child has its own
 *
 * await ours.send('hello');
 * assert.equal(await ours.recv(), 'HELLO');
 * ours.close(); // ends the child's loop
 * await child.join();
 * ```
 */
export function Pipe<T = any>(options: { duplex?: boolean } = {}): [Connection<T>, Connection<T>] {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(
      `Cannot make a pipe with ${String(options)} as options: give an object, as { duplex }`,
    );
  const wire = Wire.make(options.duplex ?? true);
  return [PipeEnd.of<T>(wire, 0), PipeEnd.of<T>(wire, 1)];
}
