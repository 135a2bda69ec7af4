import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
  BrokenBarrierError,
  CancelledError,
  LifecycleError,
  LockError,
  QueueEmptyError,
  QueueShutDownError,
  TimeoutError,
  WorkerDiedError,
} from '../errors/errors.js';
import type { Guard } from '../sync/guard.js';
import { type Carrier, carriers, forked, type Peer, threads } from '../testing/carriers.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, killed, LIMIT, warmCarriers } from '../testing/sharing.js';
import { BaseManager } from './base-manager.js';
import type { BarrierProxy } from './proxies/barrier.js';
import type { ConditionProxy } from './proxies/condition.js';
import type { DictProxy } from './proxies/dict.js';
import type { EventFlagProxy } from './proxies/event-flag.js';
import type { ListProxy } from './proxies/list.js';
import type { LockProxy } from './proxies/lock.js';
import type { QueueProxy } from './proxies/queue.js';
import type { SemaphoreProxy } from './proxies/semaphore.js';
import { SyncManager } from './sync-manager.js';

leavesNothing({ warm: warmCarriers });

const CROWD = Number(process.env.MANYHANDS_CROWD ?? 20);
const KILLS = Number(process.env.MANYHANDS_KILLS ?? 2);

/** Is given others of the manager's objects, which are themselves over there. */
class Clerk {
  async serve(lock: LockProxy, queue: QueueProxy<number>, dict: DictProxy): Promise<boolean> {
    const held = await lock.acquire();
    const item = await queue.get();
    await dict.set('served', item);
    await queue.taskDone();
    const wasLocked = await lock.locked();
    held.release();
    return lock.runExclusive(() => wasLocked);
  }
}

class Bureau extends SyncManager {}
Bureau.register('clerk', Clerk);

let manager: SyncManager;
before(async () => {
  manager = await new Bureau().start();
});
after(() => manager.shutdown());

const isFrozen = (error: Error) => error.name === 'AbortError';

/** Resolves once what is asked of the server is so. */
async function untilTrue(look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await sleep(2);
}

/** For ever, or until it is killed. */
const forEver = () => new Promise<never>(() => setInterval(() => {}, 60_000));

// ── what is held ──

test('a dict holds copies by key, and gives them in order', async () => {
  await using dict = await manager.dict<unknown>({ b: 1, a: { x: [1] } });
  const got = (await dict.get('a')) as { x: number[] };
  got.x.push(2);
  assert.deepEqual(await dict.get('a'), { x: [1] });
  await dict.set('__proto__', 'p');
  await dict.update(new Map([['c', 3n]]));
  await dict.update({ d: new Date(4) });
  assert.deepEqual(await dict.keys(), ['b', 'a', '__proto__', 'c', 'd']);
  assert.deepEqual(await dict.values(), [1, { x: [1] }, 'p', 3n, new Date(4)]);
  assert.deepEqual((await dict.entries())[3], ['c', 3n]);
  assert.ok(Object.hasOwn(await dict.toObject(), '__proto__'));
  assert.equal(await dict.size(), 5);
  assert.equal(await dict.has('toString'), false);
  assert.equal(await dict.get('toString'), undefined);
  assert.deepEqual([await dict.delete('b'), await dict.delete('b')], [true, false]);
  assert.equal(await dict.pop('c'), 3n);
  assert.equal(await dict.setDefault('e', 5), 5);
  assert.equal(await dict.add('e', 1), 6);
  assert.equal(await dict.compareAndSet('a', { x: [1] }, 'new'), true);
  assert.equal(await dict.compareAndSet('none', undefined, 1), true);
  await assert.rejects(dict.add('a', 1), TypeError);
  await assert.rejects(dict.get(1 as never), TypeError);
  await dict.clear();
  assert.deepEqual(await dict.entries(), []);
});

