/**
 * Runs the tests: those named, by file or by a part of the name, or all. Several files at a time; a file that does not end in
 * time is stopped, and the tests that it was at are named, with its processes. Afterwards no process born of a test may be
 * left, whatever became of its parents.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** One file's time, in ms. Tests that may get stuck have a shorter one of their own. */
const FILE_TIMEOUT = 300_000;

/** Files at a time, on two processors or more: much of a file's time is waiting. */
const CONCURRENCY = 3;
/** Files that take the longest, in the order in which they begin, before all others: so that none of them is left for last. */
const LONG = [
  'dist/pool/pool.test.js',
  'dist/docs.test.js',
  'dist/pool/life.test.js',
  'dist/cli/resume.test.js',
  'dist/leaving.test.js',
  'dist/process/stdio.test.js',
  'dist/process/recovery.test.js',
  'dist/channel/heap.test.js',
  'dist/sync/lock-deaths.test.js',
  'dist/channel/named-queues.test.js',
];
/** Of how many files to tell, at the end, how long they took. */
const SLOWEST = 10;

const root = path.resolve(import.meta.dirname, '..');
const { inspectProcess, marked } = createRequire(import.meta.url)(
  path.join(root, 'dist/testing/processes.js'),
);

const MARK = 'MANYHANDS_TEST_RUN';
const mark = randomUUID();
process.env[MARK] = mark;

const files = chosen(process.argv.slice(2));
if (files.length === 0) {
  console.error('Cannot find a test of that name');
  process.exit(2);
}

/** All temporary files, so that those of a file that was stopped go too. */
const temporary = mkdtempSync(path.join(tmpdir(), 'manyhands-run-'));
process.on('exit', () => rmSync(temporary, { recursive: true }));
process.env.TMPDIR = temporary;

/** Where leavesNothing() writes which test a process is at: one that blocks cannot tell. */
const places = path.join(temporary, 'places');
mkdirSync(places);
process.env.MANYHANDS_TEST_PLACES = places;

const events = run({ files, concurrency: CONCURRENCY, timeout: FILE_TIMEOUT });
events.on('test:dequeue', ({ name }) => {
  if (files.includes(path.resolve(root, name))) setTimeout(tellIfStuck, FILE_TIMEOUT - 3_000, name).unref();
});
events.on('test:fail', () => {
  process.exitCode = 1;
});
const times = new Map();
events.on('test:complete', ({ name, details }) => {
  const file = path.resolve(root, name);
  if (files.includes(file)) times.set(path.relative(root, file), details.duration_ms / 1000);
});
process.on('exit', () => {
  if (files.length <= SLOWEST) return;
  const slowest = [...times].sort(([, a], [, b]) => b - a).slice(0, SLOWEST);
  console.log(`The slowest files: ${slowest.map(([name, s]) => `\n  ${s.toFixed(1)} s ${name}`).join('')}`);
});
events.on('end', () => setImmediate(sweep));
events.compose(new spec()).pipe(process.stdout);

function tellIfStuck(name) {
  const born = marked(MARK, mark);
  const stuck = born.find(({ parent, command }) => parent === process.pid && command.endsWith(name));
  if (!stuck) return;
  const place = path.join(places, String(stuck.pid));
  console.error(
    `\n${name} is stuck${existsSync(place) ? ` in "${readFileSync(place, 'utf8')}"` : ''}. All processes:`,
  );
  for (const { pid, state, parent, command } of born) {
    console.error(`  ${pid} (${state}, child of ${parent}): ${command}`);
  }
}

/** The last check: processes that outlived even the file that their test is in. */
async function sweep() {
  const deadline = performance.now() + 5_000;
  let left = marked(MARK, mark);
  while (left.length > 0 && performance.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, 20));
    left = marked(MARK, mark);
  }
  for (const { pid, state, startTime, command } of left) {
    console.error(`Left behind by the tests: process ${pid} (${state}): ${command}`);
    process.exitCode = 1;
    if (inspectProcess(pid)?.startTime === startTime) process.kill(pid, 'SIGKILL');
  }
}

/** Compiled tests whose source is still there, and the scripts' own. */
function chosen(names) {
  const all = [
    ...readdirSync(path.join(root, 'src'), { recursive: true })
      .filter(name => name.endsWith('.test.ts'))
      .map(name => path.join(root, 'dist', name.replace(/\.ts$/, '.js'))),
    ...['scripts', 'test']
      .filter(folder => existsSync(path.join(root, folder)))
      .flatMap(folder =>
        readdirSync(path.join(root, folder))
          .filter(name => name.endsWith('.test.mjs'))
          .map(name => path.join(root, folder, name)),
      ),
  ].sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1));
  if (names.length === 0) return all;
  return all.filter(file =>
    names.some(name =>
      path.relative(root, file).includes(name.replace(/\.ts$/, '.js').replace(/^src/, 'dist')),
    ),
  );
}

function rankOf(file) {
  const at = LONG.indexOf(path.relative(root, file));
  return at < 0 ? LONG.length : at;
}
