import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { Thread } from './thread.js';
import { Timer } from './timer.js';

leavesNothing({
  async warm() {
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 60_000 };
const A_DAY = 24 * 60 * 60 * 1000;
const clock = () => Number(process.hrtime.bigint() / 1000n) / 1000;

test(
  'calls its target once, when the delay since start() has passed, with its arguments',
  limit,
  async () => {
    const target = (a: number, b: number) => [a + b, Number(process.hrtime.bigint() / 1000n) / 1000];
    const timer = new Timer(150, target, [1, 2]);
    const before = clock();
    timer.start();
    const [sum, at] = (await timer.result()) as number[];
    assert.equal(sum, 3);
    assert.ok(at - before >= 150, `it called after ${at - before} ms`);
    assert.equal(await timer.join(), true);
    assert.equal(timer.exitCode, 0);
  },
);

test('it is a Thread: named, joined, a daemon if it is told so', limit, async () => {
  const timer = new Timer(0, { module: 'node:path', export: 'basename' }, ['/a/b']);
  assert.ok(timer instanceof Thread);
  assert.match(timer.name, /^Thread-\d+$/);
  assert.equal(timer.daemon, false);
  timer.setDaemon(true);
  assert.equal(timer.start().joinSync(), true);
  assert.equal(await timer.result(), 'b');
  assert.throws(() => timer.start(), { name: 'LifecycleError' });
});

test('cancel() has the target not be called, whenever it comes before the call', limit, async () => {
  using called = new EventFlag();
  const target = (called: EventFlag) => called.set();
  for (const cancelled of [
    new Timer(A_DAY, target, [called]),
    new Timer(Number.POSITIVE_INFINITY, target, [called]),
  ]) {
    cancelled.start().cancel(); // before it has begun
    cancelled.cancel();
    assert.equal(await cancelled.join(), true);
    assert.equal(await cancelled.result(), undefined);
    assert.equal(cancelled.exitCode, 0);
  }
  const waiting = new Timer(A_DAY, target, [called]).start();
  await waitUntil(() => waiting.isAlive() && waiting.nativeId !== undefined, 'it to begin');
  assert.equal(await waiting.join({ timeout: 50 }), false);
  waiting.cancel();
  assert.equal(waiting.joinSync(), true);
  const early = new Timer(0, target, [called]);
  early.cancel();
  assert.equal(await early.start().result(), undefined);
  await early.join();
  assert.equal(called.isSet(), false);
});

test('cancel() does nothing to a call that has begun, or is over', limit, async () => {
  using begun = new EventFlag();
  using goOn = new EventFlag();
  const target = async (begun: EventFlag, goOn: EventFlag) => {
    begun.set();
    await goOn.wait();
    return 'called';
  };
  const timer = new Timer(0, target, [begun, goOn]).start();
  await begun.wait();
  timer.cancel();
  goOn.set();
  assert.equal(await timer.result(), 'called');
  await timer.join();
  timer.cancel();
  assert.equal(await timer.result(), 'called');
});

test(
  'one that waits is terminated like any thread; what its target throws is its outcome',
  limit,
  async () => {
    const timer = new Timer(A_DAY, () => {}).start();
    timer.terminate();
    await timer.join();
    await assert.rejects(timer.result(), { name: 'WorkerDiedError' });
    const { excepthook } = Thread;
    Thread.excepthook = () => {};
    const failing = new Timer(0, () => {
      throw new Error('told');
    }).start();
    Thread.excepthook = excepthook;
    await assert.rejects(failing.result(), { message: 'told' });
    await failing.join();
  },
);

test('wrong delays, targets and arguments are refused; what cannot cross is named', limit, () => {
  for (const wrong of [['1', () => {}], [1, 5], [1], [1, () => {}, 'abc']] as const)
    assert.throws(() => new Timer(...(wrong as unknown as [number, () => void])), TypeError);
  for (const delay of [-1, Number.NaN]) assert.throws(() => new Timer(delay, () => {}), RangeError);
  assert.throws(() => new Timer(0, (_: unknown) => {}, [{ deep: new WeakRef({}) }]).start(), {
    name: 'SerializationError',
    path: 'args[0].deep',
  });
});