test('dicts, lists and arrays are iterated many at a time', async () => {
  const pairs = Array.from({ length: 700 }, (_, i): [string, number] => [`${i}`, i]);
  await using dict = await manager.dict(pairs.values());
  await using list = await manager.list(pairs.map(([, n]) => n));
  await using array = await manager.array('i32', 2000);
  const [entries, items, numbers]: unknown[][] = [[], [], []];
  for await (const entry of dict) entries.push(entry);
  for await (const item of list) items.push(item);
  for await (const number of array) numbers.push(number);
  assert.deepEqual(entries, pairs);
  assert.deepEqual(items, await list.toArray());
  assert.deepEqual(numbers, Array(2000).fill(0));
  const objects = await manager.numberOfObjects();
  for await (const _ of dict) break;
  await untilTrue(async () => (await manager.numberOfObjects()) === objects);
});

test('a list does what an array does', async () => {
  await using list = await manager.list<unknown>(new Set([3, 1, 2]));
  await list.sort();
  assert.equal(await list.push(4, 5), 5);
  assert.equal(await list.unshift(0), 6);
  assert.deepEqual(
    [await list.shift(), await list.pop(), await list.at(-1), await list.at(9)],
    [0, 5, 4, undefined],
  );
  await list.set(-1, { a: 1 });
  assert.equal(await list.indexOf({ a: 1 }), 3);
  assert.equal(await list.includes(7), false);
  assert.equal(await list.add(0, 1), 2);
  await list.reverse();
  assert.deepEqual(await list.toArray(), [{ a: 1 }, 3, 2, 2]);
  assert.deepEqual(await list.slice(1, -1), [3, 2]);
  assert.deepEqual(await list.splice(0, 1, 'x', 'y'), [{ a: 1 }]);
  assert.deepEqual(await list.splice(4), [2]);
  assert.equal(await list.length(), 4);
  await list.sort((a, b) => (String(a) < String(b) ? 1 : -1));
  assert.deepEqual(await list.toArray(), ['y', 'x', 3, 2]);
  await assert.rejects(list.set(4, 0), RangeError);
});

test('what is put into another object stays live, and is there as long as that', async () => {
  const outer = await manager.dict<any>();
  {
    await using inner = await manager.list([1]);
    await outer.set('inner', inner);
    await outer.set('deep', { list: inner });
    assert.equal(await outer.compareAndSet('inner', inner, inner), true);
    await using other = await manager.list([1]);
    assert.equal(await outer.compareAndSet('inner', other, 1), false);
  }
  await (await outer.get('inner')).push(2);
  await using again = (await outer.get('deep')).list as ListProxy;
  assert.deepEqual(await again.toArray(), [1, 2]);
  await using list = await manager.list<DictProxy>([outer]);
  assert.deepEqual(await (await list.at(0))?.keys(), ['inner', 'deep']);
  await outer[Symbol.asyncDispose]();
  await using made = await manager.dict({ list: await manager.list([5]) });
  assert.equal(await (await made.get('list'))?.pop(), 5);
});

test('locks and queues given to another object of the manager work there as here', async () => {
  await using clerk = await manager.create<Clerk>('clerk');
  await using lock = await manager.lock();
  await using queue = await manager.queue<number>();
  await using dict = await manager.dict();
  const serving = clerk.serve(lock, queue, dict);
  await queue.put(5);
  assert.equal(await serving, true);
  assert.equal(await dict.get('served'), 5);
  assert.equal(await lock.locked(), false);
  await queue.join();
});

test('namespaces, numbers and arrays', async () => {
  await using namespace = await manager.namespace({ a: 1, b: 'x' });
  await namespace.set('a', 2);
  assert.deepEqual([await namespace.get('a'), await namespace.get('b')], [2, 'x']);
  assert.equal(await namespace.delete('b'), true);
  assert.equal(await namespace.has('b'), false);
  assert.deepEqual(await namespace.toObject(), { a: 2 });

  await using value = await manager.value('q', 5n);
  assert.equal(await value.add(-6n), 5n);
  assert.equal(await value.compareExchange(-1n, 7n), -1n);
  await value.set((await value.get()) + 1n);
  assert.equal(await value.get(), 8n);
  await assert.rejects(value.set(1 as never), TypeError);
  await assert.rejects(manager.value('none' as never), TypeError);

  await using array = await manager.array('c', Buffer.from('abc\0def'));
  assert.deepEqual(Buffer.from(await array.getValue()).toString(), 'abc');
  await array.setValue(Buffer.from('xy'));
  assert.deepEqual(Buffer.from(await array.slice(0, 5)).toString(), 'xy\0\0d');
  await array.set(0, 65);
  assert.equal(await array.get(0), 65);
  assert.equal(await array.length(), 7);
  await assert.rejects(array.get(7), RangeError);
  await using lock = await value.getLock();
  const guard = await lock.acquire();
  assert.equal(await (await value.getLock()).locked(), true);
  guard.release();
  assert.equal(await lock.locked(), false);
});

