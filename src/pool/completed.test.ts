import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CancelledError, TimeoutError } from '../errors/errors.js';
import { leavesNothing } from '../testing/leaks.js';
import { AsyncResult } from './async-result.js';
import { asCompleted, waitFutures } from './completed.js';
import { Future } from './future.js';

leavesNothing();

let listeners = 0;

/** Counts who listens. */
class Watched<R> extends Future<R> {
  override watch(listener: () => void): () => void {
    const forget = super.watch(() => {
      listeners--;
      listener();
    });
    listeners++;
    return () => {
      if (!this.ready()) listeners--;
      forget();
    };
  }
}

const futures = (count: number) => Array.from({ length: count }, () => Watched.pending<Watched<number>>());

/** As an executor cancels one that waits. */
function cancel(future: Future<unknown>): void {
  const withdraw = (reason: unknown) => {
    future.fail(reason);
    return true;
  };
  future.setSource({ cancel: withdraw, withdraw, isRunning: () => false });
  future.cancel();
}

describe('asCompleted()', () => {
  test('gives those that are over in their order, then the others as they end, each once', async () => {
    const [a, b, c, d] = futures(4);
    c.give(3);
    b.fail(new Error('b'));
    const seen = asCompleted([a, b, c, d, a, c]);
    assert.equal((await seen.next()).value, b);
    assert.equal((await seen.next()).value, c);
    const third = seen.next();
    d.give(4);
    a.give(1);
    assert.equal((await third).value, d);
    assert.equal((await seen.next()).value, a);
    assert.deepEqual(await seen.next(), { done: true, value: undefined });
    for await (const _ of asCompleted([])) assert.fail('there is none');
  });

  test('takes results of pools and futures alike, as any iterable, and nothing else', async () => {
    const result = AsyncResult.pending<AsyncResult<string>>();
    const [future] = futures(1);
    result.give('of a pool');
    future.give(1);
    const values: (string | number)[] = [];
    for await (const each of asCompleted<string | number>(new Set([result, future]))) values.push(await each);
    assert.deepEqual(values, ['of a pool', 1]);
    for (const wrong of [Promise.resolve(1), 5, null, () => 1])
      assert.throws(() => asCompleted([future, wrong as never]), {
        name: 'TypeError',
        message: /Promise\.race/,
      });
  });

  test('rejects when time is out, counted from the call, and leaves the futures as they are', async () => {
    const [a, b, c] = futures(3);
    a.give(1);
    const seen = asCompleted([a, b, c], { timeout: 20 });
    assert.equal((await seen.next()).value, a);
    await assert.rejects(seen.next(), {
      name: 'TimeoutError',
      message: /all 3 futures within 20 ms as 2 are not/,
    });
    assert.equal((await seen.next()).done, true);
    const late = asCompleted([b, c], { timeout: 1 });
    await assert.rejects(asCompleted([b], { timeout: 20 }).next(), TimeoutError);
    b.give(2); // there already, though it is late to ask
    assert.equal((await late.next()).value, b);
    await assert.rejects(late.next(), TimeoutError);
    await assert.rejects(asCompleted([c], { timeout: 0 }).next(), TimeoutError);
    assert.throws(() => asCompleted([c], { timeout: -1 }), RangeError);
    assert.equal(listeners, 0);
    c.give(3);
    assert.equal(await c, 3);
  });

  test('rejects when aborted, and leaves nothing at the futures', async () => {
    const [a, b] = futures(2);
    const impatient = new AbortController();
    const seen = asCompleted([a, b], { signal: impatient.signal });
    const next = seen.next();
    impatient.abort('enough');
    await assert.rejects(next, e => e === 'enough');
    assert.equal(listeners, 0);
    assert.equal((await seen.next()).done, true);
    await assert.rejects(asCompleted([a], { signal: impatient.signal }).next(), e => e === 'enough');
    assert.equal(listeners, 0);
  });

  test('leaves nothing at the futures when it is left early; who waits in next() is told', async () => {
    const all = futures(3);
    all[0].give(0);
    for await (const first of asCompleted(all)) {
      assert.equal(first, all[0]);
      assert.equal(listeners, 2);
      break;
    }
    assert.equal(listeners, 0);
    const seen = asCompleted(all.slice(1));
    const waiting = [seen.next(), seen.next()];
    await seen.return?.();
    assert.deepEqual(await Promise.all(waiting), Array(2).fill({ done: true, value: undefined }));
    assert.equal(listeners, 0);
  });

  test('calls of next() that overlap get one each', async () => {
    const all = futures(3);
    const seen = asCompleted(all);
    const steps = [seen.next(), seen.next(), seen.next(), seen.next()];
    for (const future of all.toReversed()) future.give(1);
    assert.deepEqual(
      (await Promise.all(steps)).map(step => (step.done ? 'done' : all.indexOf(step.value))),
      [2, 1, 0, 'done'],
    );
  });

  test('takes as long for each of many as for each of few', { timeout: 10_000 }, async () => {
    const all = futures(10_000);
    const seen = asCompleted(all);
    for (const [i, future] of all.entries()) {
      future.give(i);
      assert.equal((await seen.next()).value, future);
    }
    let count = 0;
    for await (const _ of asCompleted(all)) count++;
    assert.equal(count, all.length);
  });
});

