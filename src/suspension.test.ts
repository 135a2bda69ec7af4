import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from './channel/queue.js';
import { getContext } from './pool/context.js';
import { Pool } from './pool/pool.js';
import { carriers, warm } from './process/fixtures/methods.js';
import type { Process } from './process/process.js';
import { Value } from './shared/value.js';
import { Barrier } from './sync/barrier.js';
import { EventFlag } from './sync/event-flag.js';
import { Lock } from './sync/lock.js';
import { Semaphore } from './sync/semaphore.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { children, state, waitUntil } from './testing/processes.js';

/* A process that is suspended keeps what it has, and others wait: silence is not death. */
leavesNothing({ warm });
leavesNoBlocks();

const limit = { timeout: 60_000 };
/** Longer than the library goes without a look whether somebody still lives, ms. */
const soon = { timeout: 150 };

async function suspend(child: Process<any, any>): Promise<void> {
  child.suspend();
  await waitUntil(() => child.state === 'stopped', 'it to stop');
}

for (const [method, Process] of carriers) {
  describe(`suspended, a process by ${method}`, () => {
    test('keeps its lock and its place in a semaphore: others wait, and go on after it', limit, async () => {
      using lock = new Lock();
      using slots = new Semaphore(1);
      using ready = new EventFlag();
      using mayEnd = new EventFlag();
      const child = new Process({
        target: async (lock: Lock, slots: Semaphore, ready: EventFlag, mayEnd: EventFlag) => {
          const [held, slot] = [await lock.acquire(), await slots.acquire()];
          ready.set();
          await mayEnd.wait();
          slot.release();
          held.release();
        },
        args: [lock, slots, ready, mayEnd],
      }).start();
      await ready.wait();
      await suspend(child);
      mayEnd.set();
      await assert.rejects(lock.acquire(soon), { code: 'ERR_TIMEOUT' });
      assert.throws(() => slots.acquireSync(soon), { code: 'ERR_TIMEOUT' });
      const [next, slot] = [lock.acquire(), slots.acquire()];
      child.resume();
      const guard = await next;
      assert.equal(guard.abandoned, false);
      guard.release();
      (await slot).release();
      await child.result();
      await child.join();
    });

    test('in the middle of puts and gets loses nothing, and is waited for at a barrier', limit, async () => {
      using there = new Queue<number>(2);
      using back = new Queue<number>(2);
      using barrier = new Barrier(2);
      const child = new Process({
        target: async (there: Queue<number>, back: Queue<number>, barrier: Barrier) => {
          for (let i = 0; i < 400; i++) await back.put((await there.get()) + 1);
          await barrier.wait();
        },
        args: [there, back, barrier],
      }).start();
      const putting = (async () => {
        for (let i = 0; i < 400; i++) await there.put(i);
      })();
      for (let i = 0; i < 400; i++) {
        if (i % 100 === 50) {
          child.suspend();
          // It may have the wake for what comes next.
          setTimeout(() => child.resume(), 20);
        }
        assert.equal(await back.get(), i + 1);
      }
      await putting;
      await waitUntil(() => barrier.waiting === 1, 'it to arrive');
      await suspend(child);
      const met = barrier.wait();
      child.resume();
      await met;
      await child.result();
      await child.join();
    });

    test(
      'that was suspended before it began is waited for: result() and join() time out, and go on',
      limit,
      async () => {
        const child = new Process({ target: () => 'done' }).start();
        child.suspend();
        await waitUntil(() => child.state === 'stopped' || !child.isAlive(), 'it to stop');
        if (child.state === 'stopped') {
          assert.equal(await child.join(soon), false);
          assert.equal(child.joinSync(soon), false);
        }
        child.resume();
        assert.equal(await child.result(), 'done');
        await child.join();
        assert.equal(child.exitCode, 0);
      },
    );

    test('as worker of a pool is ended by the time limit of its task', limit, async () => {
      await using pool = new Pool(1, { kind: 'process', context: getContext(method) });
      const pid = await pool.run(() => process.pid);
      using begun = new EventFlag();
      const task = (begun: EventFlag) => {
        begun.set();
        return new Promise(() => setInterval(() => {}, 1000));
      };
      const result = pool.run(task, [begun], { timeout: 300 });
      await begun.wait();
      process.kill(pid, 'SIGSTOP');
      await assert.rejects(result, { code: 'ERR_TIMEOUT' });
      assert.notEqual(await pool.run(() => process.pid), pid);
    });
  });
}

for (const whom of ['mh-forkserver', 'mh-guardian'])
  test(`a start waits for a ${whom} that is suspended, and comes to one process`, limit, async () => {
    const Process = carriers.get('forkserver') as typeof import('./process/process.js').Process;
    const named = (parent: number, name: string) =>
      children(parent).find(({ pid }) => readFileSync(`/proc/${pid}/comm`, 'utf8') === `${name}\n`)?.pid ?? 0;
    const guardian = named(process.pid, 'mh-guardian');
    const pid = whom === 'mh-guardian' ? guardian : named(guardian, whom);
    using count = new Value('i32', 0);
    process.kill(pid, 'SIGSTOP');
    await waitUntil(() => state(pid) === 'T', 'it to stop');
    // This thread blocks meanwhile.
    const continued = once(spawn('sh', ['-c', `sleep 0.4; kill -CONT ${pid}`], { stdio: 'ignore' }), 'exit');
    const child = new Process({
      target: (count: Value<'i32'>) => {
        count.add(1);
      },
      args: [count],
      stdio: 'ignore',
    }).start();
    if (whom === 'mh-forkserver') assert.notEqual(state(pid), 'T');
    await child.join();
    await continued;
    await sleep(20);
    assert.equal(count.value, 1);
  });
