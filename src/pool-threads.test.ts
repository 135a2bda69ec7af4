import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CancelledError, TimeoutError } from './errors/errors.js';
import { forever, spin, warmUp } from './pool/fixtures/carriers.js';
import { double } from './pool/fixtures/tasks.js';
import { Pool } from './pool/pool.js';
import { enumerateThreads } from './process/current-thread.js';
import { releaseReserve, reserveSize } from './process/reserve.js';
import { Thread } from './process/thread.js';
import { Semaphore } from './sync/semaphore.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { alive, waitUntil } from './testing/processes.js';

/* What is special about workers that are threads. What holds for all is tested in the other suites. */
leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const options = { kind: 'thread' } as const;
const face = path.join(__dirname, 'index.js');
const program = path.resolve(__dirname, '../src/pool/fixtures/thread-program.cjs');

/** Resolves when a Worker waits for a thread. */
async function aReserve(): Promise<void> {
  if (reserveSize() === 0) await new Thread().start().join();
  await waitUntil(() => reserveSize({ ready: true }) > 0, 'a Worker to wait');
}

test('workers are Threads, which are listed, know who they are, and go with the pool', LIMIT, async () => {
  const pool = new Pool(2, options);
  await pool.ready();
  const workers = [...pool.workers];
  assert.equal(workers.length, 2);
  for (const worker of workers) {
    assert.ok(worker instanceof Thread);
    assert.match(worker.name, /^PoolWorker-\d+$/);
    assert.deepEqual([worker.daemon, worker.isAlive()], [true, true]);
    assert.ok(enumerateThreads().includes(worker));
  }
  const told = await pool.run(
    (library: string) => {
      const { currentThread } = require(library) as typeof import('./index.js');
      const { name, ident, nativeId } = currentThread();
      return [name, ident, nativeId];
    },
    [face],
  );
  assert.ok(
    (workers as Thread[]).some(({ name, ident, nativeId }) => `${[name, ident, nativeId]}` === `${told}`),
    `${told}`,
  );
  pool.close();
  await pool.join();
  assert.ok(workers.every(worker => !worker.isAlive()));
  assert.deepEqual(
    (workers as Thread[]).map(({ exitCode }) => exitCode),
    [0, 0],
  );
  assert.deepEqual(
    enumerateThreads().map(({ name }) => name),
    ['MainThread'],
  );
});

test(
  'a worker is born in a Worker that waits, if there is one, and only what replaces one asks for more',
  LIMIT,
  async () => {
    await aReserve();
    const before = reserveSize();
    await using pool = new Pool(1, options);
    assert.equal(reserveSize(), before - 1);
    assert.ok(((pool.workers[0] as Thread).nativeId as number) > 0); // known at once: it has booted
    assert.equal(await pool.run(double, [4]), 8);
    releaseReserve();
    await assert.rejects(pool.run(() => process.exit(1)));
    assert.equal(await pool.run(double, [5]), 10);
    await waitUntil(() => reserveSize({ ready: true }) > 0, 'a Worker to wait for the next');
  },
);

test('workers may start threads and processes of their own, which end with them', LIMIT, async () => {
  using begun = new Semaphore(0);
  const pool = new Pool(1, options);
  const startBoth = async (library: string, begun: Semaphore) => {
    const { Process, Thread } = require(library) as typeof import('./index.js');
    const target = async (begun: Semaphore) => {
      begun.release();
      await new Promise(() => setInterval(() => {}, 1e6));
    };
    const args: [Semaphore] = [begun];
    const child = new Process({ target, args, daemon: true }).start();
    return [new Thread({ target, args }).start().ident, child.pid];
  };
  const [ident, pid] = await pool.run(startBoth, [face, begun]);
  for (let i = 0; i < 2; i++) await begun.acquire();
  assert.ok(alive(pid as number));
  assert.ok(enumerateThreads().some(thread => thread.ident === ident));
  await pool.terminate();
  await waitUntil(() => !alive(pid as number), 'its process to end');
  await waitUntil(() => !enumerateThreads().some(thread => thread.ident === ident), 'its thread to end');
});

