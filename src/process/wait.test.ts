import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Queue } from '../channel/queue.js';
import { wait } from '../channel/wait.js';
import { LifecycleError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT, warmCarriers } from '../testing/sharing.js';
import { Process } from './process.js';
import { Thread } from './thread.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

test('a process and a thread that have ended are told, however they ended', LIMIT, async () => {
  const queue = new Queue();
  const runs = [
    new Process({ target: () => 1 }),
    new Thread({
      target: () => process.exit(3),
    }),
    new Process({ target: () => new Promise(() => setInterval(() => {}, 1000)) }),
    new Thread({ target: () => new Promise(() => setInterval(() => {}, 1000)) }),
  ];
  for (const run of runs) run.on('error', () => {}).start();
  const left = new Set(runs);
  left.delete(runs[2]);
  left.delete(runs[3]);
  while (left.size > 0)
    for (const run of await wait([queue, ...left])) {
      assert.ok(run instanceof Process || run instanceof Thread);
      assert.equal(run.isAlive(), false);
      left.delete(run);
    }
  const waits = wait([queue, runs[2], runs[3]]);
  (runs[2] as Process).kill();
  assert.deepEqual(await waits, [runs[2]]);
  const last = wait([queue, runs[3]]);
  runs[3].terminate();
  assert.deepEqual(await last, [runs[3]]);
  assert.deepEqual(await wait(runs), runs);
  queue[Symbol.dispose]();
});

test('what was never started cannot be waited for', LIMIT, async () => {
  using queue = new Queue();
  await assert.rejects(wait([queue, new Process()]), LifecycleError);
  await assert.rejects(wait([new Thread()]), LifecycleError);
});
