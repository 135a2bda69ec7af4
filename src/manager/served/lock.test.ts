import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockError, TimeoutError } from '../../errors/errors.js';
import { TestClient } from '../testing/test-client.js';
import { ServedCondition } from './condition.js';
import { ServedLock } from './lock.js';
import { ServedRLock } from './rlock.js';
import { ServedBoundedSemaphore, ServedSemaphore } from './semaphore.js';

function clients(count: number): TestClient[] {
  return Array.from({ length: count }, () => new TestClient());
}

/** Lets all go on that can. */
const turn = () => new Promise(setImmediate);

test('a lock goes to those who wait in order, and one who gives up is passed over', async () => {
  const lock = new ServedLock();
  const [a, b, c, d] = clients(4);
  const story: string[] = [];
  const grant = await a.call(lock, 'grant');
  const impatient = new AbortController();
  const gone = b.ask(impatient, lock, 'grant');
  for (const [name, client] of Object.entries({ c, d }))
    void client.call(lock, 'grant').then(() => story.push(name));
  assert.equal(await d.call(lock, 'tryGrant'), null);
  await assert.rejects(d.call(lock, 'grant', { timeout: 0 }), TimeoutError);
  await assert.rejects(d.call(lock, 'grant', { timeout: 1 }), TimeoutError);
  impatient.abort('enough');
  assert.equal(await gone.catch(reason => reason), 'enough');
  await a.call(lock, 'giveBack', grant.serial);
  await turn();
  assert.deepEqual(story, ['c']);
  await a.call(lock, 'giveBack', grant.serial); // it is c's now
  await turn();
  assert.deepEqual(story, ['c']);
  await a.call(lock, 'release'); // anyone may
  await turn();
  assert.deepEqual(story, ['c', 'd']);
  await d.call(lock, 'release');
  assert.equal(await a.call(lock, 'locked'), false);
  await assert.rejects(a.call(lock, 'release'), LockError);
});

test('a lock of one who has gone is the next one’s, who is told so; one who goes in line leaves it', async () => {
  const lock = new ServedLock();
  const [a, b, c] = clients(3);
  assert.equal((await a.call(lock, 'grant')).abandoned, false);
  b.call(lock, 'grant').catch(() => {});
  const last = c.call(lock, 'grant');
  b.end();
  a.end();
  const { serial, abandoned } = await last;
  assert.equal(abandoned, true);
  await c.call(lock, 'giveBack', serial);
  assert.equal((await c.call(lock, 'grant')).abandoned, false, 'it is told once');
  c.end();
  const late = new TestClient();
  assert.equal(await late.call(lock, 'locked'), false);
  await assert.rejects(late.call(lock, 'release'), LockError);
  assert.equal((await late.call(lock, 'grant')).abandoned, true);
});

test('one that goes while it holds several locks, and waits for more, is given nothing', async () => {
  const [a, b] = clients(2);
  const locks = Array.from({ length: 3 }, () => new ServedLock());
  await a.call(locks[0], 'grant');
  await a.call(locks[1], 'grant');
  a.call(locks[0], 'grant').catch(() => {}); // for what it holds itself: its end would hand it to itself
  a.end();
  for (const lock of locks) assert.equal(await b.call(lock, 'locked'), false);
});

test('an RLock is its client’s, as often as it likes', async () => {
  const lock = new ServedRLock();
  const [a, b] = clients(2);
  const first = await a.call(lock, 'grant');
  const second = await a.call(lock, 'grant');
  assert.ok(await a.call(lock, 'tryGrant'));
  await assert.rejects(b.call(lock, 'release'), LockError);
  const next = b.call(lock, 'grant');
  await a.call(lock, 'giveBack', first.serial);
  await a.call(lock, 'giveBack', first.serial); // nothing
  await a.call(lock, 'release');
  assert.equal(await b.call(lock, 'tryGrant'), null);
  await a.call(lock, 'giveBack', second.serial);
  await next;
  await assert.rejects(a.call(lock, 'release'), LockError);
});

