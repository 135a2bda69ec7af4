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
    run: (task, value) => pool.exec(task, [value]),
    move: bytes => pool.exec('giveBack', [bytes], { transfer: [bytes.buffer] }),
    // A function crosses as its source, each time, and without what it captures: that goes as an argument.
    multiplier: factor => x => pool.exec((y, by) => y * by, [x, factor]),
    close: () => pool.terminate(true),
  };
}
