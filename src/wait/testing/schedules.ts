import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { words } from '../../memory/commons.js';
import { PARTICIPANT, PARTICIPANT_STATE, REASON } from '../../memory/layout.js';
import { giveBack, indexOf, record, self } from '../../memory/participants.js';
import { BUCKET, bucketOf } from '../buckets.js';
import { sweepDead } from '../deaths.js';
import { NODE } from '../nodes.js';
import { CELL, CELL_WORDS, COMMAND, type Role, STATUS, wakeAsleep, wakeListener } from './lockstep.js';

/*
 * Random schedules of the real code: threads that go on one at a time, a step at a time (lockstep.ts), as a seed says, and die
 * at any step. MANYHANDS_SEED replays one run; MANYHANDS_SCHEDULES says how many there are.
 */
const THREADS = 5;
/** How long a thread may take for one step, ms. */
const STUCK = 20_000;
const SCHEDULES = Number(process.env.MANYHANDS_SCHEDULES ?? 20);
const SEED = process.env.MANYHANDS_SEED;

export const board: Int32Array = new Int32Array(new SharedArrayBuffer(THREADS * CELL_WORDS * 4));
const workers: Worker[] = [];

/** To be called before the first run. */
export function raise(): void {
  self();
  for (let number = 0; number < THREADS; number++)
    workers.push(
      new Worker(path.join(__dirname, 'lockstep.js'), { workerData: { board, number } }).setMaxListeners(0),
    );
}

export async function lower(): Promise<void> {
  await Promise.all(workers.splice(0).map(worker => worker.terminate()));
}

/** Runs `check` for many seeds. */
export async function explore(check: (seed: number) => Promise<void>): Promise<void> {
  const seeds = SEED
    ? [Number(SEED)]
    : Array.from({ length: SCHEDULES }, () => (Math.random() * 2 ** 31) | 0);
  for (const seed of seeds) {
    try {
      await check(seed);
    } catch (cause) {
      throw new Error(`with MANYHANDS_SEED=${seed}: ${cause}`, { cause });
    }
  }
}

/** mulberry32, T. Ettinger. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** How a run goes beside its roles and its seed. */
export interface Plan {
  /** How many die, at steps that the seed says. */
  readonly deaths?: number;
  /** Before which step they die at the latest. */
  readonly span?: number;
  /** Wakers come when all others have been in line, or are dead. */
  readonly wakersLast?: boolean;
  /** What is done when nobody can go on any more. */
  readonly help?: (results: readonly (string | undefined)[]) => void;
  /** How often that may be. */
  readonly helps?: number;
}

export interface Outcome {
  /** What each thread said; 'died'. */
  readonly results: string[];
  /** What each had said when nobody could go on by himself; undefined: nothing yet. */
  readonly unaided: (string | undefined)[];
}

