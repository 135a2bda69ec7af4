/*
 * A little of everything, for `npm run test:nodes` to run under each Node that is supported: each concept of the library by
 * one test, over each carrier, and the ways in which a program comes to run. What is new gets a line here. The other suites
 * look into the corners.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  Barrier,
  Condition,
  EventFlag,
  getContext,
  Lock,
  Pipe,
  Pool,
  PriorityQueue,
  Process,
  Queue,
  RLock,
  Semaphore,
  SharedArray,
  type StartMethod,
  Thread,
  Value,
  wait,
} from './index.js';
import { warm } from './process/fixtures/methods.js';
import { leavesNothing } from './testing/leaks.js';

leavesNothing({ warm });

const limit = { timeout: 20_000 };
const methods: readonly StartMethod[] = ['forkserver', 'spawn'];
const forever = () => new Promise(() => setInterval(() => {}, 1000));

/** A folder where the library is installed. */
const folder = mkdtempSync(path.join(tmpdir(), 'smoke-'));
symlinkSync(path.resolve(__dirname, '..'), path.join(folder, 'manyhands'));
symlinkSync(folder, path.join(folder, 'node_modules'));
after(() => rmSync(folder, { recursive: true }));

/** What this Node prints that runs a program with these options. */
async function prints(name: string, program: string, ...options: string[]): Promise<string> {
  writeFileSync(path.join(folder, name), program);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...options, name], { cwd: folder });
  assert.equal(stderr, '');
  return stdout;
}

for (const method of methods) {
  const { Process, Pool } = getContext(method);

  describe(`by ${method}`, () => {
    test('a process runs a closure, prints, throws, exits, is killed', limit, async () => {
      const offset = { by: 100 };
      const child = new Process({
        target: (n: number) => {
          console.log('printed');
          return n + offset.by;
        },
        args: [7],
        stdio: 'pipe',
      }).start();
      const printed = text(child.stdout as Readable);
      assert.equal(await child.result(), 107);
      assert.equal(child.joinSync(), true);
      assert.equal(child.exitCode, 0);
      assert.equal(await printed, 'printed\n');
      const throws = new Process({
        target: () => {
          throw new RangeError('too far');
        },
        stdio: 'ignore',
      }).start();
      await assert.rejects(throws.result(), { name: 'RangeError', message: 'too far' });
      const exits = new Process({ target: () => process.exit(3) }).start();
      await assert.rejects(exits.result(), { code: 'ERR_WORKER_DIED', exitCode: 3 });
      const killed = new Process({ target: forever }).start();
      killed.kill();
      await assert.rejects(killed.result(), { code: 'ERR_WORKER_DIED', signalCode: 'SIGKILL' });
      for (const one of [throws, exits, killed]) await one.join();
      assert.deepEqual([throws.exitCode, exits.exitCode, killed.signalCode], [1, 3, 'SIGKILL']);
    });

    test('a child uses timers, files, commands, Workers, WebAssembly', limit, async () => {
      const child = new Process<[], unknown[]>({
        target: async () => {
          const { promises } = require('node:fs') as typeof import('node:fs');
          const { execSync } = require('node:child_process') as typeof import('node:child_process');
          const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
          const { setTimeout: sleep } =
            require('node:timers/promises') as typeof import('node:timers/promises');
          await sleep(1);
          const worker = new Worker('require("node:worker_threads").parentPort.postMessage(42)', {
            eval: true,
          });
          const message = new Promise(resolve => worker.once('message', resolve));
          const empty = await (globalThis as any).WebAssembly.instantiate(
            new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]),
          );
          return [
            (await promises.readFile('/proc/self/comm', 'utf8')).length > 1,
            String(execSync('echo command')),
            await message,
            Object.keys(empty.instance.exports),
          ];
        },
      }).start();
      assert.deepEqual(await child.result(), [true, 'command\n', 42, []]);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('a pool maps, and goes on when a worker is killed', limit, async () => {
      await using pool = new Pool(2);
      const offset = 100;
      assert.deepEqual(await pool.map((x: number) => x * x + offset, [1, 2, 3]), [101, 104, 109]);
      await assert.rejects(
        pool.run(() => process.kill(process.pid, 'SIGKILL')),
        {
          code: 'ERR_WORKER_DIED',
        },
      );
      assert.equal(await pool.run((n: number) => n + 1, [1]), 2);
    });

    test('who is killed holding a lock leaves it to the next, who is told', limit, async () => {
      using lock = new Lock();
      using held = new EventFlag();
      const child = new Process({
        target: async (lock: Lock, held: EventFlag) => {
          await lock.acquire();
          held.set();
          await new Promise(() => setInterval(() => {}, 1000));
        },
        args: [lock, held] as const,
      }).start();
      await held.wait();
      const waiting = lock.acquire();
      child.kill();
      const guard = await waiting;
      assert.equal(guard.abandoned, true);
      guard.release();
      await child.join();
    });
  });
}

test('a thread runs a closure, throws, is terminated in a busy loop', limit, async () => {
  const offset = { by: 100 };
  const thread = new Thread({ target: (n: number) => n + offset.by, args: [7] }).start();
  assert.equal(await thread.result(), 107);
  const busy = new Thread({
    target: () => {
      for (;;);
    },
  }).start();
  busy.terminate();
  await assert.rejects(busy.result(), { code: 'ERR_WORKER_DIED' });
  await Promise.all([thread.join(), busy.join()]);
  await using pool = new Pool({ size: 2, kind: 'thread' });
  assert.deepEqual(await pool.map((x: number) => x * 2, [1, 2, 3]), [2, 4, 6]);
});

