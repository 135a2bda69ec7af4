import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { timeoutOf } from './options.js';

leavesNothing();

test('a timeout is a number from 0 on; without one, a wait lasts for ever', () => {
  assert.equal(timeoutOf(undefined), Number.POSITIVE_INFINITY);
  assert.equal(timeoutOf({}), Number.POSITIVE_INFINITY);
  for (const timeout of [0, 0.5, 1000, Number.POSITIVE_INFINITY])
    assert.equal(timeoutOf({ timeout }), timeout);
});

test('what is no time is told with the value seen', () => {
  assert.throws(() => timeoutOf({ timeout: -1 }), { name: 'RangeError', message: /is -1/ });
  assert.throws(() => timeoutOf({ timeout: Number.NaN }), { name: 'RangeError', message: /is NaN/ });
  assert.throws(() => timeoutOf({ timeout: '5' as never }), { name: 'TypeError', message: /is string/ });
  assert.throws(() => timeoutOf({ timeout: null as never }), TypeError);
});