test('errors keep their class, and tell both sides', async () => {
  await using queue = await manager.queue();
  const error = await queue.getNowait().catch(thrown => thrown);
  assert.ok(error instanceof QueueEmptyError);
  assert.equal(error.code, 'ERR_QUEUE_EMPTY');
  assert.match(error.stack ?? '', /served\/queue\.(js|ts)[\s\S]*sync-manager\.test/);
  await queue.putMany([1, 2]);
  await assert.rejects(
    (await manager.queue(1)).putMany([1, 2], { timeout: 0 }),
    (thrown: Error & { put?: number }) => thrown.name === 'QueueFullError' && thrown.put === 1,
  );
});

test('what blocks, and what is not for others, is refused', async () => {
  await using lock = await manager.lock();
  await using queue = await manager.queue();
  await assert.rejects(lock.acquireSync(), /call acquire\(\)/);
  await assert.rejects(
    lock.runExclusiveSync(() => {}),
    TypeError,
  );
  for (const method of ['putSync', 'getSync', 'joinSync'] as const)
    await assert.rejects(queue[method](1 as never), TypeError);
  const others: [object, string][] = [
    [await manager.semaphore(), 'acquireSync'],
    [await manager.condition(), 'waitSync'],
    [await manager.condition(), 'waitForSync'],
    [await manager.event(), 'waitSync'],
    [await manager.barrier(1), 'waitSync'],
    ...['inherit', 'suspend', 'restore', 'isHeldBy'].map((name): [object, string] => [lock, name]),
  ];
  for (const [proxy, method] of others)
    await assert.rejects((proxy as Record<string, () => Promise<unknown>>)[method](), TypeError, method);
  assert.match(inspect(lock), /^Proxy<lock> \d+ at /);
});

// ── waiting, and giving up ──

test('who gives up waits no longer, and has nothing', async () => {
  await using lock = await manager.lock();
  const guard = await lock.acquire();
  const controller = new AbortController();
  const waiting = lock.acquire({ signal: controller.signal });
  await assert.rejects(lock.acquire({ timeout: 0 }), TimeoutError);
  await assert.rejects(lock.acquire({ timeout: 5 }), TimeoutError);
  await assert.rejects(lock.acquire({ timeout: -1 }), RangeError);
  assert.equal(await lock.tryAcquire(), null);
  controller.abort();
  await assert.rejects(waiting, isFrozen);
  await assert.rejects(lock.acquire({ signal: controller.signal }), isFrozen);
  guard.release();
  guard.release();
  using next = await lock.acquire({ timeout: 10_000 });
  assert.equal(next.abandoned, false);
});

test('a guard outlives the proxy that it came from', async () => {
  await using dict = await manager.dict<LockProxy>();
  const lock = await manager.lock();
  await dict.set('lock', lock);
  const guard = await lock.acquire();
  await lock[Symbol.asyncDispose]();
  guard.release();
  assert.equal(await (await dict.get('lock'))?.locked(), false);
});

test('a queue’s proxy that is let go while it gets still says what has come', async () => {
  await using dict = await manager.dict<QueueProxy<number>>();
  const queue = await manager.queue<number>();
  await dict.set('queue', queue);
  const got = queue.get();
  await queue.put(1);
  await queue[Symbol.asyncDispose]();
  assert.equal(await got, 1);
  await using again = (await dict.get('queue')) as QueueProxy<number>;
  await again.taskDone();
  await again.join();
});