test('locks, semaphores, barriers, conditions hold between threads and processes', limit, async () => {
  using lock = new Lock();
  using room = new Semaphore(1);
  using barrier = new Barrier(3);
  using condition = new Condition();
  using sum = new Value('i');
  using slots = new SharedArray('f64', 4);
  const work = async (own: number) => {
    await barrier.wait();
    for (let i = 0; i < 100; i++) await lock.runExclusive(() => void sum.value++);
    for (let i = 0; i < 100; i++) (await room.acquire()).release();
    slots.set(own, own + 0.5);
    const guard = await condition.acquire();
    condition.notifyAll();
    guard.release();
  };
  const peers = [
    ...methods.map((method, i) => new (getContext(method).Process)({ target: work, args: [i] })),
    new Thread({ target: work, args: [2] }),
  ];
  for (const peer of peers) peer.start();
  await condition.acquire();
  await condition.waitFor(() => slots.get(0) + slots.get(1) + slots.get(2) === 4.5);
  condition.release();
  await Promise.all(peers.map(peer => peer.result()));
  await Promise.all(peers.map(peer => peer.join()));
  assert.equal(sum.value, 300);
});

test('a deadlock is found, and a lock may be nested that says so', limit, async () => {
  using nested = new RLock();
  using one = new Lock();
  using other = new Lock();
  assert.equal(await nested.runExclusive(() => nested.runExclusive(() => 1)), 1);
  const invert = async (first: Lock, second: Lock) => {
    const guard = await first.acquire();
    await new Promise(setImmediate);
    try {
      (await second.acquire()).release();
    } finally {
      guard.release();
    }
  };
  const inverted = await Promise.allSettled([invert(one, other), invert(other, one)]);
  const codes = inverted.map(end => (end.status === 'rejected' ? end.reason.code : 'fine'));
  assert.deepEqual(codes.sort(), ['ERR_DEADLOCK', 'fine']);
});

test('queues and pipes carry values, closures, their own ends', limit, async () => {
  using queue = new Queue<[unknown, Queue]>(10);
  using answers = new Queue();
  const [here, there] = Pipe();
  const serve = async (end: typeof there) => {
    for await (const [item, back] of queue) await back.put(item);
    await end.send(new Uint8Array(1e5).fill(7));
  };
  const servers = [
    ...methods.map(method => new (getContext(method).Process)({ target: serve, args: [there] })),
    new Thread({ target: serve, args: [there] }),
  ];
  for (const server of servers) server.start();
  there.close();
  const offset = 100;
  for (let i = 0; i < 300; i++) await queue.put([{ i, f: () => i + offset }, answers]);
  queue.shutdown();
  for (let i = 0; i < 300; i++) {
    const { i: item, f } = (await answers.get()) as { i: number; f: () => number };
    assert.equal(f() - item, offset);
  }
  let bytes = 0;
  for await (const message of here) bytes += (message as Uint8Array).length;
  assert.equal(bytes, 3e5);
  const ready = new Set<unknown>();
  while (ready.size < servers.length) for (const one of await wait(servers)) ready.add(one);
  await Promise.all(servers.map(server => server.join()));
});

test('named objects are found by unrelated programs', limit, async () => {
  const [name, other] = [`smoke ${process.pid}`, `smoke queue ${process.pid}`];
  using lock = new Lock({ name });
  using queue = new PriorityQueue<string>(0, { name: other });
  const guard = lock.acquireSync();
  const asked = prints(
    'stranger.cjs',
    `const { Lock, PriorityQueue } = require('manyhands');
     (async () => {
       const lock = new Lock({ name: ${JSON.stringify(name)} });
       const queue = new PriorityQueue(0, { name: ${JSON.stringify(other)} });
       await queue.put('second');
       await queue.put('first', { priority: -1 });
       await lock.acquire();
       console.log('mine');
     })();`,
  );
  const items = [await queue.get()];
  guard.release();
  assert.equal(await asked, 'mine\n');
  items.push(await queue.get());
  assert.deepEqual(items.sort(), ['first', 'second']);
});

test('import and require give one library', limit, async () => {
  const imported = (await import(path.join(__dirname, 'index.mjs'))) as Record<string, unknown>;
  assert.equal(imported.Process, Process);
  assert.deepEqual(
    Object.keys(imported).sort(),
    Object.keys(createRequire(__filename)('./index.js') as object).sort(),
  );
});

const PROGRAM = `
  const half = n => n / 2;
  const results = [];
  for (const method of ['forkserver', 'spawn'])
    results.push(await new (mp.getContext(method).Process)({ target: n => half(n), args: [4] }).start().result());
  results.push(await new mp.Thread({ target: n => half(n), args: [6] }).start().result());
  console.log(...results);`;

test('programs of either kind of module, without a main guard, run once', limit, async () => {
  const [imported, required] = await Promise.all([
    prints('program.mjs', `import * as mp from 'manyhands'; ${PROGRAM}`),
    prints('program.cjs', `const mp = require('manyhands'); (async () => { ${PROGRAM} })();`),
  ]);
  assert.deepEqual([imported, required], ['2 2 3\n', '2 2 3\n']);
});

test('so do programs in TypeScript, where this Node strips types by itself', {
  ...limit,
  skip: !(process.features as { typescript?: unknown }).typescript,
}, async () => {
  const typed = PROGRAM.replace('n => n / 2', '(n: number): number => n / 2');
  assert.equal(await prints('program.mts', `import * as mp from 'manyhands'; ${typed}`), '2 2 3\n');
});
