/** Runs one measurement in a process of its own, for no longer than a limit, and leaves nothing of it behind. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesMarked } from './proc.mjs';

const folder = path.join(import.meta.dirname, '..');
const LIMIT = 30_000;
/** How long what a contender started may take to follow it. */
const GRACE = 1_500;

let runs = 0;

/**
 * What the contender measured, or `{ error }`; with `left`, how many processes it did not take with it.
 * `python` is the interpreter for the contenders that are CPython's.
 */
export async function measure(scenario, contender, { python, execArgv = [] }) {
  const options = JSON.stringify({ ...scenario.options, ...contender.options });
  const mark = `${process.pid}.${++runs}`;
  const [command, args] =
    contender.module === 'cpython'
      ? [python, [path.join(folder, 'contenders/cpython.py'), scenario.measure, options]]
      : [
          process.execPath,
          [
            ...execArgv,
            ...(contender.execArgv ?? []),
            path.join(folder, 'measure.mjs'),
            scenario.measure,
            contender.module,
            options,
          ],
        ];
  const [file, ...rest] = [...(scenario.oneCore ? pinned() : []), command, ...args];
  const child = spawn(file, rest, {
    cwd: folder,
    env: environment(mark),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: scenario.limit ?? LIMIT,
    killSignal: 'SIGKILL',
  });
  const exited = once(child, 'exit').then(([code, signal]) => signal ?? code);
  // What outlives the contender may hold its pipes open: they are read to their end only after the sweep.
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  let ended;
  let left;
  try {
    ended = await exited;
  } catch (error) {
    ended = error.message;
  } finally {
    left = await sweep(mark);
  }
  const [stdout, stderr] = await output;
  return { ...parse(stdout, stderr, ended), ...(left ? { left } : {}) };
}

/** What to put before a command so that it and all it starts share one core; nothing where that cannot be had. */
function pinned() {
  const core = /^Cpus_allowed_list:.*?(\d+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  const there = core !== undefined && spawnSync('taskset', ['-c', core, 'true']).status === 0;
  return there ? ['taskset', '-c', core] : [];
}

/**
 * The environment of the shell, without what would slow every start of Node in this run (certificates are parsed at each
 * start of Node 20) or change what it does, and with the mark by which a run's processes are found.
 */
function environment(mark) {
  const { NODE_EXTRA_CA_CERTS, NODE_OPTIONS, NODE_V8_COVERAGE, ...rest } = process.env;
  return { ...rest, BENCH_RUN: mark };
}

/** Gives what a contender started a moment to follow it, ends what does not, and tells how many that were. */
async function sweep(mark) {
  const remaining = () => processesMarked(`BENCH_RUN=${mark}`);
  for (const from = performance.now(); performance.now() - from < GRACE; await sleep(20))
    if (remaining().length === 0) return 0;
  const stragglers = remaining();
  for (const pid of stragglers) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
  return stragglers.length;
}

function parse(stdout, stderr, ended) {
  const line = stdout.trim().split('\n').at(-1);
  if (line?.startsWith('{')) {
    try {
      return JSON.parse(line);
    } catch {}
  }
  const complaint = stderr.trim().split('\n').at(-1);
  return { error: ended === 'SIGKILL' ? 'did not end in time' : `ended with ${ended}: ${complaint}` };
}
