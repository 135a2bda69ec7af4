import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { REASON } from '../memory/layout.js';
import { indexOf, self } from '../memory/participants.js';
import { leavesNothing } from '../testing/leaks.js';
import { blockUntil, onRing, openDoorbell, ring, ringSelf } from './doorbell.js';

const me = () => indexOf(self());

leavesNothing({
  warm() {
    openDoorbell();
    ring(me(), REASON.CHANNEL); // who rings keeps the way to the bell
  },
});

const LIMIT = { timeout: 10_000 };

/** Resolves when `listener` was called `times` times. */
function rung(reason: number, times = 1): Promise<void> {
  return new Promise(resolve => {
    const stop = onRing(reason, () => {
      if (--times > 0) return;
      stop();
      resolve();
    });
    process.once('beforeExit', stop);
  });
}

/** The event loop is kept alive: a bell alone does not do that. */
async function alive<T>(wait: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 1e6);
  try {
    return await wait;
  } finally {
    clearInterval(timer);
  }
}

test('a ring comes to who listens later, whatever was heard in between', LIMIT, async () => {
  const first = rung(REASON.WAKE);
  ring(me(), REASON.WAKE | REASON.CHILD);
  await alive(first);
  await alive(rung(REASON.CHILD));
});

test('a ring calls those who listen for its reason, in their order, and no others', LIMIT, async () => {
  const calls: string[] = [];
  const stops = [
    onRing(REASON.CHANNEL, () => calls.push('channel')),
    onRing(REASON.CHILD, () => calls.push('child')),
    onRing(REASON.CHANNEL | REASON.CHILD, () => calls.push('both')),
  ];
  const last = rung(REASON.CHANNEL);
  assert.equal(ring(me(), REASON.CHANNEL), true);
  await alive(last);
  assert.deepEqual(calls, ['channel', 'both']);
  for (const stop of stops) stop();
  const again = rung(REASON.CHANNEL);
  ring(me(), REASON.CHANNEL | REASON.CHILD);
  await alive(again);
  assert.deepEqual(calls, ['channel', 'both'], 'who has stopped hears nothing');
});

test('many rings before a look are one look', LIMIT, async () => {
  let looks = 0;
  const stop = onRing(REASON.CHANNEL, () => looks++);
  const last = rung(REASON.CHANNEL);
  for (let i = 0; i < 1000; i++) ring(me(), REASON.CHANNEL);
  await alive(last);
  stop();
  assert.equal(looks, 1);
});

test('ringSelf() is heard in a microtask', LIMIT, async () => {
  let heard = false;
  const stop = onRing(REASON.CHANNEL, () => {
    heard = true;
  });
  ringSelf(REASON.CHANNEL);
  assert.equal(heard, false);
  await null;
  stop();
  assert.equal(heard, true);
});

test('a thread wakes another that blocks, and who waited too long is told so', LIMIT, async () => {
  const word = new Int32Array(new SharedArrayBuffer(4));
  assert.equal(
    blockUntil(() => Atomics.load(word, 0) === 1, 5),
    false,
  );
  const modules = {
    doorbell: path.join(__dirname, 'doorbell.js'),
    layout: path.resolve(__dirname, '../memory/layout.js'),
  };
  const worker = new Worker(
    `const { workerData } = require('node:worker_threads');
     const { ring } = require(workerData.doorbell);
     const { REASON } = require(workerData.layout);
     Atomics.store(workerData.word, 0, 1);
     ring(workerData.index, REASON.CHANNEL);
     require(workerData.depart).depart({ last: false });`,
    { eval: true, workerData: { ...modules, depart: path.join(__dirname, 'depart.js'), word, index: me() } },
  );
  const ended = new Promise(resolve => worker.once('exit', resolve));
  assert.equal(
    blockUntil(() => Atomics.load(word, 0) === 1),
    true,
  );
  await ended;
});

test('ringing who is gone says so', () => {
  assert.equal(ring(4000, REASON.CHANNEL), false);
});

test('a bell alone keeps no program alive; hold() does, until as many calls of unhold()', LIMIT, () => {
  const doorbell = JSON.stringify(path.join(__dirname, 'doorbell.js'));
  const run = (body: string) =>
    execFileSync(
      process.execPath,
      [
        '--eval',
        `const { openDoorbell, hold, unhold } = require(${doorbell});
         process.on('exit', () => console.log('end'));
         ${body}`,
      ],
      { encoding: 'utf8' },
    );
  assert.equal(run('openDoorbell();'), 'end\n');
  const held = `hold(); hold(); unhold();
    setTimeout(() => { console.log('still here'); unhold(); }, 20).unref();`;
  assert.equal(run(held), 'still here\nend\n');
});