const sleepForGood = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
const block = (semaphore: Semaphore) => semaphore.acquireSync();

for (const [what, task] of [
  ['runs for ever', spin],
  ['has an event loop', forever],
  ['sleeps in Atomics.wait()', sleepForGood],
  ['sleeps in a wait of this library', block],
] as const)
  test(`one that ${what} can be ended, and is replaced`, LIMIT, async () => {
    using semaphore = new Semaphore(0);
    await using pool = new Pool(1, options);
    await pool.ready();
    const [worker] = pool.workers;
    const stuck = pool.run(task as (semaphore: Semaphore) => unknown, [semaphore], { timeout: 10 });
    await assert.rejects(stuck, TimeoutError);
    assert.equal(worker.isAlive(), false);
    assert.equal(await pool.run(double, [1]), 2);
    const next = pool.run(task as (semaphore: Semaphore) => unknown, [semaphore]);
    await waitUntil(() => pool.stats.busy === 1, 'it to run');
    pool.workers[0].terminate(); // by its own method, too
    await assert.rejects(next, { name: 'WorkerDiedError', exitCode: 1, signalCode: null });
    assert.equal(await pool.run(double, [2]), 4);
  });

for (const waits of [false, true])
  test(
    `one can be ended in its first milliseconds, ${waits ? 'born in a Worker that waited' : 'while its Worker boots'}`,
    LIMIT,
    async () => {
      for (const turns of waits ? [0, 3, 30] : [0, 1, 3, 10, 30, 100, 300]) {
        if (waits) await aReserve();
        else releaseReserve();
        const pool = new Pool(1, options);
        const lost = assert.rejects(pool.run(forever), CancelledError);
        const [worker] = pool.workers;
        for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve));
        await pool.terminate();
        await lost;
        assert.equal(worker.isAlive(), false);
        assert.equal((worker as Thread).exitCode, 1);
      }
    },
  );

/** What the program prints, and on stderr; both of processes and threads. */
async function outputs(kind: string, scenario: string, ...flags: string[]): Promise<[string, string]> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    ...flags,
    program,
    face,
    kind,
    scenario,
  ]);
  return [stdout, stderr];
}

for (const [scenario, first] of [
  ['throws', 'WorkerDiedError 1'],
  ['throwsLater', 'returned first'],
] as const)
  test(
    `what nobody catches in a worker is printed once, and ends that worker alone: ${scenario}`,
    LIMIT,
    async () => {
      for (const kind of ['process', 'thread']) {
        const [stdout, stderr] = await outputs(kind, scenario);
        assert.equal(stdout, `${first}\nreturned goes on\n`, kind);
        assert.match(stderr, /^PoolWorker-1: RangeError: outside\n {4}at /, kind);
        assert.equal(stderr.split('outside').length, 2, stderr);
      }
    },
  );

test('an excepthook is told of what nobody catches in a worker, and of no other end', LIMIT, async () => {
  const [stdout, stderr] = await outputs('thread', 'hooked');
  const ends = ['WorkerDiedError 3', 'Error undefined', 'TimeoutError undefined'];
  assert.deepEqual(
    stdout.trim().split('\n').sort(),
    [...ends, 'WorkerDiedError 1', 'hook: PoolWorker-N outside'].sort(),
  );
  assert.equal(stderr, '');
});

test('one that fills its heap ends alone, and is replaced', LIMIT, async () => {
  const [stdout, stderr] = await outputs('thread', 'fills', '--max-old-space-size=48');
  assert.equal(stdout, 'WorkerDiedError 1\nreturned goes on\n');
  assert.match(stderr, /^PoolWorker-1: WorkerDiedError: .* heap grew beyond what Node allows/);
  assert.equal(stderr.split('heap grew').length, 2, stderr);
});

test('a worker that sleeps for good does not keep its program from leaving', LIMIT, async () => {
  assert.deepEqual(await outputs('thread', 'leaves'), ['leaves\n', '']);
});
