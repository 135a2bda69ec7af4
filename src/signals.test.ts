import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { JoinableQueue } from './channel/joinable-queue.js';
import { Pipe } from './channel/pipe.js';
import { Queue } from './channel/queue.js';
import { wait } from './channel/wait.js';
import { warmUp } from './pool/fixtures/carriers.js';
import { Pool } from './pool/pool.js';
import { Process } from './process/process.js';
import { Thread } from './process/thread.js';
import { Barrier } from './sync/barrier.js';
import { Condition } from './sync/condition.js';
import { EventFlag } from './sync/event-flag.js';
import { Lock } from './sync/lock.js';
import { RWLock } from './sync/rw-lock.js';
import { Semaphore } from './sync/semaphore.js';
import { TableLock } from './sync/table-lock.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { Completion } from './wait/completion.js';
import type { WaitOptions } from './wait/options.js';

/* One signal for very many waits, as a program has one for all that it does. */
leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 30_000 };
const MANY = 1_000;

/** Something to wait for. */
interface Case {
  /** Begins a wait, which does not end unless called off. */
  begin(options: WaitOptions): Promise<unknown>;
  /** Then what it `uses` is disposed of. */
  end?(): unknown;
  uses?: readonly Disposable[];
}

/** Each kind of wait. */
const kinds: Record<string, () => Case | Promise<Case>> = {
  'a completion within the thread': () => {
    const done = new Completion<void>();
    return { begin: options => done.wait(options) };
  },
  'Lock.acquire()': async () => {
    const lock = new Lock();
    const guard = await lock.acquire();
    return { begin: options => lock.acquire(options), uses: [guard, lock] };
  },
  'Semaphore.acquire()': () => {
    const slots = new Semaphore(0);
    return { begin: options => slots.acquire(options), uses: [slots] };
  },
  'Condition.wait()': () => {
    const condition = new Condition();
    return {
      begin: async options => {
        using _ = await condition.acquire();
        await condition.wait(options);
      },
      uses: [condition],
    };
  },
  'EventFlag.wait()': () => {
    const flag = new EventFlag();
    return { begin: options => flag.wait(options), uses: [flag] };
  },
  'Barrier.wait(), each at its own': () => ({
    begin: async options => {
      using barrier = new Barrier(2);
      return await barrier.wait(options);
    },
  }),
  'RWLock.read()': async () => {
    const lock = new RWLock();
    const guard = await lock.write();
    return { begin: options => lock.read(options), uses: [guard, lock] };
  },
  'RWLock.write()': async () => {
    const lock = new RWLock();
    const guard = await lock.read();
    return { begin: options => lock.write(options), uses: [guard, lock] };
  },
  'TableLock.row()': async () => {
    const lock = new TableLock();
    const guard = await lock.table();
    return { begin: options => lock.row('one', options), uses: [guard, lock] };
  },
  'Queue.get()': () => {
    const queue = new Queue();
    return { begin: options => queue.get(options), uses: [queue] };
  },
  'Queue.put()': async () => {
    const queue = new Queue(1);
    await queue.put(0);
    return { begin: options => queue.put(1, options), uses: [queue] };
  },
  'JoinableQueue.join()': async () => {
    const queue = new JoinableQueue();
    await queue.put(0);
    return { begin: options => queue.join(options), uses: [queue] };
  },
  'Connection.recv()': () => {
    const [one, other] = Pipe();
    return { begin: options => one.recv(options), uses: [one, other] };
  },
  'wait() for a queue and a connection': () => {
    const [one, other] = Pipe();
    const queue = new Queue();
    return { begin: options => wait([queue, one], options), uses: [queue, one, other] };
  },
  'join() of a process': () => joining(flag => new Process({ target: untilSet, args: [flag] })),
  'join() of a thread': () => joining(flag => new Thread({ target: untilSet, args: [flag] })),
  "wait() for a pool's result": () => asking((result, options) => result.wait(options)),
  "get() of a pool's result": () => asking((result, options) => result.get(options)),
  'next() of an iteration over a pool': async () => {
    const flag = new EventFlag();
    const pool = new Pool(1);
    const results = pool.imap(untilSet, [flag]);
    return {
      begin: options => results.next(options),
      end: async () => {
        flag.set();
        assert.equal((await results.next()).value, 'set', 'the result is still to be had');
        await pool.terminate();
      },
      uses: [flag],
    };
  },
  'tasks of a pool': () => {
    const flag = new EventFlag();
    const pool = new Pool(1);
    return {
      begin: options => pool.run(untilSet, [flag], options),
      end: async () => {
        flag.set();
        assert.equal(await pool.run(untilSet, [flag]), 'set', 'the pool goes on');
        await pool.terminate();
      },
      uses: [flag],
    };
  },
  'room() of a pool': () => {
    const flag = new EventFlag();
    const pool = new Pool(1, { maxPending: 1 });
    const result = pool.run(untilSet, [flag]);
    return {
      begin: options => pool.room(options),
      end: async () => {
        flag.set();
        await pool.room();
        assert.equal(await result, 'set');
        await pool.terminate();
      },
      uses: [flag],
    };
  },
  'join() of a pool': async () => {
    const flag = new EventFlag();
    const pool = new Pool(1);
    const result = pool.run(untilSet, [flag]);
    pool.close();
    return {
      begin: options => pool.join(options),
      end: async () => {
        flag.set();
        assert.equal(await result, 'set');
        assert.equal(await pool.join(), true);
      },
      uses: [flag],
    };
  },
};

async function untilSet(flag: EventFlag): Promise<string> {
  await flag.wait();
  return 'set';
}

function joining(
  make: (flag: EventFlag) => Process<[EventFlag], string> | Thread<[EventFlag], string>,
): Case {
  const flag = new EventFlag();
  const one = make(flag).start();
  return {
    begin: options => one.join(options),
    end: async () => {
      flag.set();
      assert.equal(await one.result(), 'set', 'it went on');
    },
    uses: [flag],
  };
}

function asking(ask: (result: ReturnType<Pool['run']>, options: WaitOptions) => Promise<unknown>): Case {
  const flag = new EventFlag();
  const pool = new Pool(1);
  const result = pool.run(untilSet, [flag]);
  return {
    begin: options => ask(result, options),
    end: async () => {
      flag.set();
      assert.equal(await result, 'set', 'the task went on');
      await pool.terminate();
    },
    uses: [flag],
  };
}

for (const [kind, make] of Object.entries(kinds)) {
  test(`one signal calls off ${MANY} waits: ${kind}`, LIMIT, async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const { begin, end, uses = [] } = await make();
    const controller = new AbortController();
    const { signal } = controller;
    const reason = { why: 'enough' };
    const waits = Array.from({ length: MANY }, () =>
      begin({ signal }).then(
        () => assert.fail('a wait was over'),
        error => assert.equal(error, reason),
      ),
    );
    await nextTurn();
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    controller.abort(reason);
    await Promise.all(waits);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await end?.();
    for (const used of uses) used[Symbol.dispose]();
    await nextTurn(); // warnings come by themselves
    process.off('warning', note);
    assert.deepEqual(warnings, []);
  });
}
