import path from 'node:path';
import { Piscina } from 'piscina';

export async function openPool({ workers, inFlight }) {
  const pool = new Piscina({
    filename: path.join(import.meta.dirname, '../workers/tasks.mjs'),
    minThreads: workers,
    maxThreads: workers,
    // Its quickest with many tasks under way; with its default, atomics, that many for a worker come to a standstill.
    ...(inFlight > 1 ? { concurrentTasksPerWorker: Math.ceil(inFlight / workers), atomics: 'disabled' } : {}),
  });
  return {
    increment: x => pool.run(x, { name: 'increment' }),
    echo: bytes => pool.run(bytes, { name: 'echo' }),
    close: () => pool.destroy(),
  };
}
