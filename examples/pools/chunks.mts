/*
 * A map gives its items in chunks, one task each. A task there and back costs more than many an item does. Left alone, the
 * pool measures what an item costs and makes chunks of some 5 ms of work.
 */
import { Pool } from 'manyhands';

const items = Array.from({ length: 2_000 }, (_, n) => n);
const cheap = (n: number) => n + 1;

async function measure(chunksize?: number) {
  await using pool = new Pool(2);
  await pool.ready();
  const started = performance.now();
  await pool.map(cheap, items, { chunksize });
  const took = (performance.now() - started).toFixed(1);
  return `${pool.stats.completed} tasks, ${took} ms`;
}

for (const chunksize of [1, 100, 1_000]) console.log(`chunks of ${chunksize}: ${await measure(chunksize)}`);
console.log(`its own choice: ${await measure()}`);

// Output:
// chunks of 1: 2000 tasks, … ms
// chunks of 100: 20 tasks, … ms
// chunks of 1000: 2 tasks, … ms
// its own choice: … tasks, … ms
