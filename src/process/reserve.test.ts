import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { threadIds } from '../memory/participants.js';
import { cpuCount } from '../platform/platform.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { activeThreadCount, enumerateThreads } from './current-thread.js';
import { releaseReserve, reserveSize } from './reserve.js';
import { Thread } from './thread.js';

leavesNothing({
  async warm() {
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'reserve-program.js');

/** Resolves when a Worker waits for a thread. */
async function aReserve(): Promise<void> {
  if (reserveSize() === 0) await new Thread().start().join();
  await waitUntil(() => reserveSize({ ready: true }) > 0, 'a Worker to wait');
}

/** Starts a thread, which must be born in a Worker of the reserve. */
async function born<A extends unknown[], R>(target: (...args: A) => R, ...args: A): Promise<Awaited<R>> {
  await aReserve();
  const before = reserveSize();
  const thread = new Thread({ target, args }).start();
  assert.equal(reserveSize(), before - 1, 'it was not born in one of the reserve');
  assert.ok((thread.nativeId as number) > 0); // known at once
  const result = await thread.result();
  await thread.join();
  return result as Awaited<R>;
}

test(
  'it is filled up once a thread has been started, and nobody counts it among the threads',
  limit,
  async () => {
    await aReserve();
    assert.deepEqual(
      enumerateThreads().map(({ name }) => name),
      ['MainThread'],
    );
    assert.equal(activeThreadCount(), 1);
    assert.equal(threadIds().size, 1); // nor has it a part in the commons
  },
);

test(
  'each thread has a Worker of its own: globals, modules, idents and kernel threads are new',
  limit,
  async () => {
    const look = () => {
      const seen = (globalThis as { seen?: number }).seen;
      (globalThis as { seen?: number }).seen = 1;
      return [seen, require('node:worker_threads').threadId];
    };
    const [first, second] = [await born(look), await born(look)];
    assert.deepEqual([first[0], second[0]], [undefined, undefined]);
    assert.notEqual(first[1], second[1]);
  },
);

test('one born there has the environment, the arguments and the folder of this moment', limit, async () => {
  await aReserve();
  const { argv } = process;
  const cwd = process.cwd();
  process.env.MANYHANDS_NEW = 'new';
  const { LANG } = process.env;
  delete process.env.LANG;
  process.argv = [...argv, 'more'];
  process.chdir('/');
  try {
    const [env, args, folder] = await born(() => [{ ...process.env }, process.argv, process.cwd()] as const);
    assert.deepEqual(env, { ...process.env });
    assert.equal('LANG' in env, false);
    assert.deepEqual(args, process.argv);
    assert.equal(folder, '/');
    await born(() => {
      process.env.MANYHANDS_NEW = 'other';
    });
    assert.equal(process.env.MANYHANDS_NEW, 'new'); // it is a copy
  } finally {
    delete process.env.MANYHANDS_NEW;
    if (LANG !== undefined) process.env.LANG = LANG;
    process.argv = argv;
    process.chdir(cwd);
  }
});

test(
  'what a running Worker could not follow, and limits, make a thread begin in a new one',
  limit,
  async () => {
    await aReserve();
    const before = reserveSize();
    const limited = new Thread({ limits: { heap: 64 << 20 } }).start();
    assert.equal(reserveSize(), before);
    await limited.join();
    const { TZ } = process.env;
    process.env.TZ = 'Pacific/Chatham';
    try {
      const thread = new Thread({ target: () => new Date(0).getTimezoneOffset() }).start();
      assert.equal(reserveSize(), 0); // those that are there serve nobody any more
      assert.equal(await thread.result(), new Date(0).getTimezoneOffset());
      await thread.join();
    } finally {
      if (TZ === undefined) delete process.env.TZ;
      else process.env.TZ = TZ;
      releaseReserve();
    }
  },
);

test('a blocked starter, and one that terminates at once, need no event loop', limit, async () => {
  await aReserve();
  const thread = new Thread({ target: () => 5 }).start();
  assert.equal(thread.joinSync(), true);
  assert.equal(await thread.result(), 5);
  await aReserve();
  const spinning = new Thread({
    target: () => {
      for (;;) {}
    },
  }).start();
  spinning.terminate();
  assert.equal(spinning.joinSync(), true);
  assert.equal(spinning.exitCode, 1);
});

test(
  'what a thread printed has come out when its join has resolved, also if it exits at once',
  limit,
  async () => {
    const { write } = process.stderr;
    let printed = '';
    process.stderr.write = ((text: string | Uint8Array) => {
      printed += text;
      return true;
    }) as typeof write;
    try {
      for (const last of ['returns', 'exits']) {
        await aReserve();
        const thread = new Thread({
          target: (last: string) => {
            process.stderr.write(`it ${last};`);
            if (last === 'exits') process.exit();
          },
          args: [last],
        }).start();
        await thread.join();
      }
    } finally {
      process.stderr.write = write;
    }
    assert.equal(printed, 'it returns;it exits;');
  },
);

test('it grows with what is started at once, up to the number of CPUs', limit, async () => {
  releaseReserve();
  const many = Array.from({ length: cpuCount() + 1 }, () => new Thread().start());
  await Promise.all(many.map(thread => thread.join()));
  await waitUntil(() => reserveSize({ ready: true }) === cpuCount(), 'all to wait');
});

test('releaseReserve() ends all of it, and what threads have left, before it returns', limit, async () => {
  await aReserve();
  const thread = new Thread().start();
  thread.joinSync();
  const tid = thread.nativeId as number;
  assert.equal(releaseReserve(), true);
  assert.equal(reserveSize(), 0);
  assert.throws(() => readFileSync(`/proc/self/task/${tid}/comm`), { code: 'ENOENT' });
  const names = enumerateThreads().map(({ name }) => name);
  assert.deepEqual(names, ['MainThread']);
  await aReserve(); // a new one can be had
});

for (const [scenario, flags, output] of [
  ['none', [], '0 0\n'],
  ['one', [], '1 1\n'],
  ['one', ['--single-threaded'], '0 0\n'],
  ['booting', [], 'booting\n'],
  ['exit', [], 'exit\n'],
] as const)
  test(`a program ends as without it: ${[scenario, ...flags].join(' ')}`, limit, () => {
    const ended = spawnSync(process.execPath, [...flags, program, scenario], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    assert.deepEqual([ended.status, ended.stdout, ended.stderr], [0, output, '']);
  });
