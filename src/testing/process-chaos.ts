/*
 * A program that keeps a family busy while somebody kills, stops and ends its processes; src/process-chaos.test.ts does. Arguments: the start
 * method, how long, ms. Prints one line of JSON: what it saw.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from '../channel/queue.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE, PROCESS } from '../memory/layout.js';
import { isKnownDead, record } from '../memory/participants.js';
import { Process } from '../process/process.js';
import { read } from '../process/records.js';
import { type StartMethod, setStartMethod } from '../process/start-method.js';
import { Thread } from '../process/thread.js';
import { SharedArray } from '../shared/shared-array.js';
import { Lock } from '../sync/lock.js';
import { countInUse } from './blocks.js';
import { alive } from './processes.js';

/** How long one of the things below may take, ms: longer than anybody is stopped, even on a machine that is busy. */
const PATIENCE = 40_000;

const self = (name: string) => ({ module: __filename, export: name });
type Numbers = SharedArray<'i32'>;

export const plusOne = (n: number): number => n + 1;

/** Adds under the lock, in two steps. Word 0: the sum; word 1: is somebody at it? */
export async function addUp(lock: Lock, numbers: Numbers, times: number): Promise<number> {
  for (let i = 0; i < times; i++) {
    const guard = i % 2 === 0 ? lock.acquireSync() : await lock.acquire();
    if (guard.abandoned) numbers.view[1] = 0; // its owner died at it
    if (numbers.view[1] !== 0) throw new Error('two hold the lock');
    numbers.view[1] = process.pid;
    numbers.view[0]++;
    numbers.view[1] = 0;
    guard.release();
  }
  return times;
}

/** A child of one's own, and a daemon that is left to its fate. */
export async function nest(n: number, depth: number): Promise<number> {
  const child = new Process<any[], number>(
    depth === 0 ? { target: self('plusOne'), args: [n] } : { target: self('nest'), args: [n, depth - 1] },
  ).start();
  new Process({ target: self('forever'), daemon: true }).start();
  const result = await child.result();
  await child.join();
  return result;
}

export const forever = (): Promise<never> => new Promise(() => setInterval(() => {}, 1000));

/** What a thread starts is joined by it, blocked. */
export function inThread(n: number): number {
  const child = new Process({ target: self('plusOne'), args: [n] }).start();
  child.joinSync();
  return child.exitCode === 0 ? n + 1 : -1;
}

export async function pass(from: Queue<number>, to: Queue<number>, count: number): Promise<number> {
  for (let i = 0; i < count; i++) await to.put((await from.get()) + 1);
  return count;
}

