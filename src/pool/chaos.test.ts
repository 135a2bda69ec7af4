import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { leavesNothing } from '../testing/leaks.js';
import { alive, marked, waitUntil } from '../testing/processes.js';
import { CARRIERS } from './fixtures/carriers.js';

/*
 * Kills random processes of a program under whose maps and runs nothing may go wrong. MANYHANDS_CHAOS_MS: how long
 * for each carrier; MANYHANDS_CHAOS_SEED: the seed of a run to repeat. A seed gives the same victims by rank at the same
 * moments, as far as the machine takes part.
 */
leavesNothing();

const DURATION = Number(process.env.MANYHANDS_CHAOS_MS ?? 1_000);
const SEED = Number(process.env.MANYHANDS_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 32));
const PROGRAM = path.join(__dirname, 'fixtures', 'chaos.js');
const MARK = 'MANYHANDS_TEST_CHAOS';

/** Whom to kill, and how often: shares of 1, added up. */
const VICTIMS = [
  ['worker', 0.75],
  ['mh-reserve', 0.85],
  ['mh-forkserver', 0.93],
  ['mh-guardian', 0.97],
  ['starting', 1],
] as const;

/** Source: mulberry32 by Tommy Ettinger, public domain. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** By what the kernel calls it. A worker has its name from the pool; who has none yet is starting, a new fork server perhaps. */
function role(pid: number): string {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (name.startsWith('mh-')) return name;
    return name.startsWith('PoolWorker') ? 'worker' : 'starting';
  } catch {
    return 'gone';
  }
}

/** Resolves when the program has printed this, or nothing more comes. */
function said(output: Readable, line: string): Promise<void> {
  return new Promise(resolve => {
    let seen = '';
    output.on('data', data => {
      seen += data;
      if (seen.split('\n').includes(line)) resolve();
    });
    output.on('end', resolve);
  });
}

for (const { carrier, options } of CARRIERS) {
  test(`a storm of kills on a program with pools of ${carrier}`, { timeout: DURATION + 60_000 }, async () => {
    const mark = `${process.pid}.${SEED}.${options.context?.method}`;
    const program = spawn(process.execPath, [PROGRAM, JSON.stringify(options), String(DURATION)], {
      env: { ...process.env, [MARK]: mark },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = text(program.stdout);
    const errors = text(program.stderr);
    const ended = once(program, 'exit');
    const [up, atRest] = [said(program.stdout, 'up'), said(program.stdout, 'at rest')];
    const kills: Record<string, number> = {};
    try {
      await up;
      let resting = false;
      void atRest.then(() => {
        resting = true;
      });
      const next = random(SEED);
      const deadline = performance.now() + DURATION;
      while (!resting && program.exitCode === null && performance.now() < deadline) {
        await sleep(2 + next() * 40);
        const family = marked(MARK, mark).filter(({ pid }) => pid !== program.pid && alive(pid));
        const chance = next();
        const [wanted] = VICTIMS.find(([, upTo]) => chance < upTo) ?? VICTIMS[0];
        const candidates = family.filter(({ pid }) => role(pid) === wanted);
        const victim = candidates[Math.floor(next() * candidates.length)];
        if (!victim || options.kind === 'thread') continue; // threads are ended from within
        try {
          process.kill(victim.pid, 'SIGKILL');
          kills[wanted] = (kills[wanted] ?? 0) + 1;
        } catch {} // it ended just now
      }
      const stuck = new AbortController();
      await Promise.race([
        ended,
        sleep(30_000, undefined, { signal: stuck.signal }).then(() => assert.fail('the program is stuck')),
      ]);
      stuck.abort();
      const line = (await output).trim().split('\n').at(-1) ?? '';
      const report = JSON.parse(line || 'null');
      assert.deepEqual(report?.faults, []);
      assert.equal(report.left.blocks + report.left.runs, 0, JSON.stringify(report.left));
      const { restarts, lost: _, ...work } = report.seen;
      for (const [what, count] of Object.entries(work)) assert.ok((count as number) > 0, `${what}: ${line}`);
      assert.ok(restarts > 0, 'some kills hit workers of the pool');
      assert.equal(program.exitCode, 0);
      await waitUntil(
        () => marked(MARK, mark).filter(({ pid }) => alive(pid)).length === 0,
        () => `${JSON.stringify(marked(MARK, mark))} to end`,
      );
      console.log(`${carrier}: ${JSON.stringify({ kills, ...report.seen })}`);
    } catch (error) {
      for (const { pid } of marked(MARK, mark)) process.kill(pid, 'SIGKILL');
      console.error(
        `seed ${SEED}, killed ${JSON.stringify(kills)}\n${await output}\n${(await errors).slice(0, 3000)}`,
      );
      throw error;
    }
  });
}
