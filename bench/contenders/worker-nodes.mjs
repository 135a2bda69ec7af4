import path from 'node:path';
import WorkerNodes from 'worker-nodes';

export async function openPool({ kind, workers, inFlight }) {
  const pool = new WorkerNodes(path.join(import.meta.dirname, '../workers/tasks.cjs'), {
    workerType: kind,
    autoStart: true,
    minWorkers: workers,
    maxWorkers: workers,
    maxTasksPerWorker: inFlight,
  });
  await pool.ready();
  return {
    increment: x => pool.call.increment(x),
    echo: bytes => pool.call.echo(bytes),
    close: () => pool.terminate(),
  };
}
