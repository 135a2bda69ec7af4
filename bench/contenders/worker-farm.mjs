import path from 'node:path';
import { promisify } from 'node:util';
import workerFarm from 'worker-farm';

export async function openPool({ workers, inFlight, binary }) {
  const farm = workerFarm(
    {
      maxConcurrentWorkers: workers,
      maxConcurrentCallsPerWorker: inFlight,
      autoStart: true,
      ...(binary ? { workerOptions: { serialization: 'advanced' } } : {}),
    },
    path.join(import.meta.dirname, '../workers/worker-farm.cjs'),
    ['increment', 'echo'],
  );
  const tasks = { increment: promisify(farm.increment), echo: promisify(farm.echo) };
  return {
    run: (task, value) => tasks[task](value),
    close: () => promisify(workerFarm.end)(farm),
  };
}
