import path from 'node:path';
import { FixedClusterPool, FixedThreadPool } from 'poolifier';

const file = name => path.join(import.meta.dirname, '../workers', name);

export async function openPool({ kind, workers, binary }) {
  const pool =
    kind === 'thread'
      ? new FixedThreadPool(workers, file('poolifier.mjs'))
      : new FixedClusterPool(
          workers,
          file('poolifier.cjs'),
          binary ? { settings: { serialization: 'advanced' } } : {},
        );
  return {
    run: (task, value) => pool.execute(value, task),
    map: items => pool.mapExecute(items, 'increment'),
    // What it answers with is copied.
    move: bytes => pool.execute(bytes, 'echo', undefined, [bytes.buffer]),
    close: () => pool.destroy(),
  };
}
