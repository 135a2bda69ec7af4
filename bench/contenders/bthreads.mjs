import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);

export async function openPool({ kind, workers, cold }) {
  const entry = kind === 'thread' ? 'bthreads/threads' : 'bthreads/process';
  process.env.BENCH_BTHREADS = entry;
  const { Pool } = require(entry);
  const pool = new Pool(path.join(import.meta.dirname, '../workers/bthreads.cjs'), { size: workers });
  if (!cold) await pool.open();
  return {
    run: (task, value) => pool.call(task, [value]),
    close: () => pool.close(),
  };
}
