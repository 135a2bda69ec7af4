import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Queue } from '../channel/queue.js';
import { Pool } from '../pool/pool.js';
import { type Carrier, carriers, forked, threads } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, killed, LIMIT } from '../testing/sharing.js';
import type { RemoteProxy } from './base-manager.js';
import { type Counter, type Resource, type Shelf, type Slow, TestManager } from './testing/objects.js';

leavesNothing({
  warm: () =>
    ended(
      threads.start(() => {}),
      forked.start(() => {}),
    ),
});

const KILLS = Number(process.env.MANYHANDS_KILLS ?? 0) || 2;

describe('proxies in other threads and processes', LIMIT, () => {
  leavesNoBlocks();
  const manager = new TestManager();
  let slow: RemoteProxy<Slow>;
  before(async () => {
    await manager.start();
    slow = await manager.create<Slow>('Slow');
  });
  after(() => manager.shutdown());

  /** Resolves once the server serves so many objects. */
  async function untilCount(count: number): Promise<void> {
    while ((await manager.numberOfObjects()) !== count) await new Promise(setImmediate);
  }

  for (const carrier of carriers) {
    test(`as arguments, in closures, as results, through queues: ${carrier.name}`, async () => {
      const count = await manager.numberOfObjects();
      const counter = await manager.create<Counter>('Counter');
      const queue = new Queue<RemoteProxy<Counter>>();
      const peer = carrier.start(
        async (given: RemoteProxy<Counter>, through: Queue<RemoteProxy<Counter>>) => {
          await given.add(1);
          await counter.add(10);
          await (await through.get()).add(100);
          await through.put(given);
          return [given];
        },
        counter,
        queue,
      );
      await queue.put(counter);
      const [[returned]] = await ended(peer);
      const got = await queue.get();
      assert.equal(await returned.get(), 111);
      assert.equal(await got.get(), 111);
      for (const proxy of [returned, got, counter]) await proxy[Symbol.asyncDispose]();
      await untilCount(count); // once the server has heard of the peer's end
      queue[Symbol.dispose]();
    });
  }

  for (const carrier of [threads, forked]) {
    test(`what is on its way stays though who sent it lets go, or ends: ${carrier.name}`, async () => {
      const count = await manager.numberOfObjects();
      const queue = new Queue<RemoteProxy<Counter>>();
      const counter = await manager.create<Counter>('Counter', 1);
      await queue.put(counter);
      await counter[Symbol.asyncDispose]();
      assert.equal(await manager.numberOfObjects(), count + 1);
      const relay = async (through: Queue<RemoteProxy<Counter>>) => {
        const got = await through.get();
        await got.add(1);
        await through.put(got);
        await got[Symbol.asyncDispose]();
      };
      for (let i = 0; i < 2; i++) await ended(carrier.start(relay, queue));
      const last = await queue.get();
      assert.equal(await last.get(), 3);
      await last[Symbol.asyncDispose]();
      await untilCount(count);
      queue[Symbol.dispose]();
    });

    test(`who is killed holds nothing any more: ${carrier.name}`, async () => {
      const count = await manager.numberOfObjects();
      await slow.forget();
      const waiting = await slow.waiting();
      for (let i = 0; i < KILLS; i++) {
        const resource = await manager.create<Resource>('Resource', `resource ${i}`);
        const queue = new Queue<string>();
        const peer = carrier.start(
          async (held: RemoteProxy<Resource>, to: Queue<string>, other: RemoteProxy<Slow>, i: number) => {
            const more = await held.part();
            await other.noteMyEnd(`client ${i}`);
            await to.put(await held.name());
            await other.wait();
            return more;
          },
          resource,
          queue,
          slow,
          i,
        );
        assert.equal(await queue.get(), `resource ${i}`);
        while ((await slow.waiting()) === waiting + i) await new Promise(setImmediate);
        await resource[Symbol.asyncDispose]();
        assert.equal(await manager.numberOfObjects(), count + 2);
        await killed(peer);
        await untilCount(count);
        queue[Symbol.dispose]();
      }
      const ends = new Set(await slow.ends());
      for (let i = 0; i < KILLS; i++)
        for (const end of [`client ${i} ended`, `resource ${i} disposed`, `resource ${i}'s part disposed`])
          assert.ok(ends.has(end), end);
      assert.ok(ends.has('aborted'));
      await slow.forget();
    });
  }

  test('one argument may be had by each worker of a pool', async () => {
    const counter = await manager.create<Counter>('Counter');
    await using pool = new Pool(2);
    await pool.map(async n => await counter.add(n), [1, 2, 3, 4, 5, 6, 7, 8], { chunksize: 1 });
    assert.equal(await counter.get(), 36);
  });

  test('many at once, each with calls under way', async () => {
    const counter = await manager.create<Counter>('Counter');
    const add = async (to: RemoteProxy<Counter>) => {
      await Promise.all(Array.from({ length: 200 }, () => to.add()));
    };
    const all: Carrier[] = [threads, threads, forked, forked];
    await ended(...all.map(carrier => carrier.start(add, counter)));
    assert.equal(await counter.get(), 800);
  });

  test('what cannot be used over there is told when it is sent', async () => {
    const counter = await manager.create<Counter>('Counter');
    await counter[Symbol.asyncDispose]();
    const queue = new Queue();
    await assert.rejects(queue.put(counter), { name: 'SerializationError', message: /disposed/ });
    await assert.rejects(slow.echo([counter]), { name: 'SerializationError', path: 'args[0][0]' });
    await assert.rejects(queue.put(manager), {
      name: 'SerializationError',
      message: /send proxies of its objects/,
    });
    queue[Symbol.dispose]();
  });

  test('what holds shared memory or pipes open crosses within the family', async () => {
    const { Pipe } = await import('../channel/pipe.js');
    const shelf = await manager.create<Shelf>('Shelf');
    const [one, other] = Pipe();
    await shelf.set('end', other);
    other.close();
    const back = (await shelf.get('end')) as typeof other;
    await back.send('by way of the server');
    assert.equal(await one.recv(), 'by way of the server');
    back.close();
    const queue = new Queue<number>();
    await slow.apply((to: Queue<number>) => to.put(5), queue);
    assert.equal(await queue.get(), 5);
    queue[Symbol.dispose]();
    one.close();
    await shelf.delete('end');
    await slow.apply(collect); // what the server had of them
  });
});

test('a fork of the process has connections and proxies of its own', LIMIT, async () => {
  const source = `
    const { fork, os } = require(${JSON.stringify(path.join(__dirname, '..', 'index.js'))});
    const { TestManager } = require(${JSON.stringify(path.join(__dirname, 'testing', 'objects.js'))});
    (async () => {
      const manager = await new TestManager().start();
      const counter = await manager.create('Counter');
      const slow = await manager.create('Slow');
      const waiting = slow.wait();
      const pid = fork();
      if (pid === 0) {
        await counter.add(1);
        await (await manager.create('Derived')).double();
        await counter[Symbol.asyncDispose]();
        process.exit(3);
      }
      const [, status] = await os.waitpid(pid);
      await slow.release('released');
      console.log(JSON.stringify([os.WEXITSTATUS(status), await counter.add(1), await waiting]));
      await manager.shutdown();
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--single-threaded', '-e', source]);
  assert.deepEqual(JSON.parse(stdout), [3, 2, 'released']);
});
