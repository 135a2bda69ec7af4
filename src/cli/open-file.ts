import { closeSync, constants, open, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { UsageError } from './usage-error.js';

const openAsync = promisify(open);

/**
 * Opens a file the user named, waiting for the other side if it is a FIFO.
 * @throws {UsageError} `Cannot ‹purpose› FILE: ‹why›`.
 */
export async function openFile(file: string, flags: string | number, purpose: string): Promise<number> {
  // The wait for a FIFO's other side is spent in a thread that process.exit() joins: to be that other side ends it.
  const release = (): void => {
    try {
      closeSync(openSync(file, constants.O_RDWR | constants.O_NONBLOCK));
    } catch {
      // No FIFO, or nobody waits: nothing to release.
    }
  };
  process.once('exit', release);
  try {
    return await openAsync(file, flags);
  } catch (error) {
    throw new UsageError(`Cannot ${purpose} ${file}: ${(error as Error).message}`);
  } finally {
    process.removeListener('exit', release);
  }
}