test('a condition’s waiter gives up all levels, and has them again', async () => {
  const condition = new ServedCondition();
  const [a, b] = clients(2);
  await assert.rejects(a.call(condition, 'wait'), LockError);
  await assert.rejects(a.call(condition, 'notify'), LockError);
  const outer = await a.call(condition, 'grant');
  const inner = await a.call(condition, 'grant');
  const waiting = a.call(condition, 'wait');
  await b.call(condition, 'grant');
  await b.call(condition, 'notify');
  await a.call(condition, 'giveBack', inner.serial); // meanwhile
  await turn();
  await b.call(condition, 'release');
  assert.equal(await waiting, true);
  assert.equal(await b.call(condition, 'tryGrant'), null);
  await a.call(condition, 'giveBack', outer.serial);
  assert.ok(await b.call(condition, 'tryGrant'));
});

test('a wait of a condition that is given up, or out of time, has the lock back first', async () => {
  const condition = new ServedCondition(new ServedLock());
  const [a, b] = clients(2);
  await a.call(condition, 'grant');
  assert.equal(await a.call(condition, 'wait', { timeout: 0 }), false);
  assert.equal(await a.call(condition, 'wait', { timeout: 1 }), false);
  const controller = new AbortController();
  const given = a.ask(controller, condition, 'wait');
  await b.call(condition, 'grant');
  controller.abort('enough');
  let isOver = false;
  void given.catch(() => {}).then(() => (isOver = true));
  await turn();
  assert.equal(isOver, false);
  await b.call(condition, 'release');
  assert.equal(await given.catch(reason => reason), 'enough');
  await assert.rejects(b.call(condition, 'notify'), LockError);
  await a.call(condition, 'notify', 0);
});

test('a wake for one who has gone before it had the lock goes to the next in line', async () => {
  const condition = new ServedCondition();
  const [a, b, c] = clients(3);
  await a.call(condition, 'grant');
  a.call(condition, 'wait').catch(() => {});
  await b.call(condition, 'grant');
  const woken = b.call(condition, 'wait');
  await c.call(condition, 'grant');
  await c.call(condition, 'notify', 1);
  await turn(); // a waits for the lock by now
  a.end();
  await turn();
  await c.call(condition, 'release');
  assert.equal(await woken, true);
  assert.throws(() => new ServedCondition({} as ServedLock), TypeError);
});

test('a semaphore serves in order; permits of one who has gone come back, and one is told', async () => {
  const semaphore = new ServedSemaphore(2);
  const [a, b, c] = clients(3);
  const first = await a.call(semaphore, 'grant');
  await a.call(semaphore, 'grant');
  assert.equal(await b.call(semaphore, 'tryGrant'), null);
  await assert.rejects(b.call(semaphore, 'grant', { timeout: 0 }), TimeoutError);
  const [next, last] = [b.call(semaphore, 'grant'), c.call(semaphore, 'grant')];
  await a.call(semaphore, 'giveBack', first.serial);
  await a.call(semaphore, 'giveBack', first.serial);
  assert.equal((await next).abandoned, false);
  a.end();
  assert.equal((await last).abandoned, true);
  assert.equal(await b.call(semaphore, 'getValue'), 0);
  await b.call(semaphore, 'release', 3); // both that are held, and one more
  assert.equal(await b.call(semaphore, 'getValue'), 3);
  await c.call(semaphore, 'giveBack', (await last).serial);
  assert.equal(await b.call(semaphore, 'getValue'), 3);
  await assert.rejects(b.call(semaphore, 'release', 0), RangeError);
});

test('a release pays for a permit of one’s own first', async () => {
  const semaphore = new ServedSemaphore(2);
  const [a, b] = [new TestClient(), new TestClient()];
  await a.call(semaphore, 'grant');
  await b.call(semaphore, 'grant');
  await b.call(semaphore, 'release');
  b.end();
  assert.equal(await a.call(semaphore, 'getValue'), 1);
  a.end();
  assert.equal(await new TestClient().call(semaphore, 'getValue'), 2);
});

test('a bounded semaphore never has more permits than at first', async () => {
  const semaphore = new ServedBoundedSemaphore(1);
  const client = new TestClient();
  await assert.rejects(client.call(semaphore, 'release'), LockError);
  await client.call(semaphore, 'grant');
  await assert.rejects(client.call(semaphore, 'release', 2), LockError);
  await client.call(semaphore, 'release');
  assert.equal(await client.call(semaphore, 'getValue'), 1);
  assert.throws(() => new ServedSemaphore(-1), RangeError);
  assert.throws(() => new ServedSemaphore('1' as never), TypeError);
});
