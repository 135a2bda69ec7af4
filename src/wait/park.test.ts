import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { REASON } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { leavesNothing } from '../testing/leaks.js';
import { BUCKET, bucketOf } from './buckets.js';
import { haveAllLook } from './deaths.js';
import { openDoorbell } from './doorbell.js';
import { type Waiter, waiting, wake, wakeAll } from './line.js';
import { park, parkSync, watch } from './park.js';
import type { Parked } from './parking.js';

leavesNothing({ warm: openDoorbell });

const handles: number[] = [];
afterEach(() => {
  for (const handle of handles.splice(0)) {
    assert.deepEqual(waiting(offsetOf(handle) / 4), []);
    free(handle);
  }
});

/** A word of the commons, holding 0. */
function word(): number {
  const handle = allocate(16, { owner: FAMILY, zero: true });
  handles.push(handle);
  return offsetOf(handle) / 4;
}

const outcome = ({ outcome }: Parked) => outcome;

test('wake() wakes as many as it says, in order of arrival, with its token', { timeout: 5000 }, async () => {
  const at = word();
  const order: number[] = [];
  const waits = [0, 1, 2, 3, 4].map(async i => {
    const parked = await park(at, 0);
    order.push(i);
    return parked.token;
  });
  assert.equal(waiting(at).length, 5);
  assert.equal(wake(at, 2, { token: 7 }), 2);
  assert.equal(wake(at, 1, { token: -8 }), 1);
  assert.equal(wakeAll(at), 2);
  assert.equal(wake(at), 0);
  assert.deepEqual(await Promise.all(waits), [7, 7, -8, 0, 0]);
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
});

test('those who wait on another word of the same bucket are passed over', { timeout: 5000 }, async () => {
  const at = word();
  const other = sharingBucketWith(at);
  const waits = [park(other, words[other]), park(at, 0), park(other, words[other])];
  assert.equal(wake(at, 5), 1);
  assert.equal(await waits[1].then(outcome), 'woken');
  assert.equal(waiting(other).length, 2);
  assert.equal(wakeAll(other), 2);
  await Promise.all(waits);
});

/** Never changed here: any word can be waited on. */
function sharingBucketWith(at: number): number {
  for (let other = at + 1; ; other++) if (bucketOf(other) === bucketOf(at)) return other;
}

test('a word that does not hold what is expected is not waited on', async () => {
  const at = word();
  assert.equal(outcome(await park(at, 1)), 'changed');
  assert.equal(outcome(parkSync(at, 1)), 'changed');
  assert.equal(outcome(await park(at, 1, { timeout: 0 })), 'changed');
});

test('a timeout of 0 does not wait, one of 20 waits that long and no longer counts', async () => {
  const at = word();
  assert.equal(outcome(await park(at, 0, { timeout: 0 })), 'timeout');
  assert.equal(outcome(parkSync(at, 0, { timeout: 0 })), 'timeout');
  for (const form of [park, parkSync]) {
    const start = performance.now();
    assert.equal(outcome(await form(at, 0, { timeout: 20 })), 'timeout');
    assert.ok(performance.now() - start >= 20);
  }
  assert.equal(wake(at), 0);
});

test('a timeout too long for a timer does not fire early', { timeout: 5000 }, async () => {
  const at = word();
  const wait = park(at, 0, { timeout: 2 ** 40 });
  await park(word(), 0, { timeout: 10 });
  assert.equal(wake(at), 1);
  assert.equal(outcome(await wait), 'woken');
});

test('what is no timeout is refused before anything is done', async () => {
  const at = word();
  for (const form of [park, async (...args: Parameters<typeof parkSync>) => parkSync(...args)]) {
    await assert.rejects(form(at, 0, { timeout: -1 }), RangeError);
    await assert.rejects(form(at, 0, { timeout: '1' as unknown as number }), TypeError);
  }
});

test('a signal aborted before the call: nothing is done', async () => {
  const at = word();
  const reason = new Error('mine');
  await assert.rejects(park(at, 0, { signal: AbortSignal.abort(reason) }), error => error === reason);
});

