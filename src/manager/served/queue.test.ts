import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClosedError,
  LifecycleError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  TimeoutError,
  WorkerDiedError,
} from '../../errors/errors.js';
import { TestClient } from '../testing/test-client.js';
import { ServedQueue } from './queue.js';

/** Gets one, as a proxy does. */
async function get<T>(client: TestClient, queue: ServedQueue<T>, options?: { timeout?: number }): Promise<T> {
  const [serial, item] = await client.call(queue, 'send', ...(options ? [options] : []));
  await client.call(queue, 'received', serial);
  return item;
}

async function getMany<T>(client: TestClient, queue: ServedQueue<T>, max: number): Promise<T[]> {
  const [serial, items] = await client.call(queue, 'sendMany', max);
  await client.call(queue, 'received', serial);
  return items;
}

function queueOf(...items: number[]): ServedQueue<number> {
  const queue = new ServedQueue<number>();
  for (const item of items) void queue.put(item);
  return queue;
}

test('who waits is served in order, at both ends', async () => {
  const queue = new ServedQueue<number>(2);
  const [a, b] = [new TestClient(), new TestClient()];
  const got = [get(a, queue), getMany(b, queue, 5), get(a, queue)];
  await a.call(queue, 'putMany', [1, 2, 3, 4, 5]);
  assert.deepEqual(await Promise.all(got), [1, [2], 3]);
  assert.equal(await a.call(queue, 'full'), true);
  const puts = [a.call(queue, 'putMany', [6, 7, 8, 9]), b.call(queue, 'put', 10)];
  await assert.rejects(b.call(queue, 'putNowait', 0), QueueFullError);
  const all: number[] = [];
  while (all.length < 7) all.push(...(await getMany(b, queue, 4)));
  assert.deepEqual(all, [4, 5, 6, 7, 8, 9, 10]);
  await Promise.all(puts);
  await assert.rejects(b.call(queue, 'sendNowait'), QueueEmptyError);
  await assert.rejects(get(b, queue, { timeout: 1 }), QueueEmptyError);
  assert.equal(await b.call(queue, 'empty'), true);
});

test('one who gives up, or goes, loses nothing and holds up nobody', async () => {
  const queue = new ServedQueue<number>(1);
  const [a, b, c] = [new TestClient(), new TestClient(), new TestClient()];
  const controller = new AbortController();
  const given = a.ask(controller, queue, 'send');
  const gone = get(b, queue);
  gone.catch(() => {});
  const got = get(c, queue);
  controller.abort('enough');
  b.end();
  await c.call(queue, 'put', 1);
  assert.equal(await got, 1);
  assert.equal(await given.catch(reason => reason), 'enough');
  const many = c.call(queue, 'putMany', [2, 3, 4], { timeout: 1 });
  const behind = a.call(queue, 'put', 5);
  const error = await many.catch(thrown => thrown);
  assert.ok(error instanceof QueueFullError);
  assert.equal((error as never as { put: number }).put, 1);
  assert.deepEqual([await get(c, queue), await get(c, queue)], [2, 5]);
  await behind;
});

test('what has not come when its getter goes is back at the front, in order, and owed by nobody', async () => {
  const queue = queueOf(1, 2, 3, 4, 5);
  const [dying, other] = [new TestClient(), new TestClient()];
  await get(dying, queue);
  await dying.call(queue, 'send');
  await dying.call(queue, 'sendMany', 2);
  dying.end();
  assert.deepEqual(await getMany(other, queue, 9), [2, 3, 4, 5]);
  for (let i = 0; i < 4; i++) await other.call(queue, 'taskDone');
  const lost = await other.call(queue, 'join').catch(error => error);
  assert.ok(lost instanceof WorkerDiedError);
  assert.equal((lost as never as { unfinished: number }).unfinished, 1);
  assert.ok(lost.message.includes(dying.name) && lost.pid > 4000);
  await other.call(queue, 'taskDone');
  await other.call(queue, 'join');
});

test('what comes back goes at once to one who waits', async () => {
  const queue = queueOf(1);
  const [dying, other] = [new TestClient(), new TestClient()];
  await dying.call(queue, 'send');
  const got = get(other, queue);
  dying.end();
  assert.equal(await got, 1);
});

test('join waits for what is owed, by whomever', async () => {
  const queue = queueOf(1, 2);
  const [a, b] = [new TestClient(), new TestClient()];
  await assert.rejects(a.call(queue, 'taskDone'), LifecycleError);
  const joined = b.call(queue, 'join');
  await assert.rejects(b.call(queue, 'join', { timeout: 0 }), TimeoutError);
  await assert.rejects(b.call(queue, 'join', { timeout: 1 }), TimeoutError);
  await getMany(a, queue, 2);
  await a.call(queue, 'taskDone');
  await b.call(queue, 'taskDone'); // for the other one
  await joined;
  await b.call(queue, 'put', 3);
  await get(a, queue);
  const failing = b.call(queue, 'join');
  a.end();
  await assert.rejects(failing, { name: 'WorkerDiedError', unfinished: 1 });
  const c = new TestClient();
  await b.call(queue, 'put', 4);
  await get(c, queue);
  await b.call(queue, 'taskDone'); // for the one that has gone
  c.end();
  await assert.rejects(b.call(queue, 'join'), (error: Error) => error.message.includes(c.name));
});

test('shut down, it gives what is left; at once, nothing', async () => {
  const client = new TestClient();
  const queue = new ServedQueue<number>(1);
  await client.call(queue, 'put', 1);
  const waiting = client.call(queue, 'put', 2);
  await client.call(queue, 'shutdown');
  await assert.rejects(waiting, QueueShutDownError);
  assert.equal(await get(client, queue), 1);
  await assert.rejects(get(client, queue), QueueShutDownError);
  const other = queueOf(1, 2);
  const joined = client.call(other, 'join');
  await client.call(other, 'shutdown', { immediate: true });
  await joined;
  await assert.rejects(client.call(other, 'sendNowait'), QueueShutDownError);
  await assert.rejects(client.call(other, 'putMany', [1]), QueueShutDownError);
  const empty = new ServedQueue();
  const got = client.call(empty, 'send');
  await client.call(empty, 'shutdown');
  await assert.rejects(got, QueueShutDownError);
});

test('who closes it is out, and others go on', async () => {
  const queue = queueOf(1);
  const [a, b] = [new TestClient(), new TestClient()];
  await get(a, queue);
  const waits = [get(a, queue), a.call(queue, 'join')];
  const joined = b.call(queue, 'join');
  await a.call(queue, 'close');
  for (const wait of waits) await assert.rejects(wait, ClosedError);
  await assert.rejects(a.call(queue, 'qsize'), ClosedError);
  await assert.rejects(joined, WorkerDiedError);
  await a.call(queue, 'close');
  await b.call(queue, 'put', 2);
  assert.equal(await get(b, queue), 2);
});

test('arguments are checked', async () => {
  const queue = new ServedQueue();
  const client = new TestClient();
  await assert.rejects(client.call(queue, 'sendMany', 0), RangeError);
  await assert.rejects(client.call(queue, 'sendMany', '1' as never), TypeError);
  await assert.rejects(get(client, queue, { timeout: -1 }), RangeError);
  assert.throws(() => new ServedQueue('1' as never), TypeError);
  assert.throws(() => new ServedQueue(Number.NaN), RangeError);
});
