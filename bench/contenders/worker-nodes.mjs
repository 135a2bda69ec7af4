import path from 'node:path';
import WorkerNodes from 'worker-nodes';

export async function openPool({ kind, workers, inFlight, cold }) {
  const pool = new WorkerNodes(path.join(import.meta.dirname, '../workers/tasks.cjs'), {
    workerType: kind,
    autoStart: true,
    minWorkers: workers,
    maxWorkers: workers,
    maxTasksPerWorker: inFlight,
  });
  if (!cold) await pool.ready();
  return {
    run: (task, value) => pool.call[task](value),
    close: () => pool.terminate(),
  };
}