test('a signal aborted during the wait: the next in line gets the wake', { timeout: 5000 }, async () => {
  const at = word();
  const impatient = new AbortController();
  const reason = new Error('mine');
  const first = park(at, 0, { signal: impatient.signal });
  const second = park(at, 0);
  impatient.abort(reason);
  assert.equal(wake(at), 1);
  await assert.rejects(first, error => error === reason);
  assert.equal(outcome(await second), 'woken');
});

test('a wake that came before the abort counts', { timeout: 5000 }, async () => {
  const at = word();
  const late = new AbortController();
  const wait = park(at, 0, { signal: late.signal });
  assert.equal(wake(at, 1, { token: 5 }), 1);
  late.abort();
  assert.deepEqual(await wait, { outcome: 'woken', token: 5 });
});

test('a wake that came before the time ran out counts', { timeout: 5000 }, async () => {
  const at = word();
  const wait = park(at, 0, { timeout: 5 });
  queueMicrotask(() => {
    wake(at);
    for (const end = performance.now() + 10; performance.now() < end; );
  });
  assert.equal(outcome(await wait), 'woken');
});

test('the wake of one that gave up goes to nobody later', async () => {
  const at = word();
  await park(at, 0, { timeout: 1 });
  assert.equal(wake(at), 0);
  assert.equal(outcome(await park(at, 0, { timeout: 1 })), 'timeout');
});

test('settle() learns whom the wake is for and whether more wait, before anyone goes on', {
  timeout: 5000,
}, async () => {
  const at = word();
  const seen: unknown[] = [];
  const settle = (woken: readonly Waiter[], more: boolean) => {
    seen.push([woken.length, more]);
    for (const { tag } of woken) assert.equal(tag, self());
    Atomics.store(words, at, woken.length);
  };
  assert.equal(wake(at, 2, { settle }), 0);
  const waits = [0, 1, 2].map(() => park(at, 0));
  assert.equal(wake(at, 2, { settle }), 2);
  assert.equal(wake(at, 2, { settle }), 1);
  assert.deepEqual(seen, [
    [0, false],
    [2, true],
    [1, false],
  ]);
  await Promise.all(waits);
});

test('choose() says who of those in line is woken, by what each noted', { timeout: 5000 }, async () => {
  const at = word();
  const woken: number[] = [];
  const wait = (n: number) => park(at, 0, { note: [n, -n, n * n] }).then(() => woken.push(n));
  const waits = [1, 2, 3, 4].map(wait);
  let seen: unknown;
  const settle = (waiters: readonly Waiter[], more: boolean) => {
    seen = [waiters.map(({ note }) => note), more];
  };
  const isEven = ({ note: [n] }: Waiter) => n % 2 === 0;
  assert.equal(wake(at, 1, { choose: isEven, settle }), 1);
  assert.deepEqual(seen, [[[2, -2, 4]], true]);
  assert.equal(wake(at, 9, { choose: isEven, settle }), 1);
  assert.deepEqual(seen, [[[4, -4, 16]], true]);
  assert.equal(wake(at, 9, { settle }), 2);
  assert.equal((seen as [unknown, boolean])[1], false);
  await Promise.all(waits);
  assert.deepEqual(woken, [2, 4, 1, 3]);
});

test('one that enters first is woken before those that came earlier', { timeout: 5000 }, async () => {
  const at = word();
  const order: string[] = [];
  const waits = [
    park(at, 0).then(() => order.push('early')),
    park(at, 0, { first: true }).then(() => order.push('first')),
    park(at, 0).then(() => order.push('late')),
  ];
  for (let i = 0; i < 3; i++) assert.equal(wake(at), 1);
  await Promise.all(waits);
  assert.deepEqual(order, ['first', 'early', 'late']);
});

test('looks come while a thread is blocked, each in its time, and may end the wait', () => {
  const at = word();
  const looks: number[] = [];
  const look = (n: number) => ({ after: n, look: () => void looks.push(n) });
  assert.equal(parkSync(at, 0, { timeout: 20, looks: [look(1), look(5), look(30)] }).outcome, 'timeout');
  assert.deepEqual(looks, [1, 5]);
  const fails = () => {
    throw new Error('seen enough');
  };
  assert.throws(() => parkSync(at, 0, { looks: [{ after: 1, look: fails }] }), /seen enough/);
  assert.deepEqual(waiting(at), []);
  const wakes = () => {
    assert.equal(wake(at), 1);
    throw new Error('too late');
  };
  assert.equal(parkSync(at, 0, { looks: [{ after: 1, look: wakes }] }).outcome, 'woken');
});

