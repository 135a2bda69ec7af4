import path from 'node:path';
import Tinypool from 'tinypool';

const file = name => path.join(import.meta.dirname, '../workers', name);

export async function openPool({ kind, workers, inFlight }) {
  const pool = new Tinypool({
    filename: file('tasks.mjs'),
    runtime: kind === 'thread' ? 'worker_threads' : 'child_process',
    // Its processes have no environment but what they are given: without it they would not be known as of this run.
    ...(kind === 'thread' ? {} : { serialization: 'advanced', env: process.env }),
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: Math.ceil(inFlight / workers),
  });
  const moving = { filename: file('tinypool.mjs'), name: 'giveBack' };
  return {
    run: (task, value) => pool.run(value, { name: task }),
    move: bytes => pool.run(bytes, { ...moving, transferList: [bytes.buffer] }),
    close: () => pool.destroy(),
  };
}
