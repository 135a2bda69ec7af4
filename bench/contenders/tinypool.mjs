import path from 'node:path';
import Tinypool from 'tinypool';

export async function openPool({ kind, workers, inFlight }) {
  const pool = new Tinypool({
    filename: path.join(import.meta.dirname, '../workers/tasks.mjs'),
    runtime: kind === 'thread' ? 'worker_threads' : 'child_process',
    ...(kind === 'thread' ? {} : { serialization: 'advanced' }),
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: Math.ceil(inFlight / workers),
  });
  return {
    increment: x => pool.run(x, { name: 'increment' }),
    echo: bytes => pool.run(bytes, { name: 'echo' }),
    close: () => pool.destroy(),
  };
}