test('a blocking wait that, asked after a death, wakes itself, sleeps no longer', () => {
  const at = word();
  const recheck = () => wake(at) === 1; // as one that finds that it is the heir
  const begun = performance.now();
  const parked = parkSync(at, 0, { timeout: 10_000, recheck, looks: [{ after: 1, look: haveAllLook }] });
  assert.equal(parked.outcome, 'woken');
  assert.ok(performance.now() - begun < 9_000);
});

test('queued() runs in line; when it throws, nothing of the wait is left', async () => {
  const at = word();
  let inLine = 0;
  const queued = () => {
    inLine = waiting(at).length;
    throw new Error('no');
  };
  assert.throws(() => parkSync(at, 0, { queued }), /no/);
  assert.equal(inLine, 1);
  inLine = 0;
  await assert.rejects(park(at, 0, { queued }), /no/);
  assert.equal(inLine, 1);
});

test('a blocking wait that is woken in queued() does not sleep', { timeout: 5000 }, () => {
  const at = word();
  assert.deepEqual(parkSync(at, 0, { queued: () => wake(at, 1, { token: 3 }) }), {
    outcome: 'woken',
    token: 3,
  });
});

test('async waits woken while their thread blocks hear of it afterwards', { timeout: 5000 }, async () => {
  const at = word();
  const other = word();
  const wait = park(at, 0);
  parkSync(other, 0, { timeout: 5, queued: () => wake(at) });
  assert.equal(outcome(await wait), 'woken');
});

test('10,000 waits of one thread on several words end in order and leave nothing', {
  timeout: 20_000,
}, async () => {
  const at = [word(), word(), word()];
  const { signal } = new AbortController();
  const order: number[][] = [[], [], []];
  const waits = Array.from({ length: 10_000 }, (_, i) =>
    park(at[i % 3], 0, { signal, timeout: 60_000 }).then(() => order[i % 3].push(i)),
  );
  for (const one of at) while (wake(one, 700) > 0);
  await Promise.all(waits);
  for (const [k, ended] of order.entries())
    assert.deepEqual(
      ended,
      Array.from({ length: ended.length }, (_, i) => 3 * i + k),
    );
  assert.equal(order.flat().length, 10_000);
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'));
  for (const one of at) assert.equal(words[bucketOf(one) + BUCKET.HEAD], 0);
});

test('a watch is notified once, by a wake or after a death, in line with others', {
  timeout: 5000,
}, async () => {
  const at = word();
  let isWorthwhile = true;
  const notified: number[] = [];
  const watches = [0, 1, 2].map(i =>
    watch(at, 0, { isWorthwhile: () => i !== 1 || isWorthwhile, notify: () => notified.push(i) }),
  );
  const parked = park(at, 0);
  assert.equal(waiting(at).length, 4);
  native.ringAll(REASON.DEATH);
  await turn();
  assert.deepEqual(notified, []);
  isWorthwhile = false;
  native.ringAll(REASON.DEATH);
  while (notified.length === 0) await turn();
  assert.deepEqual(notified, [1]);
  watches[0]?.stop();
  watches[0]?.stop();
  assert.equal(waiting(at).length, 2);
  assert.equal(wakeAll(at), 2);
  assert.equal((await parked).outcome, 'woken');
  assert.deepEqual(notified, [1, 2]);
  for (const one of watches) one?.stop();
});

test('a watch that stops as it is woken hears nothing, and is not kept', { timeout: 5000 }, async () => {
  const at = word();
  const one = watch(at, 0, { isWorthwhile: () => true, notify: () => assert.fail('it had stopped') });
  assert.equal(wakeAll(at), 1);
  one?.stop();
  await turn();
  assert.deepEqual(waiting(at), []);
  Atomics.store(words, at, 1);
  assert.equal(watch(at, 0, { isWorthwhile: () => true, notify() {} }), undefined);
});