test('items and gets that are given up at the same moment lose nothing', LIMIT, async () => {
  await using queue = await manager.queue<number>();
  const got: number[] = [];
  for (let i = 0; i < 100; i++) {
    const controller = new AbortController();
    const getting = queue.get({ signal: controller.signal }).then(
      item => got.push(item),
      () => {},
    );
    const putting = queue.put(i);
    if (i % 2 === 0) await new Promise(setImmediate);
    controller.abort();
    await Promise.all([getting, putting]);
  }
  while (!(await queue.empty())) got.push(await queue.get());
  assert.deepEqual(
    got.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  );
});

test('an RLock is for all that its thread does; the lock of a condition may be any of the manager', async () => {
  await using lock = await manager.rlock();
  await using condition = await manager.condition(lock);
  await assert.rejects(condition.wait(), LockError);
  await lock.runExclusive(async () => {
    await condition.runExclusive(async () => {
      assert.equal(await condition.wait({ timeout: 1 }), false);
      assert.equal(await condition.waitFor(() => false, { timeout: 1 }), false);
      await condition.notify();
    });
    assert.equal(await (await condition.getLock()).locked(), true);
  });
  assert.equal(await lock.locked(), false);
  await assert.rejects(lock.release(), LockError);
  await assert.rejects(manager.condition({} as LockProxy), TypeError);
});

// ── from elsewhere ──

/** Uses one of each. */
async function useAll(
  dict: DictProxy,
  list: ListProxy<number>,
  lock: LockProxy,
  semaphore: SemaphoreProxy,
  event: EventFlagProxy,
  condition: ConditionProxy,
  barrier: BarrierProxy,
  queue: QueueProxy<number>,
): Promise<number> {
  await event.wait();
  using guard = await lock.acquire();
  assert.equal(guard.abandoned, false);
  (await semaphore.acquire()).release();
  for await (const item of queue) {
    await list.push(item * 2);
    await queue.taskDone();
  }
  await condition.runExclusive(async () => {
    await dict.set('done', true);
    await condition.notifyAll();
  });
  return barrier.wait();
}

for (const carrier of carriers)
  test(`all of it works from elsewhere, over ${carrier.name}`, LIMIT, async () => {
    const dict = await manager.dict();
    const list = await manager.list<number>();
    const lock = await manager.lock();
    const semaphore = await manager.boundedSemaphore(2);
    const event = await manager.event();
    const condition = await manager.condition();
    const barrier = await manager.barrier(2);
    const queue = await manager.joinableQueue<number>(1);
    const guard = await lock.acquire();
    const peer = carrier.start(useAll, dict, list, lock, semaphore, event, condition, barrier, queue);
    await event.set();
    guard.release();
    await queue.putMany([1, 2, 3]);
    await queue.join();
    await queue.shutdown();
    await condition.runExclusive(() => condition.waitFor(async () => (await dict.get('done')) === true));
    const meets = await barrier.wait();
    const [there] = await ended(peer);
    assert.equal(meets + there, 1);
    assert.deepEqual(await list.toArray(), [2, 4, 6]);
    assert.equal(await semaphore.getValue(), 2);
    assert.equal(await lock.locked(), false);
    await assert.rejects(queue.get(), QueueShutDownError);
  });

async function countDown(dict: DictProxy<number>, lock: LockProxy, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    using _ = await lock.acquire();
    await dict.set('count', ((await dict.get('count')) as number) - 1);
  }
}

for (const [carrier, size] of [
  [threads, Math.ceil(CROWD / 4)],
  [forked, CROWD],
] as [Carrier, number][])
  test(`${carrier.name} count a dict down to 0 under a lock`, LIMIT, async () => {
    await using dict = await manager.dict({ count: size * 5 });
    await using lock = await manager.lock();
    await ended(...Array.from({ length: size }, () => carrier.start(countDown, dict, lock, 5)));
    assert.equal(await dict.get('count'), 0);
  });

// ── deaths ──

