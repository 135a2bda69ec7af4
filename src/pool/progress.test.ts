import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { MapProgress } from './map.js';
import { ProgressMeter } from './progress.js';

test('rate and time left follow the last seconds, and what is over has none left', t => {
  let time = 1000;
  t.mock.method(performance, 'now', () => time);
  const seen: MapProgress[] = [];
  const meter = new ProgressMeter(progress => seen.push(progress));
  for (let i = 0; i < 100; i++) {
    time += 100;
    meter.note(10, 1, 4000); // a hundred a second
  }
  assert.deepEqual(seen.at(-1), {
    done: 1000,
    failed: 100,
    total: 4000,
    elapsed: 10_000,
    rate: 100,
    eta: 30_000,
  });
  for (let i = 0; i < 100; i++) {
    time += 100;
    meter.note(20, 0, 4000);
  }
  assert.deepEqual(seen.at(-1), {
    done: 3000,
    failed: 100,
    total: 4000,
    elapsed: 20_000,
    rate: 200,
    eta: 5000,
  });
  meter.note(1000, 0, undefined);
  assert.equal(seen.at(-1)?.eta, undefined);
  meter.end(4000);
  assert.deepEqual([seen.at(-1)?.done, seen.at(-1)?.total, seen.at(-1)?.eta], [4000, 4000, 0]);
  const { length } = seen;
  meter.end(4000);
  assert.equal(seen.length, length, 'told once');
});

test('what a listener throws is an uncaught exception', async () => {
  const caught = mock.fn();
  process.setUncaughtExceptionCaptureCallback(caught);
  try {
    const error = new Error('mine');
    const meter = new ProgressMeter(() => {
      throw error;
    });
    meter.note(1, 0, 1);
    await new Promise(resolve => setImmediate(resolve));
    assert.deepEqual(
      caught.mock.calls.map(call => call.arguments[0]),
      [error],
    );
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
});
