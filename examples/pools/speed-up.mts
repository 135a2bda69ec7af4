/*
 * The same computation in this process and over 1, 2, … workers, with the speed-up drawn. `┊` is the ideal: n workers, n times
 * as quick. The last row has one worker more than there are CPUs. `--quick` computes little.
 */
import { cpuCount, Pool } from 'manyhands';

const quick = process.argv.includes('--quick');
const limit = quick ? 1_500 : 60_000;
const tasks = Array.from({ length: 120 }, () => limit);

const primesBelow = (limit: number) => {
  let count = 0;
  candidates: for (let n = 2; n < limit; n++) {
    for (let d = 2; d * d <= n; d++) if (n % d === 0) continue candidates;
    count++;
  }
  return count;
};

async function time(compute: () => unknown) {
  const started = performance.now();
  await compute();
  return performance.now() - started;
}

async function timeWith(workers: number) {
  await using pool = new Pool(workers);
  await pool.broadcast(primesBelow, [limit]); // all are up, and have compiled it
  return await time(() => pool.map(primesBelow, tasks, { chunksize: 1 }));
}

const cpus = cpuCount();
const cell = 40 / (cpus + 1); // characters for a speed-up of 1
const show = (name: string, ms: number, workers: number) => {
  const speedUp = alone / ms;
  const bar = '█'.repeat(Math.round(speedUp * cell)).padEnd(Math.round(workers * cell));
  console.log(
    `${name.padEnd(11)}${ms.toFixed(0).padStart(6)} ms ${speedUp.toFixed(2).padStart(6)} × ${bar}┊`,
  );
};

console.log(`${tasks.length} tasks, CPUs: ${cpus}`);
primesBelow(limit); // compiled here, too
const alone = await time(() => tasks.map(primesBelow));
show('no pool', alone, 1);
for (let workers = 1; workers <= cpus + 1; workers++)
  show(`${workers} worker${workers > 1 ? 's' : ''}`, await timeWith(workers), workers);

// Output of --quick:
// 120 tasks, CPUs: …
// no pool … ms   1.00 × █…┊
// 1 worker … ms … × …┊
// 2 workers … ms … × …┊
// …