for (const carrier of [threads, forked])
  describe(`over ${carrier.name} that are killed`, () => {
    test('locks and permits come back', LIMIT, async () => {
      await using lock = await manager.lock();
      await using semaphore = await manager.semaphore(2);
      for (let round = 0; round < KILLS; round++) {
        const event = await manager.event();
        const holder = carrier.start(
          async (given: LockProxy, permits: SemaphoreProxy, ready: EventFlagProxy) => {
            await permits.acquire();
            await permits.acquire();
            await given.acquire();
            given.acquire().catch(() => {}); // in line for itself
            await ready.set();
            await forEver();
          },
          lock,
          semaphore,
          event,
        );
        await event.wait();
        const [next, permit] = [lock.acquire(), semaphore.acquire()];
        await killed(holder as Peer<unknown>);
        using guard = await next;
        using held = await permit;
        assert.equal(guard.abandoned, true);
        assert.equal(held.abandoned, true);
        held.release();
        assert.equal(await semaphore.getValue(), 2);
      }
      using guard = await lock.acquire();
      assert.equal(guard.abandoned, false);
    });

    test('a barrier breaks, a condition’s wake is passed on, a getter gets nothing', LIMIT, async () => {
      await using barrier = await manager.barrier(3);
      await using condition = await manager.condition();
      await using queue = await manager.queue<number>();
      for (let round = 0; round < KILLS; round++) {
        await using event = await manager.event();
        const waiter = carrier.start(
          async (
            place: BarrierProxy,
            news: ConditionProxy,
            items: QueueProxy<number>,
            ready: EventFlagProxy,
          ) => {
            await news.acquire();
            place.wait().catch(() => {});
            items.get().catch(() => {});
            items.getMany(5).catch(() => {});
            news.wait().catch(() => {}); // gives the lock up
            await ready.set();
            await forEver();
          },
          barrier,
          condition,
          queue,
          event,
        );
        await event.wait();
        const meeting = assert.rejects(barrier.wait(), BrokenBarrierError);
        await condition.acquire();
        const notified = condition.wait();
        await killed(waiter as Peer<unknown>);
        await meeting;
        await barrier.reset();
        await condition.acquire();
        await condition.notify(1);
        await condition.release();
        assert.equal(await notified, true);
        await condition.release();
        await queue.put(round);
        assert.equal(await queue.get({ timeout: 10_000 }), round);
        await queue.taskDone();
      }
      await queue.join();
    });

    test('a queue’s items are got once, and what the dead owe is known', LIMIT, async () => {
      const queue = await manager.queue<number>();
      const seen = await manager.dict<number>();
      const consume = async (given: QueueProxy<number>, counts: DictProxy<number>) => {
        for await (const item of given) {
          await counts.add(`${item}`, 1);
          await given.taskDone();
        }
      };
      const items = 60 * KILLS;
      let put = 0;
      for (let round = 0; round < KILLS; round++) {
        const consumers = [1, 2].map(() => carrier.start(consume, queue, seen));
        for (; put < (round + 1) * 60; put++) void queue.put(put);
        const until = (await seen.size()) + Math.ceil(Math.random() * 30);
        await untilTrue(async () => (await seen.size()) >= until);
        await killed(...(consumers as Peer<unknown>[]));
      }
      const left: number[] = [];
      while (!(await queue.empty())) left.push(...(await queue.getMany(100)));
      for (const item of left) {
        await seen.add(`${item}`, 1);
        await queue.taskDone();
      }
      const counts = Object.values(await seen.toObject());
      assert.ok(counts.every(count => count === 1));
      const lost = await queue.join().catch(error => error);
      const unfinished =
        lost instanceof WorkerDiedError ? (lost as never as { unfinished: number }).unfinished : 0;
      assert.ok(
        unfinished <= 2 * KILLS && counts.length >= items - unfinished,
        `${counts.length}, ${unfinished}`,
      );
      for (let i = 0; i < unfinished; i++) await queue.taskDone();
      await queue.join();
    });
  });

// ── pools, and other programs ──

