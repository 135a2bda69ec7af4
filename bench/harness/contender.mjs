/** Runs one measurement in a process of its own, for no longer than a limit, and leaves nothing of it behind. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesMarked } from './proc.mjs';

const folder = path.join(import.meta.dirname, '..');
const LIMIT = 30_000;
/** How long what a contender started may take to follow it. */
const GRACE = 1_500;
const TRIES = 50;
/** How long its output may go on when nobody is left who could write it. */
const LAST_WORDS = 500;

/** What some endings mean. 13: Node found nothing left to do while measure.mjs still waited. */
const known = { SIGKILL: 'did not end in time', 13: 'did not answer' };

let runs = 0;

/**
 * What the contender measured, or `{ error }`; with `left`, how many processes it did not take with it.
 * `python` is the interpreter for the contenders that are CPython's.
 */
export async function measure(scenario, contender, { python, execArgv = [] }) {
  const options = JSON.stringify({ ...scenario.options, ...contender.options });
  const mark = `${process.pid}.${++runs}`;
  const [command, args] = isPython(contender)
    ? [python, [path.join(folder, `contenders/${contender.module}.py`), scenario.measure, options]]
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
  const output = [child.stdout, child.stderr].map(read);
  let ended;
  let left;
  try {
    ended = await exited;
  } catch (error) {
    ended = error.message;
  } finally {
    left = await sweep(mark);
  }
  const [stdout, stderr] = await Promise.all(output.map(stream => stream.text()));
  return { ...parse(stdout, stderr, ended), ...(left ? { left } : {}) };
}

/** Is it CPython's, and so in need of an interpreter? */
export const isPython = ({ module }) => module.startsWith('cpython');

/** Collects what comes. What outlives a contender may hold its pipes open: text() waits for their end for a moment only. */
function read(stream) {
  let collected = '';
  stream.setEncoding('utf8').on('data', part => {
    collected += part;
  });
  const closed = once(stream, 'close');
  return {
    async text() {
      await Promise.race([closed, sleep(LAST_WORDS, undefined, { ref: false })]);
      stream.destroy();
      return collected;
    },
  };
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
  const ended = new Set();
  // Again and again: one that is ended may have started another meanwhile.
  for (let tries = 0; tries < TRIES && remaining().length > 0; tries++) {
    for (const pid of remaining()) {
      ended.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    await sleep(20);
  }
  return ended.size;
}

function parse(stdout, stderr, ended) {
  const line = stdout.trim().split('\n').at(-1);
  if (line?.startsWith('{')) {
    try {
      return JSON.parse(line);
    } catch {}
  }
  const complaint = stderr.trim().split('\n').at(-1);
  return { error: known[ended] ?? `ended with ${ended}: ${complaint}` };
}