async function main(duration: number): Promise<void> {
  const faults: string[] = [];
  const seen: Record<string, number> = {};
  const deadline = performance.now() + duration;
  const note = (what: string) => {
    seen[what] = (seen[what] ?? 0) + 1;
  };
  /** Did it come to this result? A death counts as none. */
  const outcome = async (what: string, child: Process | Thread, expected: unknown): Promise<boolean> => {
    try {
      const value = await child.result({ timeout: PATIENCE });
      if (value !== expected) faults.push(`${what} gave ${JSON.stringify(value)} for ${expected}`);
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      note(`${what} ${code}`);
      if (code !== 'ERR_WORKER_DIED') faults.push(`${what}: ${(error as Error).stack ?? message}`);
      return false;
    } finally {
      if (!(await child.join({ timeout: PATIENCE }))) faults.push(`${what} does not end`);
    }
  };
  const again = async (what: string, body: (n: number) => Promise<unknown>) => {
    for (let n = 0; performance.now() < deadline && faults.length === 0; n++) {
      try {
        await body(n);
        note(what);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        note(`${what} ${code}`);
        // So many servers were killed in a row.
        if (!message.includes('does not come up')) faults.push(`${what}: ${(error as Error).stack}`);
      }
    }
  };
  const lock = new Lock();
  const numbers = new SharedArray('i32', 2);
  await Promise.all([
    again('plain', n => outcome('plain', new Process({ target: self('plusOne'), args: [n] }).start(), n + 1)),
    again('dropped', async n => {
      const child = new Process({
        target: self('plusOne'),
        args: [n],
        stdio: n % 2 ? 'pipe' : 'ignore',
      }).start();
      child.stdout?.resume();
      child.stderr?.resume();
      await new Promise(resolve => child.once('exit', resolve));
    }),
    again('nested', n =>
      outcome('nested', new Process({ target: self('nest'), args: [n, n % 3] }).start(), n + 1),
    ),
    again('locked', async n => {
      const both = [n, n].map(() =>
        new Process({ target: self('addUp'), args: [lock, numbers, 50] }).start(),
      );
      await Promise.all(both.map(one => outcome('locked', one, 50)));
    }),
    again('passed', async n => {
      using there = new Queue<number>(3);
      using back = new Queue<number>();
      // A daemon, as nobody would feed it were this process killed.
      const child = new Process({ target: self('pass'), args: [there, back, 20], daemon: true }).start();
      const told = outcome('passed', child, 20);
      for (let i = 0; i < 20 && child.isAlive(); ) {
        // Nobody takes what one was to take that has died.
        await there.put(n + i, { timeout: 100 }).then(
          () => i++,
          error => {
            if (error.code !== 'ERR_QUEUE_FULL') throw error;
          },
        );
      }
      if ((await told) && back.qsize() !== 20) faults.push(`${back.qsize()} of 20 came back`);
    }),
    again('in a thread', async n => {
      const thread = new Thread<[number], number>({ target: self('inThread'), args: [n] }).start();
      const value = await thread.result({ timeout: PATIENCE });
      if (value !== n + 1 && value !== -1) faults.push(`a thread gave ${value} for ${n + 1}`);
      await thread.join();
    }),
  ]);
  console.log('at rest');
  lock[Symbol.dispose]();
  numbers[Symbol.dispose]();
  // Who sweeps after the last death may be another process; those that the storm stopped go on now.
  for (let look = 0; look < 1000 && (countInUse() > 0 || records().length > 0 || ghosts().length > 0); look++)
    await sleep(10);
  if (records().length > 0) faults.push(`records are left: ${JSON.stringify(records())}`);
  if (countInUse() > 0) faults.push(`${countInUse()} blocks are left`);
  if (ghosts().length > 0) faults.push(`the ends of these are not told: ${JSON.stringify(ghosts())}`);
  console.log(JSON.stringify({ faults: faults.slice(0, 5), seen }));
}

/** Records of processes that are not given back. */
function records(): unknown[] {
  const all: unknown[] = [];
  for (let i = 0; i < words[HEADER.PROCESSES_USED]; i++) {
    const [owner, state, pid] = [PROCESS.OWNER, PROCESS.STATE, PROCESS.PID].map(field => read(i, field));
    // What a dead one had is taken by the next who needs a record, once its process has ended.
    const underWay = [2, 3, 4, 8].includes(state & 0xff);
    if (owner !== 0 && underWay) all.push({ i, owner, state: state & 0xff, pid });
  }
  return all;
}

/** Who is thought to live, and does not. */
function ghosts(): unknown[] {
  const all: unknown[] = [];
  for (let index = 1; index < words[HEADER.PARTICIPANTS_USED]; index++) {
    const at = record(index);
    const pid = words[at + PARTICIPANT.PID];
    if (words[at + PARTICIPANT.STATE] !== PARTICIPANT_STATE.LIVE || alive(pid)) continue;
    const own = words[at + PARTICIPANT.PROCESS] - 1;
    const fields = [PROCESS.PID, PROCESS.STATE, PROCESS.OWNER, PROCESS.GUARDIAN, PROCESS.FLAGS];
    const [of, state, owner, guardian, flags] = own < 0 ? [] : fields.map(field => read(own, field));
    all.push({
      pid,
      own,
      of,
      state: state & 0xff,
      owner,
      ownerIsDead: owner && isKnownDead(owner),
      guardian,
      guards: alive(guardian),
      flags,
    });
  }
  return all;
}

if (require.main === module) {
  setStartMethod(process.argv[2] as StartMethod);
  void main(Number(process.argv[3]));
}
