import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokenBarrierError } from '../../errors/errors.js';
import { TestClient } from '../testing/test-client.js';
import { ServedBarrier } from './barrier.js';
import { ServedEventFlag } from './event-flag.js';

test('all go on when the last has come, again and again', async () => {
  const barrier = new ServedBarrier(3);
  const clients = [new TestClient(), new TestClient(), new TestClient()];
  for (let round = 0; round < 3; round++)
    assert.deepEqual(await Promise.all(clients.map(client => client.call(barrier, 'wait'))), [0, 1, 2]);
  void clients[0].call(barrier, 'wait').catch(() => {});
  assert.equal(await clients[1].call(barrier, 'waiting'), 1);
  assert.equal(await clients[1].call(barrier, 'parties'), 3);
});

test('it breaks over one that gives up, runs out of time or goes, and is whole again after reset()', async () => {
  const barrier = new ServedBarrier(3, { timeout: 60_000 });
  const staying = new TestClient();
  const ways = [
    (client: TestClient) => client.call(barrier, 'wait', { timeout: 1 }),
    (client: TestClient) => {
      const controller = new AbortController();
      const wait = client.ask(controller, barrier, 'wait');
      controller.abort('enough');
      return wait;
    },
    (client: TestClient) => {
      const wait = client.call(barrier, 'wait');
      client.end();
      return wait;
    },
    (client: TestClient) => {
      const wait = client.call(barrier, 'wait');
      void client.call(barrier, 'abort');
      return wait;
    },
  ];
  for (const giveUp of ways) {
    const waiting = staying.call(barrier, 'wait');
    await Promise.all([
      assert.rejects(waiting, BrokenBarrierError),
      assert.rejects(giveUp(new TestClient())),
    ]);
    assert.equal(await staying.call(barrier, 'broken'), true);
    await assert.rejects(staying.call(barrier, 'wait'), BrokenBarrierError);
    await staying.call(barrier, 'reset');
    assert.equal(await staying.call(barrier, 'broken'), false);
  }
  const waiting = staying.call(barrier, 'wait');
  await staying.call(barrier, 'reset');
  await assert.rejects(waiting, BrokenBarrierError);
  assert.equal(await staying.call(barrier, 'broken'), false);
});

test('an action runs before anyone leaves, and breaks it if it throws', async () => {
  let acted = 0;
  let fails = false;
  const barrier = new ServedBarrier(2, {
    action: async () => {
      await new Promise(setImmediate);
      acted++;
      if (fails) throw new RangeError('no');
    },
  });
  const [a, b, c, d] = Array.from({ length: 4 }, () => new TestClient());
  const rounds = [a, b, c, d].map(client => client.call(barrier, 'wait').then(index => [index, acted]));
  assert.deepEqual(await Promise.all(rounds), [
    [0, 1],
    [1, 1],
    [0, 2],
    [1, 2],
  ]);
  fails = true;
  const waiting = a.call(barrier, 'wait');
  await Promise.all([
    assert.rejects(b.call(barrier, 'wait'), RangeError),
    assert.rejects(waiting, BrokenBarrierError),
  ]);
  assert.equal(await a.call(barrier, 'broken'), true);
  fails = false;
  await a.call(barrier, 'reset');
  const left = a.call(barrier, 'wait');
  const acting = b.call(barrier, 'wait');
  a.end(); // while the action runs
  await assert.rejects(left);
  await assert.rejects(acting, BrokenBarrierError);
});

test('a flag lets all go on that wait when it is set', async () => {
  const flag = new ServedEventFlag();
  const [a, b] = [new TestClient(), new TestClient()];
  const waits = [a.call(flag, 'wait'), b.call(flag, 'wait', { timeout: 60_000 })];
  assert.equal(await a.call(flag, 'wait', { timeout: 0 }), false);
  assert.equal(await a.call(flag, 'wait', { timeout: 1 }), false);
  await a.call(flag, 'set');
  await a.call(flag, 'clear');
  assert.deepEqual(await Promise.all(waits), [true, true]);
  assert.equal(await a.call(flag, 'isSet'), false);
  await a.call(flag, 'set');
  assert.equal(await b.call(flag, 'wait', { timeout: 0 }), true);
});
