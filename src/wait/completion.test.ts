import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { Completion } from './completion.js';

leavesNothing();

const LIMIT = { timeout: 10_000 };

test('waiters get what it came to, in the order in which they came', LIMIT, async () => {
  const done = new Completion<string>();
  assert.equal(done.outcome, undefined);
  const order: number[] = [];
  const waits = [1, 2, 3].map(async i => {
    const outcome = await done.wait();
    order.push(i);
    return outcome?.value;
  });
  done.complete('first');
  done.complete('second');
  assert.deepEqual(await Promise.all(waits), ['first', 'first', 'first']);
  assert.deepEqual(order, [1, 2, 3]);
  assert.deepEqual(done.outcome, { value: 'first' });
  assert.deepEqual(await done.wait({ timeout: 0 }), { value: 'first' });
});

test('undefined is an outcome like any other', LIMIT, async () => {
  const done = new Completion<undefined>();
  assert.equal(await done.wait({ timeout: 0 }), undefined);
  done.complete(undefined);
  assert.deepEqual(await done.wait(), { value: undefined });
});

test('one that runs out of time leaves the others waiting', LIMIT, async () => {
  const done = new Completion<number>();
  const patient = done.wait();
  assert.equal(await done.wait({ timeout: 1 }), undefined);
  done.complete(5);
  assert.deepEqual(await patient, { value: 5 });
});

test('a signal calls a wait off, before it and during it, and leaves no listener', LIMIT, async () => {
  const done = new Completion<number>();
  const reason = { why: 'enough' };
  const calledOff = (wait: Promise<unknown>) =>
    wait.then(
      () => assert.fail('it went on'),
      error => assert.equal(error, reason),
    );
  await calledOff(done.wait({ signal: AbortSignal.abort(reason) }));
  await calledOff(done.wait({ signal: AbortSignal.abort(reason), timeout: 0 }));
  const controller = new AbortController();
  const { signal } = controller;
  const wait = done.wait({ signal, timeout: 1e9 });
  controller.abort(reason);
  await calledOff(wait);
  const other = new AbortController().signal;
  const happens = done.wait({ signal: other });
  done.complete(1);
  assert.deepEqual(await happens, { value: 1 });
  for (const one of [signal, other]) assert.equal(getEventListeners(one, 'abort').length, 0);
});

test('a wait longer than any timer, and one for ever, end with the event', LIMIT, async () => {
  const done = new Completion<number>();
  const waits = [2 ** 40, Number.POSITIVE_INFINITY].map(timeout => done.wait({ timeout }));
  await new Promise(resolve => setImmediate(resolve));
  done.complete(1);
  assert.deepEqual(await Promise.all(waits), [{ value: 1 }, { value: 1 }]);
});

test('a wrong timeout is told at once', LIMIT, async () => {
  await assert.rejects(new Completion<number>().wait({ timeout: -1 }), RangeError);
});
