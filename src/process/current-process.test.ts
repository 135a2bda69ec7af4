import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { wait } from '../channel/wait.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { state, waitGone } from '../testing/processes.js';
import { activeChildren, currentProcess } from './current-process.js';
import { executions } from './fixtures/executions.js';
import { carriers, warm } from './fixtures/methods.js';
import { startProgram } from './fixtures/start-program.js';
import { parentProcess } from './parent-process.js';
import { Process } from './process.js';
import { Thread } from './thread.js';

leavesNothing({
  async warm() {
    await warm();
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 30_000 };
/** What closures require where they run. */
const modules = Object.fromEntries(
  ['current-process', 'parent-process', 'current-thread', 'identity', 'process', 'thread'].map(name => [
    name,
    path.join(__dirname, `${name}.js`),
  ]),
);
type Modules = typeof modules;

/** Who somebody is. */
function tell(modules: Modules): unknown[] {
  const { currentProcess } = require(modules['current-process']) as typeof import('./current-process.js');
  const { parentProcess } = require(modules['parent-process']) as typeof import('./parent-process.js');
  const self = currentProcess();
  const parent = parentProcess();
  return [
    [
      self.name,
      self.pid,
      self.ident,
      self.daemon,
      self.isAlive(),
      self.exitCode,
      self.state !== 'terminated',
    ],
    parent && [parent.name, parent.pid, parent.ident, parent.daemon, parent.isAlive()],
    process.ppid,
    Buffer.from(self.authkey).toString('hex'),
  ];
}

const own = [process.pid, process.pid, false, true, undefined, true];
const key = () => Buffer.from(currentProcess().authkey).toString('hex');

test('the program itself is MainProcess, and has no parent', () => {
  assert.deepEqual(tell(modules), [['MainProcess', ...own], null, process.ppid, key()]);
  assert.equal(currentProcess(), currentProcess());
  assert.ok(currentProcess() instanceof Process);
  assert.ok(currentProcess().usage().rss > 0);
  assert.equal(parentProcess(), null);
  assert.match(key(), /^[0-9a-f]{64}$/);
});

for (const { kind, prefix, create } of executions) {
  describe(`in ${kind}`, () => {
    test('who this is and who started it', limit, async () => {
      const child = create({ target: tell, args: [modules], daemon: true });
      const [self, parent, ppid, authkey] = (await child.start().result()) as unknown[];
      if (prefix === 'Thread') {
        assert.deepEqual([self, parent, ppid], [['MainProcess', ...own], null, process.ppid]);
      } else {
        const { name, ident: pid } = child as unknown as Process;
        assert.deepEqual(self, [name, pid, pid, true, true, undefined, true]);
        assert.deepEqual(parent, ['MainProcess', process.pid, process.pid, false, true]);
        assert.equal(ppid, process.pid);
      }
      assert.equal(authkey, key(), 'all of a program have one key');
      await child.join();
    });

    test('what it starts knows it by name and pid, threads of it too', limit, async () => {
      const child = create({
        name: 'middle',
        args: [modules, tell],
        target: async (modules: Modules, tell: (modules: Modules) => unknown[]) => {
          const { Process } = require(modules.process) as typeof import('./process.js');
          const { Thread } = require(modules.thread) as typeof import('./thread.js');
          const told: unknown[] = [process.pid];
          for (const Kind of [Process, Thread]) {
            const one = new Kind({ target: tell, args: [modules] }).start();
            told.push(one.name, await one.result());
            await one.join();
          }
          return told;
        },
      });
      const [pid, grandchild, told, thread, toldByThread] = (await child.start().result()) as [
        number,
        string,
        unknown[][],
        string,
        unknown[][],
      ];
      const middle = prefix === 'Thread' ? 'MainProcess' : 'middle';
      assert.match(grandchild, prefix === 'Thread' ? /^Process-\d+$/ : /^Process-\d+:1$/);
      assert.match(thread, prefix === 'Thread' ? /^Thread-\d+$/ : /^Thread-1$/);
      assert.deepEqual(told[0][0], grandchild);
      assert.deepEqual(told.slice(1), [[middle, pid, pid, false, true], pid, key()]);
      assert.deepEqual(toldByThread[0].slice(0, 2), [middle, pid]);
      assert.deepEqual(toldByThread[1]?.[1], prefix === 'Thread' ? undefined : process.pid);
      assert.equal(toldByThread[2], prefix === 'Thread' ? process.ppid : process.pid);
      await child.join();
    });

    test('an authkey that is set holds for what is made from then on', limit, async () => {
      const child = create({
        args: [modules],
        target: async (modules: Modules) => {
          const { currentProcess } = require(
            modules['current-process'],
          ) as typeof import('./current-process.js');
          const { Process } = require(modules.process) as typeof import('./process.js');
          const { Thread } = require(modules.thread) as typeof import('./thread.js');
          const read = (file: string) =>
            String.fromCharCode(
              ...(require(file) as typeof import('./current-process.js')).currentProcess().authkey,
            );
          const args: [string] = [modules['current-process']];
          const first = new Process({ target: read, args });
          const bytes = Buffer.from('secret');
          currentProcess().authkey = bytes;
          bytes.fill(0);
          currentProcess().authkey.fill(0); // reading gives a copy
          const second = new Process({ target: read, args });
          const third = new Process({ target: read, args });
          third.authkey = Buffer.from('third');
          const results: unknown[] = [];
          for (const one of [first, second, third, new Thread({ target: read, args })]) {
            results.push(await one.start().result());
            await one.join();
          }
          return results.map(one => ((one as string).length > 10 ? 'the program’s' : one));
        },
      });
      assert.deepEqual(await child.start().result(), ['the program’s', 'secret', 'third', 'secret']);
      await child.join();
      assert.match(key(), /^[0-9a-f]{64}$/);
    });
  });
}

for (const method of carriers.keys())
  test(
    `a child by ${method} learns at once that its parent has ended, in each way of waiting`,
    limit,
    async () => {
      const program = path.join(__dirname, 'fixtures', 'orphan-program.js');
      const { root, pid, next, errors, ended } = startProgram([program, method]);
      const alive = ['MainProcess', pid, true, true];
      const gone = ['MainProcess', pid, false, false];
      assert.deepEqual(await next(), [alive, false, 'enough', true]);
      root.kill('SIGKILL');
      assert.deepEqual(await next(), [true, true, [alive, false, true, gone]]);
      assert.deepEqual(await next(), [gone, true, null, null, 'terminated']);
      assert.equal(await errors, '');
      await ended;
      await waitGone(pid);
    },
  );

test('a parent whose pid is now that of another is not alive', limit, async () => {
  const child = new Process({
    args: [modules],
    target: async (modules: Modules) => {
      const { adoptIdentity, identity } = require(modules.identity) as typeof import('./identity.js');
      const { parentProcess } = require(modules['parent-process']) as typeof import('./parent-process.js');
      const now = identity();
      if (!now) return null;
      const { pid, start } = now.parent;
      adoptIdentity({ ...now, parent: { ...now.parent, start: start - 1 } });
      const parent = parentProcess();
      return [parent?.isAlive(), await parent?.join(), parent?.joinSync(), process.ppid === pid];
    },
  }).start();
  assert.deepEqual(await child.result(), [false, true, true, false]);
  await child.join();
});

test('a parent can be waited for and looked at, and that is all', limit, async () => {
  const child = new Process({
    args: [modules],
    target: async (modules: Modules) => {
      const { parentProcess } = require(modules['parent-process']) as typeof import('./parent-process.js');
      const parent = parentProcess() as Process;
      const refused: string[] = [];
      const acts = {
        start: () => parent.start(),
        result: () => parent.result(),
        terminate: () => parent.terminate(),
        kill: () => parent.kill(),
        suspend: () => parent.suspend(),
        close: () => parent.close(),
        setPriority: () => parent.setPriority(1),
        authkey: () => parent.authkey,
        dispose: () => parent[Symbol.asyncDispose](),
      };
      for (const [name, act] of Object.entries(acts))
        try {
          await act();
          refused.push(`${name} is done`);
        } catch (error) {
          refused.push((error as Error).name);
        }
      return [new Set(refused), parent.usage().rss > 0, parent === parentProcess()];
    },
  }).start();
  assert.deepEqual(await child.result(), [new Set(['LifecycleError']), true, true]);
  await child.join();
});

test('what runs here can be asked about, and not waited for or ended', async () => {
  const self = currentProcess();
  for (const act of [
    'start',
    'joinSync',
    'terminate',
    'kill',
    'interrupt',
    'suspend',
    'resume',
    'close',
  ] as const)
    assert.throws(() => self[act](), { name: 'LifecycleError' }, act);
  for (const act of ['join', 'result'] as const)
    await assert.rejects(self[act](), { name: 'LifecycleError' }, act);
  await assert.rejects(wait([self]), { name: 'LifecycleError' });
  assert.throws(
    () => {
      self.daemon = true;
    },
    { name: 'LifecycleError' },
  );
  self.ref().unref();
});

test('a name that a process gives itself is what its children know it by', limit, async () => {
  const child = new Process({
    args: [modules],
    target: async (modules: Modules) => {
      const { currentProcess } = require(modules['current-process']) as typeof import('./current-process.js');
      const { Process } = require(modules.process) as typeof import('./process.js');
      currentProcess().name = 'renamed';
      const one = new Process({
        args: [modules['parent-process']],
        target: (file: string) =>
          (require(file) as typeof import('./parent-process.js')).parentProcess()?.name,
      }).start();
      const name = await one.result();
      await one.join();
      return name;
    },
  }).start();
  assert.equal(await child.result(), 'renamed');
  await child.join();
});

test(
  'activeChildren() has those that this thread started and that live, and reaps the others',
  limit,
  async () => {
    const forever = () => new Promise(() => setInterval(() => {}, 1000));
    for (const [method, Carrier] of carriers) {
      const unstarted = new Carrier();
      const [first, second] = [1, 2].map(() => new Carrier({ target: forever, stdio: 'ignore' }).start());
      assert.deepEqual(activeChildren(), [first, second], method);
      assert.equal(activeChildren().includes(unstarted), false);
      first.kill();
      while (activeChildren().includes(first)); // without the event loop's help
      assert.deepEqual(activeChildren(), [second]);
      await waitGone(first.pid as number);
      assert.equal(state(first.pid as number), null);
      const elsewhere = new Thread({
        args: [modules['current-process']],
        target: (file: string) =>
          (require(file) as typeof import('./current-process.js')).activeChildren().length,
      }).start();
      assert.equal(await elsewhere.result(), 0);
      await elsewhere.join();
      second.kill();
      await second.join();
      assert.deepEqual(activeChildren(), []);
    }
  },
);

test(
  'threads are daemons if the thread that makes them is one, and nothing else is said',
  limit,
  async () => {
    const look = (files: Modules) => {
      const { Process } = require(files.process) as typeof import('./process.js');
      const { Thread } = require(files.thread) as typeof import('./thread.js');
      return [new Thread().daemon, new Thread({ daemon: false }).daemon, new Process().daemon];
    };
    assert.deepEqual(look(modules), [false, false, false]);
    for (const daemon of [true, false]) {
      const thread = new Thread({ target: look, args: [modules], daemon }).start();
      assert.deepEqual(await thread.result(), [daemon, false, false]);
      await thread.join();
    }
  },
);

test('an authkey is bytes, and is set before the start', limit, async () => {
  const child = new Process({ target: () => {} });
  const set = (key: unknown) => () => {
    child.authkey = key as Uint8Array;
  };
  for (const wrong of ['secret', 5, null, undefined, [1, 2]])
    assert.throws(set(wrong), { name: 'TypeError', message: /"authkey": give bytes/ });
  child.start();
  assert.throws(set(new Uint8Array(3)), { name: 'LifecycleError', message: /before start/ });
  await child.join();
});
