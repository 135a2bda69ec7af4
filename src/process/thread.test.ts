import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerDiedError } from '../errors/errors.js';
import { allocate, FAMILY, free, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT } from '../memory/layout.js';
import { isKnownDead, record } from '../memory/participants.js';
import { native } from '../native/native.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { blockUntil } from '../wait/doorbell.js';
import { waiting, wake } from '../wait/line.js';
import { currentThread, mainThread } from './current-thread.js';
import { Thread } from './thread.js';

leavesNothing({
  async warm() {
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'thread-program.js');
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

for (const [what, target] of [
  ['in a busy loop', spin],
  ['with an event loop', forever],
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
  const times = Number(process.env.MANYHANDS_KILLS ?? 40);
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