/** One run. */
export async function play(
  roles: readonly Role[],
  seed: number,
  { deaths = 0, span = 70, wakersLast = false, help = () => {}, helps = 1 }: Plan = {},
): Promise<Outcome> {
  const random = randomOf(seed);
  const results: (string | undefined)[] = roles.map(() => undefined);
  const said: Promise<void>[] = [];
  for (const [i, role] of roles.entries()) {
    board.fill(0, i * CELL_WORDS, (i + 1) * CELL_WORDS);
    board[i * CELL_WORDS] = STATUS.RUNNING;
    said.push(
      once(workers[i], 'message').then(([result]) => {
        results[i] = result;
      }),
    );
    workers[i].postMessage({ ...role, delay: random(30) });
    await standStill(i + 1); // one joins the commons after the other, or the run could not be had again
  }
  // Each at a step of its own, so that short roles die in the middle as often as long ones.
  const fatal = Array.from({ length: deaths }, () => ({
    cell: random(roles.length) * CELL_WORDS,
    step: random(span),
  }));
  const taken = new Map<number, number>();
  const restlessness = [2, 5, 20][random(3)];
  let chosen = -1;
  const unburied: number[] = [];
  const late = new Set(wakersLast ? cellsOf(roles, ['waker']) : []);
  const coming = new Set(cellsOf(roles, ['blocking', 'async', 'impatient', 'again']));
  let helped = 0;
  let still = 0;
  let unaided: Outcome['unaided'] | undefined;
  for (let steps = 0; ; steps++) {
    assert.ok(steps < 50_000, `this never ends: ${results} ${board}`);
    await standStill(roles.length);
    for (const cell of coming)
      if (board[cell] === STATUS.IDLE || isInLine(roles[0].word, board[cell + CELL.INDEX]))
        coming.delete(cell);
    if (coming.size === 0) late.clear();
    const able = cellsThatAre(roles.length, [STATUS.READY]).filter(cell => !late.has(cell));
    if (able.length === 0 && unburied.length === 0) {
      for (let i = 0; i < roles.length; i++) if (board[i * CELL_WORDS] === STATUS.IDLE) await said[i];
      if (results.every(result => result !== undefined)) break;
      const dozing = cellsThatAre(roles.length, [STATUS.DOZING, STATUS.NAPPING]);
      if (dozing.length > 0 && ++still % 10 !== 0) {
        go(dozing[random(dozing.length)], COMMAND.TIME_OUT);
        continue;
      }
      assert.ok(helped++ < helps, `nobody can go on: ${results}`);
      unaided ??= [...results];
      help(results);
      for (let i = 0; i < roles.length; i++) ringFromOutside(board[i * CELL_WORDS + CELL.INDEX], REASON.WAKE);
      continue;
    }
    if (unburied.length > 0 && (able.length === 0 || random(40) === 0)) {
      bury(unburied.pop() as number);
      continue;
    }
    // Time passes now and then, also for those who could have waited longer.
    const dozing = cellsThatAre(roles.length, [STATUS.DOZING, STATUS.NAPPING]);
    if (dozing.length > 0 && random(8) === 0) {
      go(dozing[random(dozing.length)], COMMAND.TIME_OUT);
      continue;
    }
    // Mostly the same again: others' bursts fit between two of its steps.
    if (!able.includes(chosen) || random(restlessness) === 0) chosen = able[random(able.length)];
    const step = taken.get(chosen) ?? 0;
    taken.set(chosen, step + 1);
    if (fatal.some(death => death.cell === chosen && death.step === step)) {
      board[chosen + CELL.TID] *= -1;
      unburied.push(board[chosen + CELL.INDEX]);
      go(chosen, COMMAND.DIE);
    } else {
      go(chosen, COMMAND.GO);
    }
  }
  await Promise.all(said);
  sweepDead();
  if (deaths === 0)
    assert.equal(words[bucketOf(roles[0].word) + BUCKET.LOCK], 0, 'the bucket is left locked');
  return { results: results as string[], unaided: unaided ?? results };
}

function cellsOf(roles: readonly Role[], kinds: readonly Role['kind'][]): number[] {
  return roles.flatMap(({ kind }, i) => (kinds.includes(kind) ? [i * CELL_WORDS] : []));
}

/** Does participant `index` wait on `word`? Looks past the lock, as nobody moves. */
function isInLine(word: number, index: number): boolean {
  let node = words[bucketOf(word) + BUCKET.HEAD];
  while (node !== 0 && indexOf(words[node + NODE.OWNER]) !== index) node = words[node + NODE.NEXT];
  return node !== 0;
}

function cellsThatAre(count: number, statuses: readonly number[]): number[] {
  const cells: number[] = [];
  for (let i = 0; i < count; i++)
    if (statuses.includes(Atomics.load(board, i * CELL_WORDS))) cells.push(i * CELL_WORDS);
  return cells;
}

/** Resolves when nobody runs: each sleeps, is done, or waits to be chosen. */
async function standStill(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const deadline = performance.now() + STUCK;
    while (Atomics.load(board, i * CELL_WORDS) === STATUS.RUNNING) {
      if (Atomics.wait(board, i * CELL_WORDS, STATUS.RUNNING, 100) !== 'timed-out') continue;
      assert.ok(performance.now() < deadline, `thread ${i} runs on: ${board}`);
      await new Promise(resolve => setImmediate(resolve)); // a worker may need this thread to begin
    }
  }
}

function go(cell: number, command: number): void {
  Atomics.store(board, cell, STATUS.RUNNING);
  Atomics.store(board, cell + CELL.COMMAND, command);
  Atomics.notify(board, cell + CELL.COMMAND);
}

/** What a reaper does. */
function bury(index: number): void {
  const state = record(index) + PARTICIPANT.STATE;
  if (Atomics.load(words, state) === PARTICIPANT_STATE.LIVE)
    Atomics.store(words, state, PARTICIPANT_STATE.DEAD);
  else giveBack(index); // it had left in order
  for (let cell = 0; cell < board.length; cell += CELL_WORDS)
    if (board[cell + CELL.INDEX] !== 0) ringFromOutside(board[cell + CELL.INDEX], REASON.DEATH);
}

function ringFromOutside(index: number, reason: number): void {
  const at = record(index);
  if (Atomics.load(words, at + PARTICIPANT.STATE) !== PARTICIPANT_STATE.LIVE) return;
  Atomics.or(words, at + PARTICIPANT.REASONS, reason);
  Atomics.add(words, at + PARTICIPANT.SIGNAL, 1);
  wakeAsleep(board, at + PARTICIPANT.SIGNAL);
  wakeListener(board, index);
}
