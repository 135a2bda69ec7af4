import path from 'node:path';
import { Worker } from 'jest-worker';

export async function openPool({ kind, workers }) {
  const pool = new Worker(path.join(import.meta.dirname, '../workers/tasks.cjs'), {
    exposedMethods: ['increment', 'echo', 'touch'],
    numWorkers: workers,
    enableWorkerThreads: kind === 'thread',
  });
  return {
    run: (task, value) => pool[task](value),
    close: () => pool.end(),
  };
}
