import path from 'node:path';
import workerpool from 'workerpool';

export async function openPool({ kind, workers, binary }) {
  const pool = workerpool.pool(path.join(import.meta.dirname, '../workers/workerpool.cjs'), {
    workerType: kind,
    minWorkers: workers,
    maxWorkers: workers,
    ...(kind === 'process' && binary ? { forkOpts: { serialization: 'advanced' } } : {}),
  });
  return {
    increment: x => pool.exec('increment', [x]),
    echo: bytes => pool.exec('echo', [bytes]),
    close: () => pool.terminate(true),
  };
}
