import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { native } from '../native/native.js';
import { leavesNothing } from '../testing/leaks.js';
import { allocate, FAMILY, free, freeAllOf, offsetOf, setLimit, stats, trim } from './allocator.js';
import { attach, words } from './commons.js';
import { checkConsistency } from './consistency.js';
import { EXCHANGE, hammer } from './fixtures/hammer.js';
import {
  HEADER,
  PARTICIPANT,
  PARTICIPANT_STATE,
  PROCESS,
  PROCESS_STATE,
  PROCESS_WORDS,
  PROCESSES,
} from './layout.js';
import { giveBack, indexOf, isAlive, record, self, tagOf } from './participants.js';

leavesNothing({ warm: attach });

const SLOTS = 16;
const KILLS = 300;
const ALIVE = 3;

/** Sweeps whoever has died. A record that is being filled in has its pid already, and is to be left alone. */
function sweep(): void {
  for (let index = 1; index < words[HEADER.PARTICIPANTS_USED]; index++) {
    const tag = tagOf(index);
    const state = Atomics.load(words, record(index) + PARTICIPANT.STATE);
    if (state === PARTICIPANT_STATE.FREE || isAlive(tag)) continue;
    freeAllOf(tag);
    giveBack(index);
  }
}

/** Nobody else is at it any more: all there is must be what lies in the exchange. */
function settle(exchange: number): void {
  freeAllOf(self());
  freeAllOf(EXCHANGE);
  const { blocks, runs } = checkConsistency();
  assert.deepEqual([blocks, runs], [1, 0]);
  free(exchange);
  trim();
  assert.deepEqual(checkConsistency(), { blocks: 0, slabs: 0, held: 0, runs: 0 });
  assert.equal(stats().used, 0);
}

test(`${KILLS} processes are killed while they allocate, free and pass blocks on: nothing is damaged or lost`, {
  timeout: 120_000,
}, async () => {
  setLimit(2 ** 30);
  const exchange = allocate(4 * SLOTS, { owner: FAMILY });
  const [client, requests] = native.socketPair();
  const [lifeline, end] = native.pipe();
  const server = spawn(
    process.execPath,
    [
      '--single-threaded',
      path.join(__dirname, 'fixtures', 'fork-hammer.js'),
      JSON.stringify({ bytes: native.arenaBytes(), root: indexOf(self()), exchange, slots: SLOTS }),
    ],
    { stdio: ['ignore', 'inherit', 'inherit', native.arenaFd(), requests, lifeline] },
  );
  const ended = once(server, 'exit');
  native.close(requests);
  native.close(lifeline);

  const field = (process: number, name: keyof typeof PROCESS) =>
    PROCESSES + process * PROCESS_WORDS + PROCESS[name];
  const awaitChange = (process: number, from: number) => {
    while (Atomics.load(words, field(process, 'STATE')) === from)
      native.futexWait(field(process, 'STATE'), from, 10_000);
  };
  const start = (process: number) => {
    words[field(process, 'PID')] = 0;
    Atomics.store(words, field(process, 'STATE'), PROCESS_STATE.REQUESTED);
    native.request(client, process);
    awaitChange(process, PROCESS_STATE.REQUESTED);
    awaitChange(process, PROCESS_STATE.FORKING);
    while (Atomics.load(words, field(process, 'PID')) === 0);
  };
  const kill = (child: number) => {
    const pid = words[field(child, 'PID')];
    process.kill(pid, 'SIGKILL');
    awaitChange(child, PROCESS_STATE.RUNNING);
    awaitChange(child, PROCESS_STATE.ENDING);
    assert.equal(words[field(child, 'STATUS')], 9, 'it ended by itself');
    sweep();
  };

  Atomics.store(words, HEADER.PROCESSES_USED, ALIVE);
  for (let child = 0; child < ALIVE; child++) start(child);
  for (let kills = 0; kills < KILLS; kills++) {
    // We are one of them meanwhile, for a random time.
    const until = performance.now() + Math.random() * 6;
    hammer(exchange, SLOTS, () => performance.now() > until);
    kill(kills % ALIVE);
    checkConsistency({ quiet: false });
    start(kills % ALIVE);
  }
  for (let child = 0; child < ALIVE; child++) kill(child);
  settle(exchange);
  native.close(end);
  native.close(client);
  await ended;
});

test('threads that allocate at once and are terminated at any moment leave all in order', {
  timeout: 60_000,
}, async () => {
  setLimit(2 ** 30);
  const exchange = allocate(4 * SLOTS, { owner: FAMILY });
  const stop = offsetOf(allocate(16)) / 4;
  const launch = () =>
    new Worker(path.join(__dirname, 'fixtures', 'thread-hammer.js'), {
      workerData: { exchange, slots: SLOTS, stop },
    });
  for (let round = 0; round < 10; round++) {
    const workers = [launch(), launch()];
    await Promise.all(workers.map(worker => once(worker, 'online')));
    const until = performance.now() + Math.random() * 40;
    hammer(exchange, SLOTS, () => performance.now() > until);
    await Promise.all(workers.map(worker => worker.terminate()));
    sweep();
    checkConsistency({ quiet: false });
  }
  const last = [launch(), launch()];
  const exits = last.map(worker => once(worker, 'exit'));
  await Promise.all(last.map(worker => once(worker, 'online')));
  const until = performance.now() + 50;
  hammer(exchange, SLOTS, () => performance.now() > until);
  Atomics.store(words, stop, 1);
  assert.deepEqual(await Promise.all(exits), [[0], [0]]);
  sweep();
  settle(exchange);
});
