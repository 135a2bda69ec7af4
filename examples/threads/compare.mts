/*
 * One thread alone, plain async, threads and processes, measured at work that computes and at work that waits. The times are
 * without the start of the workers. `--quick` does little.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpuCount, Pool, ThreadPool } from 'manyhands';

const quick = process.argv.includes('--quick');
const tasks = Array.from({ length: quick ? 4 : 16 }, () => (quick ? 2_000_000 : 30_000_000));
const delay = quick ? 5 : 50; // of the server, ms

const server = createServer((_, response) => setTimeout(() => response.end('page'), delay));
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address() as AddressInfo;

const compute = (steps: number) => {
  let random = 1;
  for (let n = 0; n < steps; n++) random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
  return random;
};
const request = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();

type Work = (n: number) => unknown;
const oneByOne = async (work: Work) => {
  for (const n of tasks) await work(n);
};
const allAtOnce = (work: Work) => Promise.all(tasks.map(async n => work(n)));
const over = (pool: Pool) => (work: Work) => pool.map(work, tasks, { chunksize: 1 });

const time = async (way: (work: Work) => PromiseLike<unknown>, work: Work) => {
  const started = performance.now();
  await way(work);
  return `${(performance.now() - started).toFixed(0)} ms`.padStart(12);
};

const workers = cpuCount();
await using threads = new ThreadPool(workers);
await using processes = new Pool(workers);
for (const pool of [threads, processes]) await pool.broadcast(request); // all are up, and know how to fetch

console.log(`${''.padEnd(24)}${'CPU-bound'.padStart(12)}${'I/O-bound'.padStart(12)}`);
for (const [name, way] of [
  ['one thread, one by one', oneByOne],
  ['one thread, async', allAtOnce],
  [`threads: ${workers}`, over(threads)],
  [`processes: ${workers}`, over(processes)],
] as const)
  console.log(name.padEnd(24) + (await time(way, compute)) + (await time(way, request)));
server.close();

// Output of --quick:
//                            CPU-bound   I/O-bound
// one thread, one by one … ms … ms
// one thread, async … ms … ms
// threads: … ms … ms
// processes: … ms … ms