test('a pool of the server’s does the work, for all who have it', LIMIT, async () => {
  await using pool = await manager.pool(2, { kind: 'thread' });
  await pool.ready();
  assert.equal(await pool.size(), 2);
  assert.equal(await pool.run((a: number, b: number) => a + b, [1, 2]), 3);
  assert.equal(await pool.apply(() => 'done'), 'done');
  const asked: unknown[] = [];
  await pool.applyAsync(() => 5, [], { callback: value => asked.push(value) });
  await pool.mapAsync((n: number) => n, [1], { callback: value => asked.push(value) });
  const failing = (n: number) => {
    throw new RangeError(`no ${n}`);
  };
  await pool
    .starmapAsync(failing, [[7]], { errorCallback: error => asked.push((error as Error).message) })
    .catch(() => {});
  assert.deepEqual(asked, [5, [1], 'no 7']);
  assert.deepEqual(await pool.map((n: number) => n * 2, new Set([1, 2, 3]).values()), [2, 4, 6]);
  assert.deepEqual(await pool.starmap((a: number, b: number) => a * b, [[2, 3]]), [6]);
  const results: number[] = [];
  for await (const n of await pool.imap((x: number) => -x, [1, 2, 3])) results.push(n);
  assert.deepEqual(results, [-1, -2, -3]);
  assert.equal((await pool.broadcast(() => 1)).length, 2);
  const error = await pool.run(failing, [1]).catch(thrown => thrown);
  assert.ok(error instanceof RangeError);
  await assert.rejects(pool.map(failing, [1], { onProgress: () => {} }), TypeError);
  const controller = new AbortController();
  const endless = pool.run(() => new Promise(() => setInterval(() => {}, 1000)), [], {
    signal: controller.signal,
  });
  await untilTrue(async () => (await pool.stats()).busy > 0);
  controller.abort();
  await assert.rejects(endless, isFrozen);
  await assert.rejects(pool.join(), LifecycleError);
  const waiting = pool.run(() => new Promise(() => setInterval(() => {}, 1000)));
  await untilTrue(async () => (await pool.stats()).busy > 0);
  await Promise.all([assert.rejects(waiting, CancelledError), pool.terminate()]);
  assert.equal(await pool.join(), true);
});

test('a pool of processes is the server’s too', LIMIT, async () => {
  await using pool = await manager.pool(1);
  const pid = await pool.run(() => process.pid);
  assert.notEqual(pid, process.pid);
});

const PROGRAM = `
  const { SyncManager } = require(${JSON.stringify(path.join(__dirname, '..', 'index.js'))});
  const authkey = Buffer.from(process.argv[1]);
  const manager = new SyncManager({ address: { host: '127.0.0.1', port: 0 }, authkey });
  const server = manager.getServer();
  server.ready().then(() => console.log(manager.address.port));
  server.serveForever();
  process.stdin.on('data', () => server.stop().then(() => process.exit())).resume();
`;

test('all of it is had from another program', LIMIT, async () => {
  const key = 'a key that both know';
  const program = spawn(process.execPath, ['-e', PROGRAM, key], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(program, 'exit');
  const [port] = await once(createInterface(program.stdout), 'line');
  const place = { address: { host: '127.0.0.1', port: Number(port) }, authkey: Buffer.from(key) };
  const plain = await new BaseManager(place).connect();
  const common = await plain.create<{ acquire(): Guard }>('lock');
  assert.equal((await common.acquire()).abandoned, false);
  await plain.shutdown();
  const remote = new SyncManager(place);
  await remote.connect();
  const dict = await remote.dict<any>({ a: 1 });
  const entries: unknown[] = [];
  for await (const entry of dict) entries.push(entry);
  assert.deepEqual(entries, [['a', 1]]);
  const lock = await remote.lock();
  await dict.set('lock', lock);
  const guard = await lock.acquire();
  assert.equal(await (await dict.get('lock')).tryAcquire(), null);
  guard.release();
  assert.equal(await lock.runExclusive(() => lock.locked()), true);
  const value = await remote.value('f64', 1.5);
  using _ = await (await value.getLock()).acquire();
  const queue = await remote.queue<number>();
  await queue.put(1);
  assert.equal(await queue.get(), 1);
  await assert.rejects(queue.getNowait(), QueueEmptyError);
  const condition = await remote.condition();
  await condition.runExclusive(async () => assert.equal(await condition.wait({ timeout: 1 }), false));
  await remote.shutdown();
  program.stdin.write('stop');
  await exit;
});
