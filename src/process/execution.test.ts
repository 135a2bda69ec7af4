import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LifecycleError, SerializationError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { children } from '../testing/processes.js';
import { executions } from './fixtures/executions.js';
import { add, ShortOfTea } from './fixtures/functions.js';
import { forks, warm } from './fixtures/methods.js';
import { Thread } from './thread.js';

leavesNothing({
  async warm() {
    await warm();
    if (!forks) await new Thread().start().join();
  },
});
leavesNoBlocks();

const functions = path.join(__dirname, 'fixtures', 'functions.js');
/** The package's sources, seen from dist/process. */
const sources = path.resolve(__dirname, '..', '..', 'src', 'process');
const library = { process: path.join(__dirname, 'process.js'), thread: path.join(__dirname, 'thread.js') };

/** Never ends of itself. */
const forever = () => new Promise(() => setInterval(() => {}, 1000));
const fails = () => {
  throw new Error('told');
};
const limit = { timeout: 30_000 };

for (const { kind, prefix, terminated, isSent, create } of executions) {
  describe(kind, () => {
    const run = <A extends unknown[], R>(target: (...args: A) => R, ...args: A) =>
      create({ target, args }).start();

    test('gives what its target returns, whatever kind of value it is', limit, async () => {
      const values = [
        undefined,
        null,
        true,
        -0,
        Number.NaN,
        12345678901234567890n,
        'text ✓ \ud800',
        new Date(5),
        /x/gi,
        new Map([[{ a: 1 }, new Set([1, 2])]]),
        new Float64Array([1.5, -0]),
        Buffer.from('bytes'),
        Object.assign(new Array(3), { 0: 1, 2: 3 }),
        { nested: { deep: [null, undefined] } },
        new URL('http://localhost/a?b'),
      ];
      const child = run((all: unknown[]) => all, values);
      assert.deepStrictEqual(await child.result(), values);
      assert.equal(await child.join(), true);
      assert.equal(child.exitCode, 0);
      const knot: { self?: unknown } = {};
      knot.self = knot;
      const other = run((value: object) => value, knot);
      const back = (await other.result()) as typeof knot;
      assert.equal(back.self, back);
      await other.join();
    });

    test('runs without a target', limit, async () => {
      const child = create().start();
      assert.equal(await child.result(), undefined);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('runs closures with what they captured, functions of modules, modules by name', limit, async () => {
      const captured = { n: 40 };
      const twice = (n: number) => n * 2;
      const value = async (child: ReturnType<typeof create>) => {
        const result = await child.start().result();
        await child.join();
        return result;
      };
      assert.equal(await value(create({ target: (n: number) => twice(captured.n) + n, args: [2] })), 82);
      assert.equal(await value(create({ target: add, args: [1, 2] })), 3);
      for (const module of [pathToFileURL(functions), `./${path.relative(process.cwd(), functions)}`])
        assert.equal(await value(create({ target: { module, export: 'add' }, args: [3, 4] })), 7);
      const greet = create<[string], string>({ target: { module: functions }, args: ['you'] });
      assert.equal(await value(greet), 'hello you');
    });

    test('imports TypeScript that has to be compiled', limit, async () => {
      const target = { module: path.join(sources, 'fixtures', 'typed.mts'), export: 'large' };
      const child = create({ target, args: [3] }).start();
      assert.equal(await child.result(), 30);
      await child.join();
      assert.equal(child.exitCode, 0);
      // A compiler that a thread started ends with it, but then no event loop takes it off the process table.
      for (const { pid, command } of children())
        if (command.includes('esbuild')) native.awaitExit(pid, -1, 1);
    });

    test('rejects where the module has no such export, naming those there are', limit, async () => {
      const child = create({ target: { module: functions, export: 'nothing' } }).start();
      await assert.rejects(child.result(), { name: 'TypeError', message: /nothing.*add.*runShort/s });
      await child.join();
      assert.equal(child.exitCode, 1);
    });

    test('rejects with what its target threw: itself, with both stacks', limit, async () => {
      const child = create({ target: { module: functions, export: 'runShort' }, args: [3] }).start();
      const error = await child.result().then(
        () => assert.fail('it returned'),
        error => error,
      );
      assert.ok(error instanceof ShortOfTea);
      assert.equal(error.cups, 3);
      assert.equal(error.message, '3 cups short');
      const remote = error.stack?.indexOf('runShort') ?? -1;
      const local = error.stack?.indexOf('execution.test') ?? -1;
      assert.ok(remote > 0 && local > remote, error.stack);
      await child.join();
      assert.equal(child.exitCode, 1);
      const words = run(() => Promise.reject('just words'));
      await assert.rejects(words.result(), (thrown: unknown) => thrown === 'just words');
      await words.join();
    });

    test('rejects with a SerializationError when the result cannot cross', limit, async () => {
      const child = run(() => ({ a: new WeakMap() }));
      await assert.rejects(child.result(), { name: 'SerializationError', path: 'result.a' });
      await child.join();
      assert.equal(child.exitCode, 1);
    });

    test('exits with the code given to process.exit() or process.exitCode', limit, async () => {
      const exits = run(() => process.exit(7));
      await assert.rejects(exits.result(), (error: unknown) => {
        assert.ok(error instanceof WorkerDiedError);
        assert.deepEqual([error.exitCode, error.signalCode], [7, null]);
        return true;
      });
      await exits.join();
      assert.equal(exits.exitCode, 7);
      for (const wait of ['join', 'joinSync'] as const) {
        const sets = run(() => {
          process.on('exit', () => {
            process.exitCode = 9;
          });
          return 'fine';
        });
        await sets[wait]();
        assert.equal(await sets.result(), 'fine');
        assert.equal(sets.exitCode, 9);
      }
    });

    test('errors that nobody catches are its result, and exit code 1', limit, async () => {
      const targets = [
        async () => {
          void Promise.reject(new Error('nobody catches this'));
          await new Promise(() => setInterval(() => {}, 1000));
        },
        () =>
          new Promise(() =>
            setTimeout(() => {
              throw new Error('nobody catches this');
            }, 1),
          ),
      ];
      for (const target of targets) {
        const child = run(target);
        await assert.rejects(child.result(), { message: 'nobody catches this' });
        await child.join();
        assert.equal(child.exitCode, 1);
      }
      const late = run(() => {
        setTimeout(() => {
          throw new Error('late');
        }, 5);
        return 'result';
      });
      assert.equal(await late.result(), 'result');
      await late.join();
      assert.equal(late.exitCode, 1);
    });

    test("leaves errors to a program's own handlers", limit, async () => {
      const child = run(
        () =>
          new Promise(resolve => {
            const caught: string[] = [];
            process.on('uncaughtException', error => {
              caught.push(error.message);
              if (caught.length === 2) resolve(caught);
            });
            process.once('unhandledRejection', error => {
              caught.push((error as Error).message);
              setTimeout(() => {
                throw new Error('exception');
              }, 1);
            });
            void Promise.reject(new Error('rejection'));
          }),
      );
      assert.deepEqual(await child.result(), ['rejection', 'exception']);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('rejects when it ends without a word', limit, async () => {
      const child = run(() => new Promise(() => {}));
      await assert.rejects(child.result(), { name: 'WorkerDiedError', exitCode: 0 });
      await child.join();
    });

    test('result() and join() give up in time or when aborted, and can be called again', limit, async () => {
      const child = run(forever);
      await assert.rejects(child.result({ timeout: 1 }), TimeoutError);
      await assert.rejects(child.result({ timeout: 0 }), TimeoutError);
      assert.equal(await child.join({ timeout: 1 }), false);
      assert.equal(await child.join({ timeout: 0 }), false);
      const reason = new Error('enough');
      for (const wait of ['result', 'join'] as const) {
        const abort = new AbortController();
        const waiting = child[wait]({ signal: abort.signal });
        abort.abort(reason);
        await assert.rejects(waiting, error => error === reason);
        await assert.rejects(child[wait]({ signal: abort.signal }), error => error === reason);
        await assert.rejects(child[wait]({ timeout: -1 }), RangeError);
        await assert.rejects(child[wait]({ timeout: 'x' as never }), TypeError);
      }
      child.terminate();
      assert.equal(await child.join(), true);
      assert.equal(await child.join({ timeout: 0 }), true);
    });

    test('joinSync() blocks until the end, or for the time given', limit, async () => {
      const child = run(forever);
      assert.equal(child.joinSync({ timeout: 0 }), false);
      assert.equal(child.joinSync({ timeout: 5 }), false);
      assert.equal(child.isAlive(), true);
      child.terminate();
      assert.equal(child.joinSync(), true);
      assert.equal(child.exitCode, terminated.exitCode);
      assert.equal(child.isAlive(), false);
      const quick = run(() => 5);
      assert.equal(quick.joinSync(), true);
      assert.equal(quick.exitCode, 0);
      assert.equal(await quick.result(), 5);
      const module = create({ target: { module: functions, export: 'add' }, args: [3, 4] }).start();
      assert.equal(module.joinSync(), true);
      assert.equal(await module.result(), 7);
    });

    test('isAlive() is true from start() to the end', limit, async () => {
      const child = create({ target: forever });
      assert.equal(child.isAlive(), false);
      child.start();
      assert.equal(child.isAlive(), true);
      child.terminate();
      while (child.isAlive()); // without the event loop's help
      await child.join({ timeout: 0 });
    });

    test("emits 'start' and 'exit', and 'error' where nobody awaits the result", limit, async () => {
      const child = create({ target: fails });
      const events: unknown[] = [];
      child.on('start', () => events.push('start'));
      child.on('error', error => events.push(error.message));
      child.on('exit', (...how) => events.push(how));
      child.start();
      assert.deepEqual(events, []);
      await new Promise(resolve => child.on('exit', resolve));
      assert.deepEqual(events, ['start', 'told', [1, null]]);
      const ended = run(forever);
      const end = new Promise(resolve => ended.on('exit', (...how) => resolve(how)));
      ended.terminate();
      assert.deepEqual(await end, [terminated.exitCode, terminated.signalCode]);
    });

    test("emits no 'error' to who awaits the result, nor without a listener", limit, async () => {
      const child = create({ target: fails });
      child.on('error', () => assert.fail('told twice'));
      await assert.rejects(child.start().result());
      await child.join();
      await create({ target: fails }).start().join();
    });

    test('is terminated and joined by disposal', limit, async () => {
      const child = run(forever);
      {
        await using _ = child;
      }
      assert.equal(child.exitCode, terminated.exitCode);
      await create({ target: forever })[Symbol.asyncDispose]();
    });

    test('has a name: the one it was given, or one of its own', limit, () => {
      assert.match(create().name, new RegExp(`^${prefix}-\\d+$`));
      assert.equal(create({ name: 'mine' }).name, 'mine');
      const [a, b] = [create(), create()].map(({ name }) => Number(name.slice(prefix.length + 1)));
      assert.equal(b, a + 1);
    });

    test('starts threads and processes of its own', limit, async () => {
      const child = run(async (all: typeof library) => {
        const { Process } = require(all.process) as typeof import('./process.js');
        const { Thread } = require(all.thread) as typeof import('./thread.js');
        const results: unknown[] = [];
        for (const Kind of [Process, Thread]) {
          const grandchild = new Kind({ target: (n: number) => n + 1, args: [1] }).start();
          if (Kind === Thread) grandchild.joinSync();
          results.push(await grandchild.result());
          await grandchild.join();
        }
        return results;
      }, library);
      assert.deepEqual(await child.result(), [2, 2]);
      await child.join();
      assert.equal(child.exitCode, 0);
    });

    test('takes and gives 64 MiB', limit, async () => {
      const bytes = new Uint8Array(64 << 20).fill(7);
      bytes[bytes.length - 1] = 9;
      const child = run((given: Uint8Array) => {
        given[0] = 8;
        return given;
      }, bytes);
      const back = await child.result();
      assert.deepEqual([back.length, back[0], back[1], back.at(-1)], [64 << 20, 8, 7, 9]);
      assert.equal(bytes[0], 7);
      await child.join();
    });

    test('start() leaves nothing behind when something cannot cross', {
      ...limit,
      skip: !isSent,
    }, async () => {
      const child = create({ target: (x: unknown) => x, args: [{ deep: [new WeakRef({})] }] });
      assert.throws(
        () => child.start(),
        (error: unknown) => {
          assert.ok(error instanceof SerializationError);
          assert.equal(error.path, 'args[0].deep[0]');
          return true;
        },
      );
      assert.equal(child.isAlive(), false);
      await assert.rejects(child.join(), LifecycleError);
    });

    test('throws LifecycleError for what comes too early, too late or twice', limit, async () => {
      const child = create({ target: forever });
      await assert.rejects(child.join(), LifecycleError);
      await assert.rejects(child.result(), LifecycleError);
      for (const act of ['joinSync', 'terminate'] as const) assert.throws(() => child[act](), LifecycleError);
      child.daemon = true;
      child.daemon = false;
      child.start();
      assert.throws(() => child.start(), LifecycleError);
      assert.throws(() => {
        child.daemon = true;
      }, LifecycleError);
      child.terminate();
      await child.join();
      assert.throws(() => child.start(), LifecycleError);
      child.terminate(); // does nothing
    });

    test('a TypeError refuses wrong options', () => {
      for (const options of [
        { target: 5 },
        { target: null },
        { target: {} },
        { target: { module: 5 } },
        { target: { module: 'x', export: 5 } },
        { args: 'abc' },
        { name: 5 },
        { name: null },
        { daemon: 'yes' },
      ])
        assert.throws(() => create(options as never), TypeError, JSON.stringify(options));
      const child = create();
      assert.throws(() => {
        child.name = 5 as never;
      }, /Cannot use 5 as "name": give a string/);
      assert.throws(() => {
        child.daemon = 1 as never;
      }, /Cannot use 1 as "daemon": give true or false/);
    });

    test('a copy in a process that forked off its maker is of no use there', limit, async () => {
      const child = run(forever);
      const unstarted = create();
      const { pid } = process;
      const pretend = (id: number) =>
        Object.defineProperty(process, 'pid', { value: id, configurable: true, enumerable: true });
      pretend(pid + 1);
      try {
        for (const act of ['joinSync', 'terminate', 'isAlive'] as const)
          assert.throws(
            () => child[act](),
            { name: 'LifecycleError', message: new RegExp(`process ${pid} made`) },
            act,
          );
        for (const act of ['join', 'result'] as const)
          await assert.rejects(child[act](), { name: 'LifecycleError' }, act);
        assert.throws(() => child.exitCode, { name: 'LifecycleError' });
        assert.throws(() => unstarted.start(), { name: 'LifecycleError' });
        assert.equal(typeof child.name, 'string');
      } finally {
        pretend(pid);
      }
      child.terminate();
      await child.join();
    });
  });
}
