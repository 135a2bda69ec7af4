import path from 'node:path';
import { FixedThreadPool } from 'poolifier';

/** Threads only: its cluster pool does not answer a single task on Node 20. */
export async function openPool({ workers }) {
  const pool = new FixedThreadPool(workers, path.join(import.meta.dirname, '../workers/poolifier.mjs'));
  return {
    increment: x => pool.execute(x, 'increment'),
    echo: bytes => pool.execute(bytes, 'echo'),
    close: () => pool.destroy(),
  };
}
