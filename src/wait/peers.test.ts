import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE } from '../memory/layout.js';
import { indexOf, record, self } from '../memory/participants.js';
import { leavesNothing } from '../testing/leaks.js';
import { BUCKET, bucketOf } from './buckets.js';
import { sweepDead, watchDeaths } from './deaths.js';
import { ring } from './doorbell.js';
import { waiting, wake, wakeAll } from './line.js';
import { park } from './park.js';
import { startProcess, startThread } from './testing/peer.js';

leavesNothing({
  warm() {
    watchDeaths();
    ring(indexOf(self()), 0); // whoever rings everyone rings himself, too
  },
});

const ECHO = path.join(__dirname, 'testing', 'echo.js');
const CROWD = path.join(__dirname, 'testing', 'crowd.js');

/** Words of the commons, in one block. */
function wordsFor<K extends string>(...names: K[]): Record<K, number> & Disposable {
  const handle = allocate(4 * names.length, { owner: FAMILY, zero: true });
  const at = Object.fromEntries(names.map((name, i) => [name, offsetOf(handle) / 4 + i])) as Record<
    K,
    number
  >;
  return Object.assign(at, { [Symbol.dispose]: () => free(handle) });
}

/** Waits until the word holds `value`; whoever changes it wakes one. */
async function until(word: number, value: (now: number) => boolean): Promise<number> {
  for (;;) {
    const now = Atomics.load(words, word);
    if (value(now)) return now;
    await park(word, now);
  }
}

function tagsAt(word: number): number[] {
  return waiting(word).map(({ tag }) => tag);
}

function deadRecords(): number[] {
  const dead: number[] = [];
  for (let index = 1; index < words[HEADER.PARTICIPANTS_USED]; index++)
    if (words[record(index) + PARTICIPANT.STATE] === PARTICIPANT_STATE.DEAD) dead.push(index);
  return dead;
}

for (const [carrier, start] of Object.entries({ process: startProcess, thread: startThread })) {
  for (const blocking of [false, true]) {
    const form = blocking ? 'blocking' : 'async';
    test(`each wake reaches a ${form} wait in another ${carrier}`, { timeout: 20_000 }, async () => {
      using at = wordsFor('word', 'count', 'hello');
      const times = 200;
      const peer = start(ECHO, { ...at, blocking, times });
      for (let i = 0; i < times; i++) {
        while (wake(at.word) === 0) await new Promise(setImmediate);
        await until(at.count, count => count > i);
      }
      assert.equal(await peer.ended, 0);
      assert.equal(words[at.count], times);
      sweepDead();
    });
  }
}

for (const blocking of [false, true]) {
  const form = blocking ? 'blocking' : 'async';
  test(`a thread terminated in a ${form} wait leaves the line`, { timeout: 20_000 }, async () => {
    using at = wordsFor('word', 'count', 'hello');
    const peer = startThread(ECHO, { ...at, blocking, times: 1 });
    const tag = await until(at.hello, now => now !== 0);
    while (waiting(at.word).length === 0) await new Promise(setImmediate);
    const next = park(at.word, 0);
    assert.deepEqual(tagsAt(at.word), [tag, self()]);
    await peer.die(tag);
    assert.deepEqual(tagsAt(at.word), [self()]);
    assert.equal(wake(at.word), 1);
    assert.equal((await next).outcome, 'woken');
    sweepDead();
    assert.equal(words[bucketOf(at.word) + BUCKET.HEAD], 0);
    assert.deepEqual(deadRecords(), []);
  });
}

test('a wake spent on a killed process goes to the next in line', { timeout: 20_000 }, async () => {
  using at = wordsFor('word', 'count', 'hello');
  const peer = startProcess(ECHO, { ...at, blocking: true, times: 1 });
  while (waiting(at.word).length === 0) await new Promise(setImmediate);
  const next = park(at.word, 0);
  peer.child.kill('SIGSTOP'); // so that it cannot see it
  assert.equal(wake(at.word, 1, { token: 9 }), 1);
  peer.child.kill('SIGKILL');
  assert.equal(await peer.ended, 'SIGKILL');
  assert.deepEqual(await next, { outcome: 'woken', token: 9 });
});

test('a wake with passOn: false is not passed on', { timeout: 20_000 }, async () => {
  using at = wordsFor('word', 'count', 'hello');
  const peer = startProcess(ECHO, { ...at, blocking: false, times: 1 });
  while (waiting(at.word).length === 0) await new Promise(setImmediate);
  const next = park(at.word, 0);
  peer.child.kill('SIGSTOP');
  assert.equal(wake(at.word, 1, { passOn: false }), 1);
  peer.child.kill('SIGKILL');
  await peer.ended;
  sweepDead();
  assert.deepEqual(tagsAt(at.word), [self()]);
  wakeAll(at.word);
  await next;
});

test('recheck() is asked after a death, and ends the wait', { timeout: 20_000 }, async () => {
  using at = wordsFor('word', 'count', 'hello');
  const peer = startProcess(ECHO, { ...at, blocking: true, times: 1 });
  await until(at.hello, now => now !== 0);
  const wait = park(at.count, 0, { recheck: () => false });
  peer.child.kill('SIGKILL');
  await peer.ended;
  assert.equal((await wait).outcome, 'changed');
});

test('a crowd that is killed at random leaves nobody stuck and nothing behind', {
  timeout: 60_000,
}, async () => {
  using at = wordsFor('word', 'beats');
  const kills = Number(process.env.MANYHANDS_KILLS ?? 10);
  let crowd = Array.from({ length: 3 }, () => startProcess(CROWD, at));
  for (let i = 0; i < kills; i++) {
    const before = words[at.beats];
    await until(at.beats, now => now > before + (i % 7));
    const [victim] = crowd.splice(i % crowd.length, 1);
    victim.child.kill('SIGKILL');
    crowd.push(startProcess(CROWD, at));
    await victim.ended;
  }
  const wait = park(at.word, 0, { timeout: 10_000 });
  assert.equal((await wait).outcome, 'woken'); // by those who are left
  for (const { child } of crowd) child.kill('SIGKILL');
  for (const { ended } of crowd) await ended;
  crowd = [];
  sweepDead();
  assert.deepEqual(waiting(at.word), []);
  assert.deepEqual(deadRecords(), []);
  assert.equal(words[bucketOf(at.word) + BUCKET.LOCK], 0);
});
