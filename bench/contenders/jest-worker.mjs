import path from 'node:path';
import { Worker } from 'jest-worker';

export async function openPool({ kind, workers }) {
  const pool = new Worker(path.join(import.meta.dirname, '../workers/tasks.cjs'), {
    exposedMethods: ['increment', 'echo'],
    numWorkers: workers,
    enableWorkerThreads: kind === 'thread',
  });
  return {
    increment: x => pool.increment(x),
    echo: bytes => pool.echo(bytes),
    close: () => pool.end(),
  };
}