describe('waitFutures()', () => {
  const over = ({ done, notDone }: { done: Set<unknown>; notDone: Set<unknown> }, all: unknown[]) => [
    [...done].map(future => all.indexOf(future)),
    [...notDone].map(future => all.indexOf(future)),
  ];

  test('waits for all, and tells each once', async () => {
    const all = futures(3);
    all[1].fail(new Error('over is over'));
    let waited = false;
    const waiting = waitFutures([...all, ...all]).then(result => {
      waited = true;
      return result;
    });
    all[2].give(2);
    await new Promise(setImmediate);
    assert.equal(waited, false);
    all[0].give(0);
    assert.deepEqual(over(await waiting, all), [[0, 1, 2], []]);
    for (const returnWhen of ['all', 'first', 'firstError'] as const) {
      assert.deepEqual(over(await waitFutures([], { returnWhen }), all), [[], []]);
      assert.deepEqual(over(await waitFutures(all, { returnWhen }), all), [[0, 1, 2], []]);
    }
    assert.equal(listeners, 0);
  });

  test('waits for the first, be it there already, and whatever it came to', async () => {
    const all = futures(3);
    const waiting = waitFutures(all, { returnWhen: 'first' });
    all[1].fail(new Error('first'));
    assert.deepEqual(over(await waiting, all), [[1], [0, 2]]);
    assert.deepEqual(over(await waitFutures(all, { returnWhen: 'first' }), all), [[1], [0, 2]]);
    const rest = waitFutures([all[0], all[2]], { returnWhen: 'first' });
    cancel(all[2]);
    assert.deepEqual(over(await rest, all), [[2], [0]]);
    assert.equal(listeners, 0);
  });

  test('waits for the first error; one that is cancelled is none', async () => {
    const all = futures(4);
    const waiting = waitFutures(all, { returnWhen: 'firstError' });
    all[0].give(0);
    cancel(all[1]);
    await new Promise(setImmediate);
    assert.deepEqual(over(await waitFutures(all, { returnWhen: 'firstError', timeout: 0 }), all), [
      [0, 1],
      [2, 3],
    ]);
    all[2].fail(new CancelledError('what its function threw'));
    assert.deepEqual(over(await waiting, all), [[0, 1, 2], [3]]);
    assert.deepEqual(over(await waitFutures(all, { returnWhen: 'firstError' }), all), [[0, 1, 2], [3]]);

    const ofPool = AsyncResult.pending<AsyncResult<number>>();
    const mixed = [ofPool, all[3]];
    const both = waitFutures(mixed, { returnWhen: 'firstError' });
    ofPool.fail(new CancelledError('its pool was terminated'));
    all[3].give(3);
    assert.deepEqual(over(await both, mixed), [[0, 1], []]);
    assert.equal(listeners, 0);
  });

  test('tells what is over when time is out; rejects when aborted', async () => {
    const all = futures(2);
    all[1].give(1);
    for (const timeout of [0, 5])
      assert.deepEqual(over(await waitFutures(all, { timeout }), all), [[1], [0]]);
    const impatient = new AbortController();
    const waiting = waitFutures(all, { signal: impatient.signal });
    impatient.abort('enough');
    await assert.rejects(waiting, e => e === 'enough');
    await assert.rejects(waitFutures(all, { signal: impatient.signal }), e => e === 'enough');
    assert.equal(listeners, 0);
  });

  test('refuses what it cannot wait for', async () => {
    const all = futures(1);
    await assert.rejects(waitFutures([Promise.resolve(1) as never]), TypeError);
    await assert.rejects(waitFutures(all, { timeout: Number.NaN }), RangeError);
    for (const returnWhen of ['ALL_COMPLETED', 'constructor', null])
      await assert.rejects(waitFutures(all, { returnWhen: returnWhen as never }), {
        name: 'RangeError',
        message: /'firstError'/,
      });
    assert.equal(listeners, 0);
  });
});
