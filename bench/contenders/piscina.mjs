import path from 'node:path';
import { Piscina } from 'piscina';

const file = name => path.join(import.meta.dirname, '../workers', name);

export async function openPool({ workers, inFlight }) {
  const pool = new Piscina({
    filename: file('tasks.mjs'),
    minThreads: workers,
    maxThreads: workers,
    // Its quickest with many tasks under way; with its default, atomics, that many for a worker come to a standstill.
    ...(inFlight > 1 ? { concurrentTasksPerWorker: Math.ceil(inFlight / workers), atomics: 'disabled' } : {}),
  });
  const moving = { filename: file('piscina.mjs'), name: 'giveBack' };
  return {
    run: (task, value) => pool.run(value, { name: task }),
    move: bytes => pool.run(bytes, { ...moving, transferList: [bytes.buffer] }),
    close: () => pool.destroy(),
  };
}
