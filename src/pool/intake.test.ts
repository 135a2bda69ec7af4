import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Intake } from './intake.js';

/** An iterator of so many numbers that counts how often it is told to end. */
function counted(numbers: number, during = () => {}) {
  let next = 0;
  const iterator = {
    returns: 0,
    [Symbol.iterator]: () => iterator,
    next() {
      during();
      return next < numbers ? { done: false, value: next++ } : { done: true, value: undefined };
    },
    return() {
      iterator.returns++;
      return { done: true, value: undefined };
    },
  };
  return iterator;
}

test('an iterator is told once that no more is wanted, and not at all when it had ended or thrown', async () => {
  const left = counted(5);
  const intake = new Intake(left as Iterable<number>);
  assert.deepEqual(intake.take(2, false), [0, 1]);
  await intake.leave();
  await intake.leave();
  assert.equal(left.returns, 1);

  const ended = counted(2);
  const whole = new Intake(ended as Iterable<number>);
  assert.deepEqual(
    [whole.total, whole.take(3, false), whole.isOver, whole.total],
    [undefined, [0, 1], true, 2],
  );
  await whole.leave();

  const thrown = counted(5, () => {
    throw new RangeError('no more');
  });
  const broken = new Intake(thrown as Iterable<number>);
  assert.deepEqual([broken.take(3, false), broken.isOver, broken.total], [[], true, undefined]);
  assert.deepEqual(broken.failure, { error: new RangeError('no more') });
  await broken.leave();
  assert.deepEqual([ended.returns, thrown.returns], [0, 0]);
});

test('an iterator that calls off what it is asked for is told when it has answered', () => {
  const items = function* () {
    try {
      yield 1;
      void intake.leave();
      yield 2;
    } finally {
      ends++;
    }
  };
  let ends = 0;
  const intake = new Intake(items());
  assert.deepEqual(intake.take(5, false), [1, 2]);
  assert.equal(ends, 1);
});

test('what has items has those of the call, and other things are asked when it is their turn', () => {
  const array = [1, 2, 3];
  const intake = new Intake(array);
  array.length = 0;
  assert.deepEqual([intake.total, intake.take(2, false), intake.take(2, false)], [3, [1, 2], [3]]);
  for (const items of [
    new Set([1, 2]),
    new Map([
      [1, 0],
      [2, 0],
    ]).keys(),
    Uint8Array.of(1, 2),
  ])
    assert.deepEqual(new Intake(items).take(9, false), [1, 2]);
  assert.deepEqual(new Intake('ab').take(9, false), ['a', 'b']);
  const lying = { size: 1, [Symbol.iterator]: () => [1, 2][Symbol.iterator]() };
  const liar = new Intake(lying);
  assert.equal(liar.total, 1);
  liar.take(2, false);
  assert.equal(liar.total, undefined);
  for (const none of [5, null, undefined, {}]) assert.throws(() => new Intake(none as never), TypeError);
});

test('an iterator that takes its time is not asked for longer than the workers can wait', t => {
  let time = 0;
  t.mock.method(performance, 'now', () => time);
  const pass = () => {
    time += 0.1;
  };
  const slow = () => counted(1000, pass) as Iterable<number>;
  assert.ok(new Intake(slow()).take(1000, true).length < 100);
  assert.equal(new Intake(slow()).take(1000, false).length, 1000);
});
