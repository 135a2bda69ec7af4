import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { random } from './sync/testing/random.js';
import { leavesNothing } from './testing/leaks.js';
import { alive, marked, waitUntil } from './testing/processes.js';

/*
 * Kills, stops and ends random processes of a family that starts, joins, nests, locks and passes things on: nothing may hang, nothing be
 * left. MANYHANDS_CHAOS_MS: how long for each start method; MANYHANDS_CHAOS_SEED: the seed of a run to repeat, as far as the
 * machine takes part.
 */
leavesNothing();

const DURATION = Number(process.env.MANYHANDS_CHAOS_MS ?? 1_500);
const SEED = Number(process.env.MANYHANDS_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** How long one storm lasts, ms; every other one ends with the death of the program. */
const ROUND = process.env.MANYHANDS_CHAOS_MS ? 5_000 : 750;
const PROGRAM = path.join(__dirname, 'testing', 'process-chaos.js');
const MARK = 'MANYHANDS_TEST_PROCESS_CHAOS';

/** What to do, to whom, and how often: shares of 1, added up. */
const ACTS = [
  ['SIGKILL', 0.55],
  ['SIGTERM', 0.7],
  ['SIGSTOP', 1],
] as const;
const VICTIMS = [
  ['child', 0.7],
  ['mh-reserve', 0.8],
  ['mh-forkserver', 0.89],
  ['mh-guardian', 0.97],
  ['starting', 1],
] as const;
/** How long one is stopped at most, ms. */
const LONGEST_STOP = 400;

const chosen = <T>(of: readonly (readonly [T, number])[], chance: number): T =>
  (of.find(([, upTo]) => chance < upTo) ?? of[0])[0];

/** By what the kernel calls it; a fork server that is starting has no name of its own yet. */
function role(pid: number): string {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (name.startsWith('mh-')) return name;
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('forkserver-main.js') ? 'starting' : 'child';
  } catch {
    return 'gone';
  }
}

for (const method of ['forkserver', 'spawn'] as const)
  test(`a storm of signals on a family by ${method}`, { timeout: 2 * DURATION + 180_000 }, async context => {
    const end = performance.now() + DURATION;
    for (let round = 0; performance.now() < end; round++)
      await storm(
        method,
        Math.min(ROUND, end - performance.now() + 50),
        SEED + round,
        round % 2 === 1,
        told => context.diagnostic(told),
      );
  });

async function storm(
  method: string,
  duration: number,
  seed: number,
  endsByKill: boolean,
  tell: (told: string) => void,
): Promise<void> {
  const mark = `${process.pid}.${seed}.${method}`;
  const program = spawn(process.execPath, [PROGRAM, method, String(duration + 500)], {
    env: { ...process.env, [MARK]: `${mark}.` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  program.stdout.on('data', data => {
    output += data;
  });
  const errors = text(program.stderr);
  const ended = once(program, 'exit');
  const family = () => marked(MARK, `${mark}.`).filter(({ pid }) => alive(pid));
  const signals: Record<string, number> = {};
  const next = random(seed);
  const stopped = new Set<number>();
  const goOn = (pid: number) => {
    stopped.delete(pid);
    send(pid, 'SIGCONT');
  };
  try {
    await waitUntil(() => family().length > 2 || program.exitCode !== null, 'the family to come up', 30_000);
    const deadline = performance.now() + duration;
    while (program.exitCode === null && performance.now() < deadline && !output.includes('at rest')) {
      await sleep(next() * 40);
      const [act, wanted] = [chosen(ACTS, next()), chosen(VICTIMS, next())];
      const rank = next();
      const candidates = family().filter(({ pid }) => pid !== program.pid && role(pid) === wanted);
      const pid = candidates[Math.floor(rank * candidates.length)]?.pid;
      if (pid === undefined) continue;
      send(pid, act);
      if (act === 'SIGSTOP') {
        stopped.add(pid);
        setTimeout(goOn, next() * LONGEST_STOP, pid).unref();
      }
      signals[`${act} ${wanted}`] = (signals[`${act} ${wanted}`] ?? 0) + 1;
    }
    for (const pid of stopped) goOn(pid);
    if (endsByKill) program.kill('SIGKILL');
    let over = false;
    void ended.then(() => {
      over = true;
    });
    await waitUntil(() => over, 'the program to end', 60_000);
    const gone = () => family().length === 0;
    await waitUntil(gone, 'all of its family to end', 20_000);
    if (endsByKill) return;
    const report = JSON.parse(output.trim().split('\n').at(-1) || 'null');
    assert.deepEqual(report?.faults, []);
    assert.equal(program.exitCode, 0);
    tell(JSON.stringify({ seed, signals, ...report.seen }));
  } catch (error) {
    console.error(`MANYHANDS_CHAOS_SEED=${seed}, sent ${JSON.stringify(signals)}`);
    for (const { pid, state, parent, command } of family()) {
      const wchan = readFileSync(`/proc/${pid}/wchan`, 'utf8');
      console.error(
        `  ${pid} (${role(pid)}, ${state}, child of ${parent}, in ${wchan}): ${command.slice(0, 90)}`,
      );
    }
    if (process.env.MANYHANDS_CHAOS_KEEP) await sleep(1e8);
    for (const { pid } of family()) send(pid, 'SIGKILL');
    console.error(`${output}\n${(await errors).slice(0, 3000)}`);
    throw error;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // it ended just now
}
