import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerDiedError } from '../errors/errors.js';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT } from '../memory/layout.js';
import { isKnownDead, record } from '../memory/participants.js';
import { native } from '../native/native.js';
import { EventFlag } from '../sync/event-flag.js';
import { Semaphore } from '../sync/semaphore.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { blockUntil } from '../wait/doorbell.js';
import { waiting, wake } from '../wait/line.js';
import { activeThreadCount, currentThread, enumerateThreads, mainThread } from './current-thread.js';
import { Thread, type ThreadFailure } from './thread.js';

leavesNothing({
  async warm() {
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'thread-program.js');
const hookProgram = path.join(__dirname, 'fixtures', 'hook-program.js');
const modules = {
  park: path.join(__dirname, '..', 'wait', 'park.js'),
  commons: path.join(__dirname, '..', 'memory', 'commons.js'),
  allocator: path.join(__dirname, '..', 'memory', 'allocator.js'),
  participants: path.join(__dirname, '..', 'memory', 'participants.js'),
  thread: path.join(__dirname, 'thread.js'),
  current: path.join(__dirname, 'current-thread.js'),
};
type Modules = typeof modules;

const forever = () => new Promise(() => setInterval(() => {}, 1000));
function spin(): never {
  for (;;) {}
}
/** Waits at a word of the commons, in the kernel, as long as nobody wakes it. */
function block(word: number, { park, commons }: Modules): void {
  require(commons).attach();
  (require(park) as typeof import('../wait/park.js')).parkSync(word, 0);
}

function aWord(): { at: number } & Disposable {
  const handle = allocate(4, { owner: FAMILY, zero: true });
  return { at: offsetOf(handle) / 4, [Symbol.dispose]: () => free(handle) };
}

/** How many threads of this process use the commons, or have a record that nobody gave back. */
function participants(): number {
  let count = 0;
  for (let index = 1; index < words[HEADER.PARTICIPANTS_USED]; index++)
    if (words[record(index) + PARTICIPANT.PID] === process.pid) count++;
  return count;
}

test('has an ident at once, and the id of the kernel once it has begun', limit, async () => {
  const thread = new Thread({ target: () => process.pid });
  assert.deepEqual([thread.ident, thread.nativeId], [undefined, undefined]);
  thread.start();
  assert.ok((thread.ident as number) > 1);
  assert.equal(await thread.result(), process.pid);
  assert.ok((thread.nativeId as number) > 0 && thread.nativeId !== process.pid);
  await thread.join();
});

test('names and daemons can be set by methods, as in Python', () => {
  const thread = new Thread();
  thread.setName('mine');
  thread.setDaemon(true);
  assert.deepEqual([thread.getName(), thread.name, thread.daemon], ['mine', 'mine', true]);
});

test('currentThread() and mainThread() tell who and where', limit, async () => {
  assert.equal(currentThread(), mainThread());
  const { name, ident, nativeId } = mainThread();
  assert.deepEqual([name, ident, nativeId], ['MainThread', 1, native.threadId()]);
  const thread = new Thread({
    name: 'other',
    daemon: true,
    args: [modules.current],
    target: (current: string) => {
      const { currentThread, mainThread } = require(current) as typeof import('./current-thread.js');
      const tell = ({ name, ident, nativeId, daemon }: Thread) => [name, ident, nativeId, daemon];
      return [tell(currentThread()), tell(mainThread()), currentThread().isAlive()];
    },
  }).start();
  assert.deepEqual(await thread.result(), [
    ['other', thread.ident, thread.nativeId, true],
    ['MainThread', 1, process.pid, false],
    true,
  ]);
  await thread.join();
  for (const act of ['start', 'joinSync', 'terminate'] as const)
    assert.throws(() => currentThread()[act](), { name: 'LifecycleError' });
});

const tell = ({ name, ident, nativeId, daemon }: Thread) => [name, ident, nativeId, daemon];

test(
  'enumerateThreads() finds all that live, whoever started them, and from wherever it is called',
  limit,
  async () => {
    assert.deepEqual(enumerateThreads(), [mainThread()]);
    using begun = new Semaphore(0);
    using ready = new EventFlag();
    using end = new EventFlag();
    const wait = async (begun: Semaphore, end: EventFlag) => {
      begun.release();
      await end.wait();
    };
    const plain = new Thread({ target: wait, args: [begun, end] });
    assert.equal(activeThreadCount(), 1); // not yet
    plain.start();
    assert.deepEqual(enumerateThreads(), [mainThread(), plain]); // at once
    const outer = new Thread({
      daemon: true,
      name: 'outer ✓',
      args: [begun, ready, end, modules],
      target: async (begun: Semaphore, ready: EventFlag, end: EventFlag, all: Modules) => {
        const { Thread } = require(all.thread) as typeof import('./thread.js');
        const { enumerateThreads } = require(all.current) as typeof import('./current-thread.js');
        const wait = async (begun: Semaphore, end: EventFlag) => {
          begun.release();
          await end.wait();
        };
        const inner = new Thread({ target: wait, args: [begun, end], name: 'inner' }).start();
        for (let i = 0; i < 2; i++) await begun.acquire();
        const seen = enumerateThreads();
        const isInner = seen.includes(inner);
        ready.set();
        await inner.join();
        return [seen.map(({ name, ident, nativeId, daemon }) => [name, ident, nativeId, daemon]), isInner];
      },
    }).start();
    await ready.wait();
    const here = enumerateThreads();
    const inner = here.at(-1) as Thread;
    assert.deepEqual(here.slice(0, -1), [mainThread(), plain, outer]);
    assert.equal(inner.name, 'inner');
    assert.equal(enumerateThreads().at(-1), inner); // the same object each time
    assert.deepEqual([inner.isAlive(), activeThreadCount()], [true, 4]);
    await assert.rejects(async () => inner.join(), { name: 'LifecycleError' });
    end.set();
    assert.deepEqual(await outer.result(), [here.map(tell), true]);
    await Promise.all([plain.join(), outer.join()]);
    await waitUntil(() => !inner.isAlive(), 'the inner one to end');
    assert.deepEqual(enumerateThreads(), [mainThread()]);
  },
);

test('setName() renames one that runs, for all threads and the kernel', limit, async () => {
  using begun = new EventFlag();
  using renamed = new EventFlag();
  using end = new EventFlag();
  const thread = new Thread({
    args: [begun, renamed, end, modules.current],
    target: async (begun: EventFlag, renamed: EventFlag, end: EventFlag, current: string) => {
      const { currentThread } = require(current) as typeof import('./current-thread.js');
      const atFirst = currentThread().getName();
      begun.set();
      await renamed.wait();
      const then = currentThread().name;
      currentThread().setName('by itself');
      begun.set();
      await end.wait();
      return [atFirst, then];
    },
  }).start();
  thread.setName('before it has begun');
  await begun.wait();
  assert.equal(readFileSync(`/proc/self/task/${thread.nativeId}/comm`, 'utf8'), 'before it has b\n');
  thread.setName('é'.repeat(40));
  assert.equal(thread.getName(), 'é'.repeat(40));
  begun.clear();
  renamed.set();
  await begun.wait();
  assert.equal(thread.getName(), 'by itself');
  end.set();
  assert.deepEqual(await thread.result(), ['before it has begun', 'é'.repeat(28)]);
  await thread.join();
});

/** Sets the hook, as long as `during` runs; gives what it was told. */
async function hooked(during: (told: ThreadFailure[]) => Promise<void>): Promise<ThreadFailure[]> {
  const told: ThreadFailure[] = [];
  const { excepthook } = Thread;
  Thread.excepthook = failure => told.push(failure);
  try {
    await during(told);
  } finally {
    Thread.excepthook = excepthook;
  }
  return told;
}

test(
  'an excepthook is told of the error that ends a thread, before join() resolves or joinSync() returns',
  limit,
  async () => {
    const target = () => {
      throw new RangeError('told');
    };
    for (const waitFor of ['join', 'joinSync'] as const) {
      const told = await hooked(async told => {
        const thread = new Thread({ target }).start();
        await thread[waitFor]();
        assert.equal(told.length, 1);
        assert.equal(told[0].thread, thread);
        await assert.rejects(thread.result(), error => error === told[0].error);
      });
      assert.equal(told.length, 1);
    }
  },
);

test(
  'an excepthook is told of what nobody catches after the outcome, and of what Node ends a thread for',
  limit,
  async () => {
    const told = await hooked(async () => {
      const late = new Thread({
        target: () => {
          setTimeout(() => {
            throw new Error('late');
          });
          return 'done';
        },
      }).start();
      assert.equal(await late.result(), 'done');
      await late.join();
      assert.equal(late.exitCode, 1);
      const rejecting = new Thread({
        target: () => void Promise.reject(new Error('nobody awaits it')),
      }).start();
      await rejecting.join();
      const grow = () => {
        for (const all: unknown[] = []; ; ) all.push([all.length]);
      };
      await new Thread({ target: grow, limits: { heap: 16 << 20 } }).start().join();
    });
    const names = told.map(({ error }) => [(error as Error).name, (error as Error).message.slice(0, 16)]);
    assert.deepEqual(names, [
      ['Error', 'late'],
      ['Error', 'nobody awaits it'],
      ['WorkerDiedError', 'Cannot give the '],
    ]);
  },
);

test('an excepthook is not told of process.exit(), terminate(), or an end in order', limit, async () => {
  const told = await hooked(async () => {
    const exits = new Thread({ target: () => process.exit(3) }).start();
    const ended = new Thread({ target: forever }).start();
    ended.terminate();
    await Promise.all([exits.join(), ended.join(), new Thread().start().join()]);
  });
  assert.deepEqual(told, []);
});

test('only functions are excepthooks', () => {
  for (const wrong of [undefined, null, 'print'])
    assert.throws(() => {
      Thread.excepthook = wrong as never;
    }, TypeError);
});

for (const [scenario, status, output] of [
  ['printed', 0, /^Thread-1: Error: told\n {4}at /],
  ['restored', 0, /^Thread-1: Error: told\n {4}at /],
  ['called', 0, /^Thread-1: Error: told\n {4}at /],
  [
    'hookThrows',
    0,
    /^Thread-1: Error: told\n {4}at [\s\S]*\nThread-1: Thread.excepthook threw: Error: from the hook\n/,
  ],
  [
    'hookRejects',
    0,
    /^Thread-1: Error: told\n {4}at [\s\S]*\nThread-1: Thread.excepthook threw: Error: from the hook\n/,
  ],
  ['blockedAndGone', 5, /^the hook: told\n$/],
] as const)
  test(`an error that ends a thread is told on stderr: ${scenario}`, limit, () => {
    const ended = spawnSync(process.execPath, [hookProgram, scenario], { encoding: 'utf8', timeout: 30_000 });
    assert.match(ended.stderr, output);
    assert.equal(ended.stderr.split('Error: told').length, scenario === 'blockedAndGone' ? 1 : 2);
    assert.deepEqual([ended.status, ended.stdout], [status, '']);
  });

test("has the program's arguments, a copy of its environment, and an empty stdin", limit, async () => {
  const thread = new Thread({
    target: async () => {
      process.env.MANYHANDS_ONLY_HERE = '1';
      let read = 0;
      for await (const chunk of process.stdin) read += chunk.length;
      return [process.argv, process.env.HOME, read];
    },
  }).start();
  assert.deepEqual(await thread.result(), [process.argv, process.env.HOME, 0]);
  assert.equal(process.env.MANYHANDS_ONLY_HERE, undefined);
  await thread.join();
});

function sleepForGood(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** (module (func (export "spin") (loop (br 0)))) */
function spinInWasm(): void {
  const bytes = 'AGFzbQEAAAABBAFgAAADAgEABwgBBHNwaW4AAAoJAQcAA0AMAAsL';
  const { Module, Instance } = (globalThis as any).WebAssembly;
  new Instance(new Module(Buffer.from(bytes, 'base64'))).exports.spin();
}

for (const [what, target] of [
  ['in a busy loop', spin],
  ['with an event loop', forever],
  ['in Atomics.wait()', sleepForGood],
  ['in a loop of WebAssembly', spinInWasm],
] as const)
  test(`terminate() ends one ${what}, and result() says so`, limit, async () => {
    const thread = new Thread<[], unknown>({ target }).start();
    await waitUntil(() => thread.nativeId !== undefined, 'it to begin');
    thread.terminate();
    await assert.rejects(thread.result(), (error: unknown) => {
      assert.ok(error instanceof WorkerDiedError);
      assert.match(error.message, /terminated/);
      assert.deepEqual([error.pid, error.exitCode, error.signalCode], [process.pid, 1, null]);
      return true;
    });
    assert.equal(await thread.join(), true);
  });

for (const waitFor of ['join', 'joinSync'] as const)
  test(`terminate() ends one that waits in the kernel, and ${waitFor}() hears of it`, limit, async () => {
    using word = aWord();
    const thread = new Thread({ target: block, args: [word.at, modules] }).start();
    await waitUntil(() => waiting(word.at).length === 1, 'it to wait');
    const [{ tag }] = waiting(word.at);
    thread.terminate();
    assert.equal(await thread[waitFor](), true);
    await waitUntil(() => isKnownDead(tag) && waiting(word.at).length === 0, 'it to be swept');
  });

test('the death of one is heard of by its starter, blocked in another wait', limit, async () => {
  using word = aWord();
  const thread = new Thread({ target: block, args: [word.at, modules] }).start();
  await waitUntil(() => waiting(word.at).length === 1, 'it to wait');
  const [{ tag }] = waiting(word.at);
  thread.terminate();
  // No event loop, no joinSync(): only the ring that follows from the death.
  assert.equal(
    blockUntil(() => isKnownDead(tag) && waiting(word.at).length === 0),
    true,
  );
  await thread.join();
});

test('the threads of one that is terminated end with it, and leave nothing', limit, async () => {
  using word = aWord();
  const before = participants();
  const thread = new Thread({
    args: [word.at, modules],
    target: (at: number, all: Modules) => {
      const { Thread } = require(all.thread) as typeof import('./thread.js');
      const block = (word: number, { park, commons }: Modules) => {
        require(commons).attach();
        (require(park) as typeof import('../wait/park.js')).parkSync(word, 0);
      };
      new Thread({ target: block, args: [at, all] }).start().joinSync();
    },
  }).start();
  await waitUntil(() => waiting(word.at).length === 1, 'the inner one to wait');
  thread.terminate();
  assert.equal(await thread.join(), true);
  await waitUntil(() => participants() === before, 'all records to be given back');
  assert.equal(waiting(word.at).length, 0);
});

test('a heap beyond its limit ends it, and says so', limit, async () => {
  const grow = () => {
    const all: unknown[] = [];
    for (;;) all.push([all.length]);
  };
  for (const waitFor of ['join', 'joinSync'] as const) {
    const thread = new Thread({ target: grow, limits: { heap: 32 << 20 } }).start();
    await thread[waitFor]();
    await assert.rejects(thread.result(), (error: unknown) => {
      assert.ok(error instanceof WorkerDiedError);
      assert.match(error.message, /33554432 bytes/);
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'ERR_WORKER_OUT_OF_MEMORY');
      return true;
    });
  }
});

test('its stack is as large as it is told to be', limit, async () => {
  const depth = () => {
    let calls = 0;
    const deeper = () => {
      calls++;
      deeper();
    };
    try {
      deeper();
    } catch {}
    return calls;
  };
  const [small, large] = [1 << 20, 16 << 20].map(stack =>
    new Thread({ target: depth, limits: { stack } }).start(),
  );
  assert.ok((await large.result()) > 4 * (await small.result()));
  await Promise.all([small.join(), large.join()]);
});

test('wrong limits are refused', () => {
  for (const limits of [5, null, { heap: '1' }])
    assert.throws(() => new Thread({ limits: limits as never }), TypeError);
  for (const limits of [
    { heap: 1 },
    { heap: Number.NaN },
    { stack: 1000 },
    { stack: Number.POSITIVE_INFINITY },
  ])
    assert.throws(() => new Thread({ limits }), RangeError);
});

test('what it printed does not keep it from ending while its starter is blocked', limit, () => {
  const thread = new Thread({
    target: () => {
      for (let i = 0; i < 3; i++) process.stdout.write('');
      process.stdout.write('# a thread prints\n');
      return 'printed';
    },
  }).start();
  assert.equal(thread.joinSync(), true);
});

for (const [scenario, status, output] of [
  ['plain', 0, 'the thread has ended\nthe program ends\n'],
  ['daemon', 0, 'the program ends\n'],
  ['blocked', 3, 'the program ends\n'],
] as const)
  test(`a program ends as it should: ${scenario}`, limit, () => {
    const ended = spawnSync(process.execPath, [program, scenario], { encoding: 'utf8', timeout: 30_000 });
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [status, output, '']);
  });

/** Allocates, frees, waits, starts another: whatever a random end may hit. */
function busy(kind: number, word: number, all: Modules): void {
  const { allocate, free } = require(all.allocator) as typeof import('../memory/allocator.js');
  const { parkSync } = require(all.park) as typeof import('../wait/park.js');
  const { Thread } = require(all.thread) as typeof import('./thread.js');
  if (kind === 1) return;
  if (kind === 2) {
    require(all.commons).attach();
    parkSync(word, 0);
  }
  if (kind === 3)
    new Thread({
      target: () => {
        for (;;) {}
      },
    }).start();
  const kept: number[] = [];
  for (let i = 0; ; i++) {
    kept.push(allocate(16 + ((i * 997) % 20_000)));
    if (kept.length > 20) free(kept.shift() as number);
  }
}

test('one that is terminated at any moment leaves nothing, and nobody waits in vain', {
  timeout: 240_000,
}, async () => {
  using word = aWord();
  const before = participants();
  const times = Number(process.env.MANYHANDS_KILLS ?? 12);
  for (let i = 0; i < times; i++) {
    const thread = new Thread({ target: busy, args: [i % 4, word.at, modules], daemon: i % 2 === 0 }).start();
    const deadline = performance.now() + ((i * 37) % 131); // from before it is born to long after
    if (i % 3 === 0) while (performance.now() < deadline);
    else await sleep((i * 37) % 131);
    thread.terminate();
    assert.equal(i % 3 === 0 ? thread.joinSync() : await thread.join(), true);
    if (i % 4 !== 1) await assert.rejects(thread.result(), { name: 'WorkerDiedError' });
    else await thread.result().catch(() => {});
    await waitUntil(() => participants() === before, 'its record to be given back');
  }
  assert.equal(wake(word.at), 0);
});
